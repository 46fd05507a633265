//! Entries that the server makes: deduplicated by what they change, since they have no device and no n.

use rollcall_protocol::{Body, Hash, Kind, Seq};

use super::test_room::{TestRoom, ack, ann, appended, bob, duplicate, replies, send, user};
use crate::room::{ChangeKind, Effect, MemberChange, Role, RoomChange};

fn role(name: &str, role: Option<Role>) -> ChangeKind {
    ChangeKind::Member(MemberChange { user: user(name), role })
}

fn room_change(members_only: Option<bool>, floor: Option<u64>) -> RoomChange {
    let floor_hash = floor.map(|floor| Hash([floor as u8; 32]));
    RoomChange { members_only, floor: floor.map(Seq::new), floor_hash, creator: None }
}

#[test]
fn a_change_is_an_entry_without_device_and_n() {
    let mut room = TestRoom::with_writes(1);
    assert_eq!(appended(&room.change(5, role("bob", Some(Role::Banned)))), [[3]]);
    assert_eq!(replies(&room.commit()), [(5, ack(3))]);
    let entry = room.log.entry(Seq::new(3)).unwrap();
    assert_eq!((entry.kind, &entry.device, entry.n, &entry.sender), (Kind::Member, &None, 0, &user("root")));
    let body = Body::from_value(&MemberChange { user: bob().user, role: Some(Role::Banned) }).unwrap();
    assert_eq!(entry.body, Some(body));
    assert_eq!(room.core.committed().role(&bob().user), Some(Role::Banned));
}

#[test]
fn what_holds_already_is_not_written_again() {
    let mut room = TestRoom::with_writes(1);
    let table = [
        (role("bob", None), None),
        (role("bob", Some(Role::Member)), Some(3)),
        (role("bob", Some(Role::Member)), None),
        (role("bob", Some(Role::Moderator)), Some(4)),
        (role("bob", None), Some(5)),
        (ChangeKind::Room(room_change(None, None)), None),
        (ChangeKind::Room(room_change(Some(false), Some(1))), None),
        (ChangeKind::Room(room_change(Some(true), None)), Some(6)),
        (ChangeKind::Room(room_change(None, Some(3))), Some(7)),
        (ChangeKind::Room(room_change(Some(true), Some(2))), None),
        (ChangeKind::Room(RoomChange { creator: Some(user("eve")), ..room_change(Some(true), None) }), None),
    ];
    for (what, written) in table {
        let mut effects = room.change(1, what.clone());
        effects.extend(room.commit_all());
        let answer = written.map_or_else(|| duplicate(room.log.head().get()), ack);
        assert_eq!(replies(&effects), [(1, answer)], "{what:?}");
    }
}

#[test]
fn a_change_that_is_under_way_is_not_written_again_and_waits_for_it() {
    let mut room = TestRoom::with_writes(1);
    room.change(1, role("bob", Some(Role::Member)));
    assert_eq!(room.change(2, role("bob", Some(Role::Member))), []);
    assert_eq!(replies(&room.commit()), [(1, ack(3)), (2, duplicate(3))]);

    room.change(3, role("bob", None));
    assert_eq!(room.change(4, role("bob", None)), []);
    room.reject_full();
    assert_eq!(appended(&room.change(5, role("bob", None))), [[4]], "it did not come about, and is written now");
}

#[test]
fn a_room_is_created_without_a_write() {
    let mut room = TestRoom::new();
    assert_eq!(appended(&room.change(1, ChangeKind::Room(room_change(None, None)))), [[1]]);
    assert_eq!(room.change(2, ChangeKind::Room(room_change(None, None))), [], "a second request finds it under way");
    assert_eq!(replies(&room.commit()), [(1, ack(1)), (2, duplicate(1))]);
    let created = RoomChange { creator: Some(user("root")), ..RoomChange::default() };
    let first = room.log.entry(Seq::FIRST).unwrap();
    assert_eq!((first.kind, first.body.as_ref().unwrap().parse::<RoomChange>().unwrap()), (Kind::Room, created));
    assert_eq!(room.write(send(&ann(), 1, "hello")), Seq::new(2));
}

#[test]
fn a_room_is_created_with_its_settings_or_its_first_member() {
    let mut room = TestRoom::new();
    assert_eq!(appended(&room.change(1, ChangeKind::Room(room_change(Some(true), None)))), [[1]]);
    room.commit();
    assert!(room.core.committed().members_only && !room.core.committed().admits(&ann().user));

    let mut room = TestRoom::new();
    assert_eq!(appended(&room.change(1, role("ann", Some(Role::Moderator)))), [[1, 2]]);
    assert_eq!(replies(&room.commit()), [(1, ack(2))]);
    assert_eq!(room.log.replay(), *room.core.committed());
}

#[test]
fn only_the_first_entry_names_a_creator() {
    let mut room = TestRoom::with_writes(1);
    let usurped = RoomChange { creator: Some(user("eve")), ..room_change(Some(true), None) };
    room.change(1, ChangeKind::Room(usurped));
    room.commit();
    let entry = room.log.entry(Seq::new(3)).unwrap();
    assert_eq!(entry.body.as_ref().unwrap().parse::<RoomChange>().unwrap(), room_change(Some(true), None));
}

#[test]
fn a_floor_never_falls() {
    let mut room = TestRoom::with_writes(9);
    room.change(1, ChangeKind::Room(room_change(None, Some(7))));
    room.change(2, ChangeKind::Room(room_change(Some(true), Some(4))));
    room.commit_all();
    let state = room.core.committed();
    assert_eq!((state.floor, state.floor_hash, state.members_only), (Seq::new(7), Hash([7; 32]), true));
}

#[test]
fn a_body_of_a_later_version_changes_nothing() {
    let mut room = TestRoom::with_writes(1);
    room.change(1, role("bob", Some(Role::Banned)));
    room.commit();
    let mut strange = room.log.entry(Seq::new(3)).unwrap().clone();
    strange.body = Some(Body::from_stored(r#"{"user":"bob","role":"emperor"}"#.to_owned()).unwrap());
    strange.seq = Seq::new(4);
    let mut state = room.core.committed().clone();
    state.apply(&strange);
    assert_eq!(state.role(&bob().user), Some(Role::Banned));
    assert_eq!(state.head, Seq::new(4));
    assert_eq!(room.change(2, role("bob", Some(Role::Banned))), [Effect::Reply(2, duplicate(3))]);
}
