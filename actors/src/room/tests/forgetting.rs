//! Devices that ten thousand others pushed out of the state, and idempotency keys, which have a table of their own.

use rollcall_protocol::Seq;

use super::test_room::{MAY_READ, TestRoom, ack, ann, appended, device, duplicate, replies, send};
use crate::room::{Refusal, SENDERS_MAX, SenderKey, Submit};

/// Has one write of each device committed, in as few batches as there may be.
fn write_of_each(room: &mut TestRoom, devices: impl Iterator<Item = SenderKey>) {
    let since = room.log.head();
    for device in devices {
        room.submit(Submit { since, ..send(&device, 1, "hello") });
    }
    room.commit_all();
}

fn devices(count: usize) -> impl Iterator<Item = SenderKey> {
    (0..count).map(|number| device("crowd", &format!("d{number}")))
}

fn keys(count: usize) -> impl Iterator<Item = SenderKey> {
    (0..count).map(|number| device("crowd", &format!("key:{number}")))
}

/// Ann's phone wrote first, as number 2, and was pushed out by as many others as the state keeps.
fn room_without_ann() -> TestRoom {
    let mut room = TestRoom::with_writes(1);
    write_of_each(&mut room, devices(SENDERS_MAX));
    assert_eq!(room.log.head(), Seq::new(2 + SENDERS_MAX as u64));
    room
}

#[test]
fn a_device_that_was_pushed_out_is_unknown() {
    let mut room = room_without_ann();
    let ann = ann();
    for since in [0, 1] {
        let since = Seq::new(since);
        let table = [
            Submit { since, ..send(&ann, 1, "text 1") },
            Submit { since, ..send(&ann, 2, "text 2") },
            Submit { since, prev: 0, ..send(&ann, 9, "any prev") },
            Submit { since, rights: MAY_READ, ..send(&ann, 1, "before its rights are looked at") },
        ];
        for write in table {
            let expected = [(write.reply, Err(Refusal::UnknownDevice))];
            assert_eq!(replies(&room.submit(write)), expected);
        }
    }
    assert_eq!(room.core.committed().last_n(&ann), 0);
    room.activate();
    assert_eq!(replies(&room.submit(send(&ann, 1, "text 1"))), [(1, Err(Refusal::UnknownDevice))]);
}

#[test]
fn a_new_device_shows_by_what_it_saw_that_it_never_wrote() {
    let mut room = room_without_ann();
    let new = device("ann", "tablet");
    assert_eq!(replies(&room.submit(send(&new, 1, "saw nothing"))), [(1, Err(Refusal::UnknownDevice))]);
    let since = Seq::new(2);
    let gap = Submit { since, ..send(&new, 2, "out of order") };
    assert_eq!(replies(&room.submit(gap)), [(2, Err(Refusal::OutOfOrder { last: 0 }))]);
    let seq = room.write(Submit { since, ..send(&new, 1, "saw number 2") });
    assert_eq!(replies(&room.submit(send(&new, 1, "saw number 2"))), [(1, duplicate(seq.get()))], "known from now on");
    let pushed_out = Submit { since, ..send(&device("crowd", "d0"), 1, "hello") };
    assert_eq!(replies(&room.submit(pushed_out)), [(1, Err(Refusal::UnknownDevice))], "it made room for the new one");
}

#[test]
fn who_wrote_last_stays() {
    let mut room = TestRoom::with_writes(1);
    write_of_each(&mut room, devices(SENDERS_MAX - 1));
    assert_eq!(room.write(send(&ann(), 2, "here I am")), Seq::new(10_002));
    write_of_each(&mut room, std::iter::once(device("crowd", "new")));
    assert_eq!(replies(&room.submit(send(&ann(), 1, "text 1"))), [(1, duplicate(2))]);
    assert_eq!(replies(&room.submit(send(&device("crowd", "d0"), 1, "hello"))), [(1, Err(Refusal::UnknownDevice))]);
    assert_eq!(replies(&room.submit(send(&device("crowd", "d1"), 1, "hello"))), [(1, duplicate(4))]);
}

#[test]
fn a_device_is_forgotten_when_that_is_committed() {
    let mut room = TestRoom::with_writes(1);
    write_of_each(&mut room, devices(SENDERS_MAX - 1));
    let push_out = || Submit { reply: 50, ..send(&device("crowd", "new"), 1, "hello") };
    let (known, next) = (|| send(&ann(), 1, "text 1"), || send(&ann(), 2, "text 2"));
    room.submit(push_out());
    assert_eq!(replies(&room.submit(known())), [(1, duplicate(2))], "what is committed is known still");
    assert_eq!(room.submit(next()), [], "what rests on a write that is not committed waits for it");
    room.reject_full();
    assert_eq!(room.write(next()), Seq::new(10_002), "which did not come about");

    let mut room = TestRoom::with_writes(1);
    write_of_each(&mut room, devices(SENDERS_MAX - 1));
    room.submit(push_out());
    room.submit(next());
    assert_eq!(replies(&room.commit()), [(50, ack(10_002)), (2, Err(Refusal::UnknownDevice))]);
    assert_eq!(replies(&room.submit(known())), [(1, Err(Refusal::UnknownDevice))]);
}

/// What a device wrote before it was pushed out must not be stored again when a late copy comes after its return.
#[test]
fn the_writes_of_a_device_s_earlier_life_are_not_stored_again() {
    let mut room = room_without_ann();
    let since = Seq::new(2);
    room.write(Submit { since, ..send(&device("ann", "tablet"), 1, "I am new") });
    let late = Submit { since: Seq::new(1), ..send(&ann(), 1, "text 1") };
    assert_eq!(replies(&room.submit(late)), [(1, Err(Refusal::UnknownDevice))]);
}

#[test]
fn keys_and_devices_do_not_push_each_other_out() {
    let mut room = TestRoom::with_writes(1);
    let key = device("ann", "key:0123456789abcdef");
    assert_eq!(room.write(send(&key, 1, "with a key")), Seq::new(3));
    write_of_each(&mut room, keys(SENDERS_MAX));
    assert_eq!(replies(&room.submit(send(&ann(), 1, "text 1"))), [(1, duplicate(2))]);
    assert_eq!(replies(&room.submit(send(&key, 1, "with a key"))), [(1, Err(Refusal::UnknownDevice))]);
    let last_key = keys(SENDERS_MAX).last().unwrap();
    assert_eq!(replies(&room.submit(send(&last_key, 1, "hello"))), [(1, duplicate(room.log.head().get()))]);

    assert_eq!(
        appended(&room.submit(send(&device("ann", "tablet"), 1, "saw nothing"))),
        [[10_004]],
        "no device was forgotten"
    );
    room.commit();
    let fresh_key = |since| Submit { since: Seq::new(since), ..send(&device("eve", "key:1"), 1, "with a key") };
    assert_eq!(replies(&room.submit(fresh_key(2))), [(1, Err(Refusal::UnknownDevice))]);
    assert_eq!(room.write(fresh_key(3)), Seq::new(10_005));
    assert_eq!(room.log.replay(), *room.core.committed());
}

#[test]
fn an_idempotency_key_is_used_once() {
    let mut room = TestRoom::with_writes(1);
    let key = device("ann", "key:0123456789abcdef");
    let seq = room.write(send(&key, 1, "with a key")).get();
    assert_eq!(replies(&room.submit(send(&key, 1, "with a key"))), [(1, duplicate(seq))]);
    assert_eq!(replies(&room.submit(send(&key, 1, "another body"))), [(1, Err(Refusal::Conflict))]);
    let of_another = device("bob", "key:0123456789abcdef");
    assert_eq!(room.write(send(&of_another, 1, "another's key")).get(), seq + 1);
}
