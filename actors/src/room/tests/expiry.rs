//! Expiry: in which order things are asked of the log, and that nothing is deleted before its time.

use rollcall_protocol::{Hash, Kind, Salt, Seq};

use super::test_room::{Effects, TestRoom, ack, ann, appended, duplicate, replies, send, stopped, unavailable};
use crate::ports::{LogError, NotCommitted};
use crate::room::{
    Buckets, ChangeKind, Effect, Expirable, Input, LastExpired, Refusal, RoomChange, StopReason, snapshot,
};

const fn seq(number: u64) -> Seq {
    Seq::new(number)
}

fn expire(room: &mut TestRoom, reply: u32, before: u64) -> Effects {
    room.change(reply, ChangeKind::Expire(seq(before)))
}

/// The question that the core asks of the log.
fn find(floor: u64, through: u64, head: u64, made_before_ms: Option<i64>) -> Effect<u32> {
    let [floor, through, head] = [floor, through, head].map(seq);
    Effect::FindExpirable(Expirable { floor, through, head, made_before_ms })
}

/// The log says that entries up to this one may expire.
fn found(room: &mut TestRoom, last: u64) -> Effects {
    let hash = room.log.entry(seq(last)).unwrap().hash;
    room.handle(Input::ExpirableFound(Ok(Some(LastExpired { seq: seq(last), hash }))))
}

fn kept(room: &mut TestRoom, snapshot: u64) -> Effects {
    room.handle(Input::SnapshotKept { seq: Some(seq(snapshot)), salt: Salt([7; 16]) })
}

/// The number of the snapshot that is to be kept, where that is all that is wanted.
fn keeps(effects: &Effects) -> Option<u64> {
    match effects.as_slice() {
        [Effect::KeepSnapshot(stored)] => Some(snapshot::decode(stored).unwrap().head.get()),
        _ => None,
    }
}

#[test]
fn the_state_is_kept_first_then_the_floor_is_committed_and_only_then_entries_go() {
    let mut room = TestRoom::with_writes(9);
    assert_eq!(expire(&mut room, 5, 7), [find(1, 6, 6, None)]);
    assert_eq!(keeps(&found(&mut room, 4)), Some(10));
    assert_eq!(appended(&kept(&mut room, 10)), [[11]]);
    let effects = room.commit();
    assert_eq!(replies(&effects), [(5, ack(11))]);
    assert_eq!(effects.last(), Some(&Effect::DropExpired(seq(5))));
    let entry = room.log.entry(seq(11)).unwrap();
    let said: RoomChange = entry.body.as_ref().unwrap().parse().unwrap();
    let hash = room.log.entry(seq(4)).unwrap().hash;
    let expected = RoomChange { floor: Some(seq(5)), floor_hash: Some(hash), ..RoomChange::default() };
    assert_eq!((entry.kind, entry.sender.as_str(), said), (Kind::Room, "root", expected));
    assert_eq!((room.core.committed().floor, room.core.committed().floor_hash), (seq(5), hash));
    assert_eq!(room.write(send(&ann(), 10, "it goes on")), seq(12));
}

#[test]
fn nothing_goes_where_the_state_was_not_kept() {
    let table = [(None, "missing"), (Some(seq(3)), "older than what is to go")];
    for (seq, what) in table {
        let mut room = TestRoom::with_writes(9);
        expire(&mut room, 5, 7);
        found(&mut room, 4);
        let effects = room.handle(Input::SnapshotKept { seq, salt: Salt([7; 16]) });
        assert_eq!(effects, [Effect::Reply(5, unavailable("the room's state could not be stored"))], "{what}");
        assert_eq!(expire(&mut room, 6, 7), [find(1, 6, 6, None)], "it can be tried again");
    }
}

#[test]
fn a_snapshot_at_the_last_that_goes_is_new_enough() {
    let mut room = TestRoom::with_writes(9);
    expire(&mut room, 5, 7);
    found(&mut room, 4);
    assert_eq!(appended(&kept(&mut room, 4)), [[11]]);
}

#[test]
fn what_holds_already_or_cannot_be_is_answered_at_once() {
    let mut room = TestRoom::with_writes(9);
    for before in [0, 1] {
        assert_eq!(expire(&mut room, 5, before), [Effect::Reply(5, duplicate(10))]);
    }
    expire(&mut room, 6, 3);
    assert_eq!(room.handle(Input::ExpirableFound(Ok(None))), [Effect::Reply(6, duplicate(10))]);
    expire(&mut room, 7, 3);
    let away = LogError::Unavailable("away".to_owned());
    let refused = [Effect::Reply(7, unavailable("the room's log cannot be read now"))];
    assert_eq!(room.handle(Input::ExpirableFound(Err(away))), refused);
    assert_eq!(expire(&mut room, 8, 1_000), [find(1, 10, 10, None)], "no more can go than there is");
}

#[test]
fn who_asks_while_the_room_looks_by_itself_comes_after_that() {
    // The look ends in all the ways in which it can.
    type End = fn(&mut TestRoom) -> Effects;
    let nothing: End = |room| room.handle(Input::ExpirableFound(Ok(None)));
    let unreadable: End = |room| room.handle(Input::ExpirableFound(Err(LogError::Unavailable("away".to_owned()))));
    let too_little: End = |room| found(room, 1);
    let not_kept: End = |room| {
        found(room, 4);
        room.handle(Input::SnapshotKept { seq: None, salt: Salt([7; 16]) })
    };
    for end in [nothing, unreadable, too_little, not_kept] {
        let mut room = TestRoom::with_writes(9);
        room.retain(Some(5), None);
        assert_eq!(room.handle(Input::Retain), [find(1, 5, 10, None)]);
        assert_eq!(expire(&mut room, 5, 9), [], "it waits");
        assert_eq!(expire(&mut room, 6, 9), [Effect::Reply(6, Err(Refusal::Busy))], "one waits at most");
        assert_eq!(end(&mut room), [find(1, 8, 8, None)]);
        assert_eq!(keeps(&found(&mut room, 8)), Some(10));
        kept(&mut room, 10);
        assert_eq!(replies(&room.commit()), [(5, ack(11))]);
        assert_eq!(room.core.committed().floor, seq(9));
    }
}

#[test]
fn who_has_waited_finds_the_floor_that_was_numbered_meanwhile_and_hears_of_it_when_it_is_committed() {
    for (before, reject) in [(5, false), (5, true), (9, false)] {
        let mut room = TestRoom::with_writes(9);
        room.retain(Some(6), None);
        room.handle(Input::Retain);
        found(&mut room, 4);
        assert_eq!(expire(&mut room, 5, before), []);
        let effects = kept(&mut room, 10);
        assert_eq!(appended(&effects), [[11]]);
        if before == 9 {
            assert_eq!(effects.last(), Some(&find(5, 8, 8, None)), "more is asked for than that");
            continue;
        }
        assert_eq!(replies(&effects), [], "what it rests on is not committed");
        if reject {
            assert!(matches!(replies(&room.reject_full()).as_slice(), [(5, Err(Refusal::Unavailable(_)))]));
        } else {
            assert_eq!(replies(&room.commit()), [(5, duplicate(11))]);
        }
    }
}

#[test]
fn who_waits_when_the_room_is_given_up_is_told_so() {
    let mut room = TestRoom::with_writes(9);
    expire(&mut room, 5, 7);
    expire(&mut room, 6, 7);
    let moving = || unavailable("the room is moving");
    assert_eq!(replies(&room.handle(Input::Drain { goes_on: false })), [(5, moving()), (6, moving())]);
}

fn dropped(room: &mut TestRoom, before: u64, is_done: bool) -> Effects {
    room.handle(Input::Dropped { before: seq(before), is_done })
}

/// A room that has let everything before this number expire, and has had that deleted for the first time.
fn expired(before: u64) -> TestRoom {
    let mut room = TestRoom::with_writes(9);
    expire(&mut room, 5, before);
    found(&mut room, before - 1);
    kept(&mut room, 10);
    assert_eq!(room.commit().last(), Some(&Effect::DropExpired(seq(before))));
    room
}

#[test]
fn what_could_not_be_deleted_is_deleted_at_the_next_look_by_the_same_owner() {
    let mut room = expired(5);
    let mut waits_ms = Vec::new();
    for _ in 0..12 {
        assert_eq!(room.handle(Input::Retain), [], "it is under way");
        let effects = dropped(&mut room, 5, false);
        let [Effect::LookAgain { after_ms }] = effects[..] else { panic!("{effects:?}") };
        waits_ms.push(after_ms);
        room.submit(send(&ann(), 10 + waits_ms.len() as u64 - 1, "meanwhile"));
        let effects = room.commit();
        assert!(!effects.contains(&Effect::DropExpired(seq(5))), "a write is no look");
        assert_eq!(room.handle(Input::Retain), [Effect::DropExpired(seq(5))]);
    }
    let doubled = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300].map(|seconds| seconds * 1_000);
    assert_eq!(waits_ms, doubled);
    assert_eq!(dropped(&mut room, 5, true), []);
    assert_eq!(room.handle(Input::Retain), [], "once it is done it is done");
}

#[test]
fn a_later_deletion_is_that_of_all_before_it() {
    let mut room = expired(5);
    dropped(&mut room, 5, false);
    expire(&mut room, 6, 9);
    found(&mut room, 8);
    kept(&mut room, 11);
    assert_eq!(room.commit().last(), Some(&Effect::DropExpired(seq(9))));
    assert_eq!(room.handle(Input::Retain), [], "the earlier one is not done again");
    // The earlier one was under way all the same, or its answer comes late.
    assert_eq!(dropped(&mut room, 5, false), []);
    assert_eq!(room.handle(Input::Retain), []);
    let again = dropped(&mut room, 9, false);
    assert!(matches!(again[..], [Effect::LookAgain { .. }]), "{again:?}");
    assert_eq!(room.handle(Input::Retain), [Effect::DropExpired(seq(9))]);
}

#[test]
fn an_owner_that_ends_leaves_to_the_next_one_what_it_could_not_delete() {
    let mut room = expired(5);
    room.submit(send(&ann(), 10, "under way"));
    room.handle(Input::Drain { goes_on: false });
    assert_eq!(dropped(&mut room, 5, false), []);
    assert_eq!(room.handle(Input::Retain), []);
    assert_eq!(stopped(&room.commit()), Some(StopReason::Drained));
    room.activate();
    assert_eq!(room.handle(Input::Retain), [Effect::DropExpired(seq(5))]);
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let mut room = TestRoom::with_writes(3);
    assert_eq!(found(&mut room, 2), []);
    assert_eq!(kept(&mut room, 4), []);
    expire(&mut room, 5, 3);
    assert_eq!(kept(&mut room, 4), [], "the log was not asked for that");
    let beyond = Ok(Some(LastExpired { seq: seq(9), hash: Hash([0; 32]) }));
    assert_eq!(room.handle(Input::ExpirableFound(beyond)), [Effect::Reply(5, duplicate(4))]);
}

#[test]
fn a_room_that_is_given_up_gives_up_what_is_not_numbered() {
    let mut room = TestRoom::with_writes(9);
    expire(&mut room, 5, 7);
    let effects = room.handle(Input::Drain { goes_on: false });
    assert_eq!(replies(&effects), [(5, unavailable("the room is moving"))]);
    assert_eq!((stopped(&effects), found(&mut room, 4)), (Some(StopReason::Drained), vec![]));

    let mut room = TestRoom::with_writes(9);
    room.submit(send(&ann(), 10, "under way"));
    expire(&mut room, 5, 7);
    found(&mut room, 4);
    let effects = room.reject(NotCommitted::Fenced);
    assert!(replies(&effects).contains(&(5, unavailable("the room is moving"))), "{effects:?}");
    assert_eq!(kept(&mut room, 10), []);
}

#[test]
fn an_expiry_that_was_numbered_is_finished_or_taken_back_as_any_write() {
    let mut room = TestRoom::with_writes(9);
    expire(&mut room, 5, 7);
    found(&mut room, 4);
    kept(&mut room, 10);
    let effects = room.reject_full();
    assert!(matches!(replies(&effects).as_slice(), [(5, Err(Refusal::Unavailable(_)))]), "{effects:?}");
    assert_eq!(room.core.committed().floor, seq(1));
    assert_eq!(expire(&mut room, 6, 7), [find(1, 6, 6, None)]);
    found(&mut room, 4);
    kept(&mut room, 10);
    room.handle(Input::Drain { goes_on: false });
    let effects = room.commit();
    assert_eq!((replies(&effects), stopped(&effects)), (vec![(6, ack(11))], Some(StopReason::Drained)));
    assert!(effects.contains(&Effect::DropExpired(seq(5))));
}

#[test]
fn what_an_owner_has_left_the_next_one_deletes_once() {
    let mut room = TestRoom::with_writes(9);
    assert_eq!(room.handle(Input::Retain), [], "everything is kept");
    expire(&mut room, 5, 7);
    found(&mut room, 4);
    kept(&mut room, 10);
    // The node dies after the commit.
    room.store();
    room.activate();
    assert_eq!(room.handle(Input::Retain), [Effect::DropExpired(seq(5))]);
    assert_eq!(room.handle(Input::Retain), []);
    assert_eq!(room.log.replay_from(room.log.snapshots.last().unwrap()), *room.core.committed());
}

#[test]
fn a_room_keeps_so_many_entries_and_waits_until_it_is_worth_it() {
    let mut room = TestRoom::with_writes(99);
    for (entries_max, through) in [(100, None), (99, None), (92, None), (89, Some(11)), (50, Some(50)), (1, Some(99))] {
        room.retain(Some(entries_max), None);
        let expected: Vec<_> = through.map(|through| find(1, through, 100, None)).into_iter().collect();
        assert_eq!(room.handle(Input::Retain), expected, "{entries_max} are kept");
        assert_eq!(room.handle(Input::Retain), [], "one after the other");
        room.handle(Input::ExpirableFound(Ok(None)));
    }
    room.retain(Some(50), None);
    room.handle(Input::Retain);
    assert_eq!(found(&mut room, 3), [], "the log can delete so little that it is not worth it");
    room.handle(Input::Retain);
    assert_eq!(keeps(&found(&mut room, 48)), Some(100));
    kept(&mut room, 100);
    let effects = room.commit();
    assert_eq!((replies(&effects), effects.last()), (vec![], Some(&Effect::DropExpired(seq(49)))));
    assert_eq!(room.log.entry(seq(101)).unwrap().sender.as_str(), "rollcall");
    assert_eq!(room.handle(Input::Retain), [], "too little is too much again");
}

#[test]
fn a_room_keeps_entries_for_so_long() {
    let mut room = TestRoom::with_writes(9);
    room.now_ms = 10_000;
    room.retain(Some(8), Some(4_000));
    assert_eq!(room.handle(Input::Retain), [find(1, 2, 10, Some(6_000))]);
    assert_eq!(keeps(&found(&mut room, 10)), Some(10), "all have come of age");
    kept(&mut room, 10);
    room.commit();
    assert_eq!((room.core.committed().floor, room.log.head()), (seq(11), seq(11)), "what says so stays");
    assert_eq!(room.handle(Input::Retain), [find(11, 3, 11, Some(6_000))]);
    assert_eq!(found(&mut room, 11), [], "one entry makes place for one");
}

#[test]
fn a_room_looks_each_time_that_a_bucket_is_full() {
    let mut room = TestRoom::new();
    room.cut_into(Buckets::of_entries(4));
    room.retain(Some(2), None);
    let mut looks = Vec::new();
    for n in 1..=8 {
        room.submit(send(&ann(), n, "text"));
        let effects = room.commit();
        let head = room.log.head().get();
        looks.extend(effects.iter().any(|effect| matches!(effect, Effect::FindExpirable(_))).then_some(head));
        room.handle(Input::ExpirableFound(Ok(None)));
    }
    assert_eq!(looks, [4, 8]);
}
