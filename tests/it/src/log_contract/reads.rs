//! Reads.

use rollcall_actors::ports::ReadRange;
use rollcall_protocol::{Body, Kind, RoomId, Seq};

use super::LogUnderTest;
use crate::scribe::{Scribe, after_up_to, read_all};

/// *Reads entries, from the first after `range.after` on*, up to and with `through`.
pub async fn reads_return_ranges_in_order(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    let mut neighbour = Scribe::activate(&*log, &under_test.room("room2"), 1).await;
    let mut stored = Vec::new();
    for count in [1, 4, 20] {
        stored.extend(scribe.commit_messages(&*log, count).await);
        neighbour.commit_messages(&*log, count).await;
    }
    for after in 0..=26 {
        for through in 0..=26 {
            let read = log.read(&scribe.room, after_up_to(Seq::new(after), through, 100)).await.unwrap();
            let expected = stored.iter().filter(|entry| (after + 1..=through).contains(&entry.seq.get()));
            assert_eq!(read, expected.cloned().collect::<Vec<_>>(), "after {after} through {through}");
        }
    }
}

/// *At most this many; no further entry once the bodies have reached this size; the first is always read.*
pub async fn reads_stop_at_their_limits(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    let body_bytes = Body::text(&"x".repeat(100)).unwrap().as_str().len();
    let entries = (0..10).map(|_| scribe.message(&"x".repeat(100))).collect();
    scribe.commit(&*log, entries).await;
    for (entries_max, bytes_max, expected) in [
        (0, usize::MAX, 0),
        (1, usize::MAX, 1),
        (7, usize::MAX, 7),
        (100, usize::MAX, 8),
        (100, 0, 1),
        (100, 1, 1),
        (100, body_bytes, 1),
        (100, body_bytes + 1, 2),
        (100, 3 * body_bytes, 3),
        (2, 3 * body_bytes, 2),
    ] {
        let range = ReadRange { after: Seq::new(2), through: Seq::new(10), entries_max, bytes_max };
        let read = log.read(&scribe.room, range).await.unwrap();
        assert_eq!(read.len(), expected, "{entries_max} entries, {bytes_max} bytes");
        assert_eq!(read.first().map(|entry| entry.seq), (expected > 0).then(|| Seq::new(3)));
    }
}

/// What is read is what was appended, of every kind and shape.
pub async fn reads_return_what_was_appended_field_by_field(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = Scribe::activate(&*log, &under_test.room(&"r".repeat(128)), u128::MAX).await;
    let server_made = scribe.changed_entry(Kind::Room, None, Some("the room"), |entry| {
        entry.device = None;
        entry.n = 0;
    });
    let mut entries = vec![server_made, scribe.message("läßt 🦀 zu \u{0} \" \\ und Zeilen\n")];
    entries.push(scribe.entry(Kind::React, Some(2), Some("👍")));
    entries.push(scribe.entry(Kind::Member, None, None));
    entries.push(scribe.message(""));
    entries.push(scribe.message(&"🦀".repeat(100_000)));
    entries.push(scribe.edit(2, "anders"));
    entries.push(scribe.changed_entry(Kind::Message, None, Some("the last"), |last| {
        last.created_at_ms = i64::MIN;
        last.n = rollcall_protocol::NUMBER_MAX;
        last.sender = "a@b.example|c=~+".parse().unwrap();
    }));
    scribe.commit(&*log, entries.clone()).await;
    assert_eq!(read_all(&*log, &scribe.room).await, entries);
}

/// *None means that the log ends there*: beyond the end, and in a room that nobody wrote to.
pub async fn reads_beyond_the_end_are_empty(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    scribe.commit_messages(&*log, 3).await;
    for after in [3, 4, 1_000_000] {
        let range = after_up_to(Seq::new(after), rollcall_protocol::NUMBER_MAX, 10);
        assert_eq!(log.read(&scribe.room, range).await, Ok(vec![]));
    }
    let unknown = RoomId::parse(&under_test.room("roo")).unwrap();
    assert_eq!(log.read(&unknown, after_up_to(Seq::ZERO, 10, 10)).await, Ok(vec![]));
    assert_eq!(log.tail(&unknown).await, Ok(None));
    assert_eq!(log.read_snapshot(&unknown, Seq::new(10)).await, Ok(None));
}

/// *Reads where the room stands, linearizably: an append that was answered before is included.*
pub async fn tail_includes_what_was_answered(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    for _ in 0..50 {
        scribe.commit_messages(&*log, 1).await;
        let reader = under_test.log();
        let tail = reader.tail(&scribe.room).await.unwrap().unwrap();
        assert_eq!((tail.last_seq, tail.fence), (scribe.last_seq, scribe.fence));
        let range = after_up_to(scribe.last_seq.previous(), scribe.last_seq.get(), 1);
        assert_eq!(reader.read(&scribe.room, range).await.unwrap().len(), 1);
    }
}
