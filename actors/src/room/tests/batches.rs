//! How entries are numbered, stamped, chained and put into batches.

use rollcall_protocol::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, BODY_BYTES_MAX};
use rollcall_protocol::{Body, Entry, Epoch, Kind, OwnerId, Seq, hash};

use super::test_room::{TestRoom, ack, ann, appended, bob, device, replies, send, text};
use crate::fencing::BUCKET_ENTRIES;
use crate::room::{Effect, RoomChange, Submit};

/// A body of this many bytes.
fn body_of(bytes: usize) -> Option<Body> {
    Some(Body::from_value(&"x".repeat(bytes - 2)).unwrap())
}

#[test]
fn the_first_write_creates_the_room_in_the_same_batch() {
    let mut room = TestRoom::new();
    let effects = room.submit(Submit { reply: 7, ..send(&ann(), 1, "hello") });
    let [Effect::Append(batch)] = effects.as_slice() else { panic!("one append, not {effects:?}") };
    let [creation, message] = &**batch else { panic!("two entries, not {}", batch.len()) };

    let creation_body = Body::from_value(&RoomChange { creator: Some(ann().user), ..RoomChange::default() }).unwrap();
    let salt = creation.salt.unwrap();
    assert_ne!(Some(salt), message.salt, "the message's salt is not given away by the creation's");
    let mut expected = Entry {
        seq: Seq::new(1),
        kind: Kind::Room,
        created_at_ms: 1_000,
        sender: ann().user,
        device: None,
        n: 0,
        target: None,
        content_hash: hash::content(&salt, Some(creation_body.as_str())),
        body: Some(creation_body),
        salt: Some(salt),
        hash: hash::genesis(&room.log.room),
        epoch: Epoch::new(1),
        owner: OwnerId(1_001),
    };
    expected.hash = expected.expected_hash(hash::genesis(&room.log.room));
    assert_eq!(*creation, expected);
    let mut expected = Entry {
        seq: Seq::new(2),
        kind: Kind::Message,
        device: Some(ann().device),
        n: 1,
        content_hash: hash::content(&message.salt.unwrap(), Some(text("hello").as_str())),
        body: Some(text("hello")),
        salt: message.salt,
        ..expected
    };
    expected.hash = expected.expected_hash(creation.hash);
    assert_eq!(*message, expected);

    let committed = room.commit();
    assert_eq!(committed, [Effect::Deliver(batch.clone()), Effect::Reply(7, ack(2))]);
    assert_eq!(room.core.committed().head, Seq::new(2));
    assert_eq!(room.core.committed().hash, expected.hash);
}

/// The two belong together even where the write fills a batch alone.
#[test]
fn a_large_first_write_is_committed_with_the_creation() {
    let mut room = TestRoom::new();
    let effects = room.submit(Submit { body: body_of(BODY_BYTES_MAX), ..send(&ann(), 1, "") });
    assert_eq!(appended(&effects), [[1, 2]]);
}

#[test]
fn time_never_falls_where_the_clock_does() {
    let mut room = TestRoom::new();
    let mut stamps = Vec::new();
    for (n, now_ms) in (1..).zip([5_000, 4_000, 5_001, -3, 9_000]) {
        room.now_ms = now_ms;
        let seq = room.write(send(&ann(), n, "tick"));
        stamps.push(room.log.entry(seq).unwrap().created_at_ms);
    }
    room.activate();
    room.now_ms = 0;
    let seq = room.write(send(&ann(), 6, "under the next owner"));
    stamps.push(room.log.entry(seq).unwrap().created_at_ms);
    assert_eq!(stamps, [5_000, 5_000, 5_001, 5_001, 9_000, 9_000]);
}

/// The test's log recomputes every hash, and refuses a batch that does not prove itself.
#[test]
fn the_chain_goes_on_under_the_next_owner() {
    let mut room = TestRoom::with_writes(3);
    room.activate();
    room.write(send(&ann(), 4, "four"));
    let [before, last] = &room.log.entries[3..] else { panic!("five entries") };
    assert_eq!(last.hash, last.expected_hash(before.hash));
    assert_eq!((before.epoch, last.epoch), (Epoch::new(1), Epoch::new(2)));
}

#[test]
fn what_arrives_during_an_append_forms_the_next_batch() {
    let mut room = TestRoom::new();
    assert_eq!(appended(&room.submit(send(&ann(), 1, "one"))), [[1, 2]]);
    assert_eq!(room.submit(send(&ann(), 2, "two")), []);
    assert_eq!(room.submit(send(&bob(), 1, "one")), []);
    assert_eq!(room.core.pending(), 4);
    assert_eq!(room.core.committed().head, Seq::ZERO, "nothing shows before it is committed");
    let first = room.in_flight().unwrap().to_vec();
    let effects = room.commit();
    let [Effect::Append(next), Effect::Deliver(delivered), Effect::Reply(1, answer)] = effects.as_slice() else {
        panic!("the log is given work first, then the batch is shown, then its writers are answered: {effects:?}")
    };
    assert_eq!(next.iter().map(|entry| entry.seq.get()).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(**delivered, *first);
    assert_eq!(*answer, ack(2));
    assert_eq!(replies(&room.commit()), [(2, ack(3)), (1, ack(4))]);
    assert_eq!(room.core.pending(), 0);
}

/// Submits writes while an append is in flight, and returns how many entries the batches after it have.
fn batches_of(room: &mut TestRoom, writes: impl IntoIterator<Item = Submit<u32>>) -> Vec<usize> {
    assert!(!room.submit(send(&device("zoe", "phone"), 1, "in flight")).is_empty());
    for write in writes {
        assert_eq!(room.submit(write), []);
    }
    appended(&room.commit_all()).iter().map(Vec::len).collect()
}

fn of_many_devices(count: usize) -> impl Iterator<Item = Submit<u32>> {
    (0..count).map(|number| send(&device("ann", &format!("d{number}")), 1, "hello"))
}

#[test]
fn a_batch_has_so_many_entries_at_most() {
    let batches = batches_of(&mut TestRoom::new(), of_many_devices(2 * BATCH_ENTRIES_MAX + 3));
    assert_eq!(batches, [BATCH_ENTRIES_MAX, BATCH_ENTRIES_MAX, 3]);
}

#[test]
fn a_batch_has_so_many_bytes_at_most_unless_it_is_one_entry() {
    let most = BATCH_BYTES_MAX;
    let table: &[(&[usize], &[usize])] = &[
        (&[most / 2, most / 2], &[2]),
        (&[most / 2, most / 2 + 1], &[1, 1]),
        (&[most, 3], &[1, 1]),
        (&[3, most], &[1, 1]),
        (&[3, most + 1, 3, 3], &[1, 1, 2]),
        (&[BODY_BYTES_MAX, BODY_BYTES_MAX], &[1, 1]),
        (&[100; 5], &[5]),
    ];
    for (bodies, batches) in table {
        let writes = (1..).zip(*bodies).map(|(n, &bytes)| Submit { body: body_of(bytes), ..send(&ann(), n, "") });
        assert_eq!(batches_of(&mut TestRoom::new(), writes), *batches, "{bodies:?}");
    }
}

#[test]
fn a_batch_never_crosses_a_bucket() {
    let mut room = TestRoom::new();
    let mut devices = of_many_devices(4_200);
    while room.log.head() < Seq::new(BUCKET_ENTRIES - 3) {
        room.write(devices.next().unwrap());
    }
    let batches = batches_of(&mut room, devices.take(10));
    assert_eq!(batches, [2, 8]);
    assert_eq!(room.log.head(), Seq::new(BUCKET_ENTRIES + 8));
}
