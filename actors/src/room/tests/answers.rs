//! The answers of a sender's counter, in the order in which they are checked.

use rollcall_protocol::limits::UNANSWERED_WRITES_MAX;
use rollcall_protocol::{Kind, Seq, WriteOp};

use super::test_room::{
    MAY_READ, TestRoom, about, ack, ann, bob, device, duplicate, found, replies, send, text, unavailable,
};
use crate::room::{Answer, ChangeKind, Effect, MemberChange, Refusal, Role, RoomChange, Submit, Target};

const FORBIDDEN: Answer = Err(Refusal::Forbidden("writing to this room is not allowed"));

/// Ann's phone has written n = 1, then 3 to 66: the numbers 2 to 66. The last 64 of them are kept, and n = 2 was passed over.
fn room_of_ann() -> TestRoom {
    let mut room = TestRoom::with_writes(1);
    room.write(Submit { prev: 1, ..send(&ann(), 3, "text 3") });
    for n in 4..=66 {
        room.write(send(&ann(), n, &format!("text {n}")));
    }
    assert_eq!(room.core.committed().head, Seq::new(66));
    room
}

#[test]
fn each_n_has_its_answer() {
    let ann = ann();
    let absent = Target::Absent(Seq::new(99));
    let table: Vec<(&str, Submit<u32>, Answer)> = vec![
        ("the last n again", send(&ann, 66, "text 66"), duplicate(66)),
        ("the oldest n that is kept", send(&ann, 3, "text 3"), duplicate(3)),
        ("a known n with another prev", Submit { prev: 0, ..send(&ann, 40, "text 40") }, duplicate(40)),
        ("a known n of who may write no more", Submit { rights: MAY_READ, ..send(&ann, 40, "text 40") }, duplicate(40)),
        ("a known n with another text", send(&ann, 66, "text 67"), Err(Refusal::Conflict)),
        ("… of who may write no more", Submit { rights: MAY_READ, ..send(&ann, 66, "no") }, Err(Refusal::Conflict)),
        ("a known n without a body", Submit { body: None, ..send(&ann, 66, "") }, Err(Refusal::Conflict)),
        (
            "a known n as another operation",
            Submit { body: Some(text("text 66")), ..about(&ann, 66, WriteOp::React, found(2, Kind::Message, "ann")) },
            Err(Refusal::Conflict),
        ),
        ("a passed over n", send(&ann, 2, "text 2"), Err(Refusal::Skipped)),
        ("… of who may write no more", Submit { rights: MAY_READ, ..send(&ann, 2, "text 2") }, Err(Refusal::Skipped)),
        ("an n before those that are kept", send(&ann, 1, "text 1"), Err(Refusal::TooOld)),
        ("… of who may write no more", Submit { rights: MAY_READ, ..send(&ann, 1, "text 1") }, Err(Refusal::TooOld)),
        ("no n at all", Submit { n: 0, ..send(&ann, 1, "zero") }, Err(Refusal::TooOld)),
        ("no n at all, of a new device", Submit { n: 0, ..send(&bob(), 1, "zero") }, Err(Refusal::TooOld)),
        ("a new n of who may not write", Submit { rights: MAY_READ, ..send(&ann, 67, "text 67") }, FORBIDDEN),
        ("… with a wrong prev, too", Submit { rights: MAY_READ, ..send(&ann, 68, "text 68") }, FORBIDDEN),
        ("an n whose prev is missing", send(&ann, 68, "text 68"), Err(Refusal::OutOfOrder { last: 66 })),
        ("a prev that was passed", Submit { prev: 65, ..send(&ann, 67, "") }, Err(Refusal::OutOfOrder { last: 66 })),
        ("a new device out of order", send(&bob(), 2, "text 2"), Err(Refusal::OutOfOrder { last: 0 })),
        (
            "a wrong prev and target",
            about(&ann, 68, WriteOp::Edit, absent.clone()),
            Err(Refusal::OutOfOrder { last: 66 }),
        ),
        ("a wrong target", about(&ann, 67, WriteOp::Edit, absent), Err(Refusal::Target(Seq::new(99)))),
    ];
    let mut room = room_of_ann();
    for (case, write, answer) in table {
        let reply = write.reply;
        assert_eq!(room.submit(write), [Effect::Reply(reply, answer)], "{case}");
    }
    assert_eq!(room.core.pending(), 0, "nothing of it was numbered");
    assert_eq!(room.log.replay(), *room.core.committed());
}

#[test]
fn a_new_n_is_accepted_with_gaps_and_from_new_devices() {
    let mut room = room_of_ann();
    assert_eq!(room.write(send(&ann(), 67, "next")), Seq::new(67));
    assert_eq!(room.write(Submit { prev: 67, ..send(&ann(), 80, "after a gap") }), Seq::new(68));
    assert_eq!(room.write(send(&bob(), 1, "hello")), Seq::new(69));
    assert_eq!(room.write(Submit { prev: 0, ..send(&device("bob", "tab"), 7, "hello") }), Seq::new(70));
    assert_eq!(room.write(send(&device("eve", "phone"), 1, "another's phone")), Seq::new(71));
}

#[test]
fn a_duplicate_in_flight_is_answered_after_the_commit() {
    let mut room = TestRoom::new();
    room.submit(Submit { reply: 10, ..send(&ann(), 1, "one") });
    room.submit(Submit { reply: 20, ..send(&ann(), 2, "two") });
    let again = |reply, n, said| Submit { reply, ..send(&ann(), n, said) };
    assert_eq!(room.submit(again(21, 2, "two")), []);
    assert_eq!(room.submit(again(11, 1, "one")), []);
    assert_eq!(room.submit(again(12, 1, "other")), []);
    assert_eq!(replies(&room.commit()), [(10, ack(2)), (11, duplicate(2)), (12, Err(Refusal::Conflict))]);
    assert_eq!(replies(&room.commit()), [(20, ack(3)), (21, duplicate(3))]);
}

/// Each refusal here rests on a write that is not committed: it waits for it, and falls with it.
#[test]
fn a_refusal_waits_for_the_commit_on_which_it_rests() {
    let ann = ann();
    let table: Vec<(&str, Submit<u32>, Answer)> = vec![
        ("conflict", send(&ann, 3, "other"), Err(Refusal::Conflict)),
        ("skipped", send(&ann, 2, "two"), Err(Refusal::Skipped)),
        ("out of order", send(&ann, 5, "five"), Err(Refusal::OutOfOrder { last: 3 })),
        (
            "target",
            Submit { prev: 3, ..about(&ann, 4, WriteOp::React, Target::Absent(Seq::new(9))) },
            Err(Refusal::Target(Seq::new(9))),
        ),
        ("forbidden", Submit { rights: MAY_READ, ..send(&ann, 4, "four") }, FORBIDDEN),
        ("banned", send(&bob(), 1, "let me"), FORBIDDEN),
    ];
    let waiting = || {
        let mut room = TestRoom::with_writes(1);
        room.submit(Submit { reply: 100, prev: 1, ..send(&ann, 3, "three") });
        room.change(101, ChangeKind::Member(MemberChange { user: bob().user, role: Some(Role::Banned) }));
        room
    };
    for (case, write, answer) in table {
        let reply = write.reply;
        let mut room = waiting();
        assert_eq!(room.submit(write.clone()), [], "{case}");
        let committed = replies(&room.commit_all());
        assert!(committed.contains(&(reply, answer.clone())), "{case}: {committed:?}");
        assert_eq!(committed.len(), 3, "{case}: everybody is answered once");

        let mut room = waiting();
        room.submit(write);
        let full = unavailable("the room's log takes no writes now");
        assert_eq!(replies(&room.reject_full()), [(100, full.clone()), (101, full.clone()), (reply, full)], "{case}");
    }
}

#[test]
fn an_n_is_known_until_a_later_one_that_is_committed_pushes_it_out() {
    let mut room = TestRoom::with_writes(64);
    let first = || Submit { reply: 100, ..send(&ann(), 1, "text 1") };
    room.submit(send(&ann(), 65, "the 65th"));
    assert_eq!(replies(&room.submit(first())), [(100, duplicate(2))]);
    room.reject_full();
    assert_eq!(replies(&room.submit(first())), [(100, duplicate(2))]);
    room.write(send(&ann(), 65, "the 65th"));
    assert_eq!(replies(&room.submit(first())), [(100, Err(Refusal::TooOld))]);
}

#[test]
fn sixty_four_writes_of_a_device_may_be_unanswered() {
    let mut room = TestRoom::new();
    let most = UNANSWERED_WRITES_MAX as u64;
    for n in 1..=most {
        assert_eq!(replies(&room.submit(send(&ann(), n, "many"))), []);
    }
    assert_eq!(replies(&room.submit(send(&ann(), most + 1, "one more"))), [(65, Err(Refusal::TooManyUnanswered))]);
    assert_eq!(replies(&room.submit(send(&ann(), 5, "many"))), [], "a retry is no further write");
    assert_eq!(replies(&room.submit(send(&device("ann", "desk"), 1, "another device"))), []);
    assert_eq!(replies(&room.commit()), [(1, ack(2))]);
    assert_eq!(replies(&room.submit(send(&ann(), most + 1, "one more"))), [], "an answer makes room");
    assert_eq!(replies(&room.submit(send(&ann(), most + 2, "two more"))), [(66, Err(Refusal::TooManyUnanswered))]);
    let rest = replies(&room.commit_all());
    assert_eq!(rest.len(), 63 + 1 + 1 + 1);
    assert_eq!(room.write(send(&ann(), most + 2, "two more")), Seq::new(68));
}

#[test]
fn who_may_write_follows_the_roles_of_the_room() {
    let (ann, bob) = (ann(), bob());
    let mut room = TestRoom::with_writes(1);
    room.set_role(&bob.user, Some(Role::Banned));
    assert_eq!(replies(&room.submit(send(&bob, 1, "let me"))), [(1, FORBIDDEN)]);
    room.set_role(&bob.user, None);
    room.write(send(&bob, 1, "let me"));

    room.change(0, ChangeKind::Room(RoomChange { members_only: Some(true), ..RoomChange::default() }));
    room.commit_all();
    assert_eq!(replies(&room.submit(send(&ann, 2, "and me"))), [(2, FORBIDDEN)]);
    room.set_role(&ann.user, Some(Role::Member));
    room.write(send(&ann, 2, "and me"));
    room.set_role(&bob.user, Some(Role::Moderator));
    room.write(send(&bob, 2, "moderators too"));
}

#[test]
fn a_write_that_was_refused_does_not_create_the_room() {
    let mut room = TestRoom::new();
    assert_eq!(room.submit(Submit { rights: MAY_READ, ..send(&ann(), 1, "no") }), [Effect::Reply(1, FORBIDDEN)]);
    assert_eq!(room.core.committed().head, Seq::ZERO);
    assert_eq!(room.core.pending(), 0);
}
