//! Writes that are tried again, late or by many: each n has one number for ever.

use rollcall_protocol::{Seq, WriteOp};

use super::test_room::{
    Effects, MAY_READ, TestRoom, about, ack, ann, appended, bob, duplicate, replies, send, unavailable,
};
use crate::room::{Answer, ChangeKind, Refusal, Role, RoomChange, Submit};

/// Submits Ann's n = 1 to 64, as a client does that has heard no answer.
fn send_all(room: &mut TestRoom) -> Effects {
    let mut effects = Vec::new();
    for n in 1..=64 {
        effects.extend(room.submit(send(&ann(), n, &format!("text {n}"))));
    }
    effects
}

fn answers(first: u64, answer: fn(u64) -> Answer) -> Vec<(u32, Answer)> {
    (1..=64).map(|n| (n, answer(first + u64::from(n) - 1))).collect()
}

#[test]
fn sixty_four_unanswered_writes_get_the_same_numbers_after_a_crash() {
    let mut room = TestRoom::new();
    send_all(&mut room);
    room.commit(); // of the first write
    room.store(); // of the other 63: the crash comes before any answer
    room.activate();
    assert_eq!(replies(&send_all(&mut room)), answers(2, duplicate));
    assert_eq!(room.log.head(), Seq::new(65));
    assert_eq!(room.write(send(&ann(), 65, "the next")), Seq::new(66));
}

#[test]
fn a_crash_between_two_batches_keeps_the_order_of_the_rest() {
    let mut room = TestRoom::new();
    send_all(&mut room);
    room.store(); // of the first write alone
    room.activate();
    let mut effects = send_all(&mut room);
    effects.extend(room.commit_all());
    let mut expected = answers(2, ack);
    expected[0].1 = duplicate(2);
    assert_eq!(replies(&effects), expected);
}

#[test]
fn sixty_four_writes_tried_again_while_they_are_in_flight_get_the_same_numbers() {
    let mut room = TestRoom::new();
    send_all(&mut room);
    assert_eq!(send_all(&mut room), []);
    let mut answered = replies(&room.commit_all());
    answered.sort_by_key(|(n, answer)| (answer.as_ref().unwrap().duplicate, *n));
    assert_eq!(answered, [answers(2, ack), answers(2, duplicate)].concat());
}

#[test]
fn a_sender_that_lost_its_rights_gets_the_first_answer() {
    let mut room = TestRoom::with_writes(1);
    let ann = ann();
    let members_only = RoomChange { members_only: Some(true), ..RoomChange::default() };
    room.change(0, ChangeKind::Room(members_only));
    room.set_role(&ann.user, Some(Role::Banned));
    let retry = || Submit { rights: MAY_READ, ..send(&ann, 1, "text 1") };
    assert_eq!(replies(&room.submit(retry())), [(1, duplicate(2))]);
    room.activate();
    assert_eq!(replies(&room.submit(retry())), [(1, duplicate(2))]);
}

/// A write was refused, its client drops it and goes on; then comes a copy that had been on its way.
#[test]
fn a_late_copy_of_a_refused_write_is_not_stored() {
    let mut room = TestRoom::with_writes(1);
    let second = || send(&ann(), 2, "second");
    let refused = replies(&room.submit(Submit { rights: MAY_READ, ..second() }));
    assert_eq!(refused, [(2, Err(Refusal::Forbidden("writing to this room is not allowed")))]);
    assert_eq!(room.write(Submit { prev: 1, ..send(&ann(), 3, "third") }), Seq::new(3));
    for _ in 0..2 {
        assert_eq!(replies(&room.submit(second())), [(2, Err(Refusal::Skipped))]);
        room.activate();
    }
    assert_eq!(room.log.head(), Seq::new(3));
}

/// The copy comes before the write after the dropped one: it is stored, and the client hears of it before it goes on.
#[test]
fn a_late_copy_of_a_dropped_write_is_stored_once_and_noticed() {
    let mut room = TestRoom::with_writes(1);
    let (second, third) = (|| send(&ann(), 2, "second"), |prev| Submit { prev, ..send(&ann(), 3, "third") });
    room.submit(second());
    assert_eq!(replies(&room.reject_full()), [(2, unavailable("the room's log takes no writes now"))]);
    assert_eq!(room.write(second()), Seq::new(3));
    assert_eq!(replies(&room.submit(third(1))), [(3, Err(Refusal::OutOfOrder { last: 2 }))]);
    assert_eq!(replies(&room.submit(second())), [(2, duplicate(3))], "the client asks for it again");
    assert_eq!(room.write(third(2)), Seq::new(4));
    assert_eq!(replies(&room.submit(second())), [(2, duplicate(3))]);
}

#[test]
fn a_refused_write_lets_no_later_one_overtake_it() {
    let mut room = TestRoom::with_writes(1);
    let mut effects = room.submit(about(&ann(), 2, WriteOp::Edit, room.log.look_at(Seq::new(9))));
    effects.extend(room.submit(send(&ann(), 3, "third")));
    effects.extend(room.submit(send(&ann(), 4, "fourth")));
    let out_of_order = Err(Refusal::OutOfOrder { last: 1 });
    assert_eq!(
        replies(&effects),
        [(2, Err(Refusal::Target(Seq::new(9)))), (3, out_of_order.clone()), (4, out_of_order)]
    );
    assert_eq!(appended(&effects), Vec::<Vec<u64>>::new());
}

#[test]
fn writes_that_arrive_in_any_order_are_numbered_in_the_order_of_their_device() {
    let mut room = TestRoom::new();
    let mut numbers = Vec::new();
    for round in [[3, 1, 2], [2, 3, 1], [3, 2, 1]] {
        for n in round {
            let mut effects = room.submit(send(&ann(), n, "again"));
            effects.extend(room.submit(send(&ann(), n, "again")));
            effects.extend(room.commit_all());
            numbers.extend(replies(&effects).into_iter().filter_map(|(n, answer)| Some((n, answer.ok()?.seq.get()))));
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers, [(1, 2), (2, 3), (3, 4)]);
    assert_eq!(replies(&room.submit(send(&bob(), 3, "alone"))), [(3, Err(Refusal::OutOfOrder { last: 0 }))]);
}
