//! Snapshots.

use rollcall_actors::ports::{Log, StoredSnapshot};
use rollcall_protocol::{RoomId, Seq};

use super::LogUnderTest;
use crate::scribe::Scribe;

fn snapshot(seq: u64, parts: &[&[u8]]) -> StoredSnapshot {
    StoredSnapshot { seq: Seq::new(seq), parts: parts.iter().map(|part| part.to_vec()).collect() }
}

async fn read(log: &dyn Log, room: &RoomId, at_most: u64) -> Option<StoredSnapshot> {
    log.read_snapshot(room, Seq::new(at_most)).await.unwrap()
}

/// *Reads the newest snapshot whose number is at most `at_most`, if there is one.*
pub async fn the_newest_snapshot_that_is_not_too_new(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    let mut neighbour = Scribe::activate(&*log, &under_test.room("room."), 1).await;
    scribe.commit_messages(&*log, 10).await;
    neighbour.commit_messages(&*log, 10).await;
    assert_eq!(read(&*log, &scribe.room, 10).await, None);
    let (older, newer) = (snapshot(3, &[b"three"]), snapshot(7, &[b"se", b"", b"ven"]));
    log.write_snapshot(&scribe.room, older.clone()).await.unwrap();
    log.write_snapshot(&scribe.room, newer.clone()).await.unwrap();
    for (at_most, expected) in
        [(0, None), (2, None), (3, Some(&older)), (6, Some(&older)), (7, Some(&newer)), (1 << 40, Some(&newer))]
    {
        assert_eq!(read(&*log, &scribe.room, at_most).await.as_ref(), expected, "at most {at_most}");
    }
    assert_eq!(read(&*log, &neighbour.room, 10).await, None, "a room's snapshots are its own");
}

/// A second snapshot of the same number takes the place of the first as a whole.
pub async fn a_snapshot_is_written_again(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    scribe.commit_messages(&*log, 5).await;
    for parts in [&[b"one".as_slice(), b"two", b"three"][..], &[b"uno", b"due"], &[b"eins"], &[b"a", b"b"]] {
        let snapshot = snapshot(5, parts);
        log.write_snapshot(&scribe.room, snapshot.clone()).await.unwrap();
        assert_eq!(read(&*log, &scribe.room, 5).await, Some(snapshot));
    }
}

/// *Older ones may be dropped once it is durable*, but the newest never, nor the one before: its format may be the only known.
pub async fn older_snapshots_go_when_newer_ones_came(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    for seq in 1..=20 {
        scribe.commit_messages(&*log, 1).await;
        let text = format!("state {seq}").into_bytes();
        let parts = if seq % 2 == 0 { vec![text.clone(), text] } else { vec![text] };
        let snapshot = StoredSnapshot { seq: Seq::new(seq), parts };
        log.write_snapshot(&scribe.room, snapshot.clone()).await.unwrap();
        assert_eq!(read(&*log, &scribe.room, seq).await, Some(snapshot));
        let before = read(&*log, &scribe.room, seq - 1).await.map(|snapshot| snapshot.seq);
        assert_eq!(before, (seq > 1).then(|| Seq::new(seq - 1)));
    }
    // A late snapshot of a stale owner does no harm.
    log.write_snapshot(&scribe.room, snapshot(2, &[b"stale"])).await.unwrap();
    assert_eq!(read(&*log, &scribe.room, 20).await.map(|snapshot| snapshot.seq), Some(Seq::new(20)));
}

/// The state from before a redaction may hold traces of what was redacted, so it goes with the first snapshot from after.
pub async fn a_snapshot_from_before_a_redaction_goes(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    scribe.commit_messages(&*log, 3).await;
    log.write_snapshot(&scribe.room, snapshot(3, &[b"knows a tag of 1"])).await.unwrap();
    let redaction = scribe.redact(1);
    scribe.commit(&*log, vec![redaction]).await;
    assert!(read(&*log, &scribe.room, 3).await.is_some(), "until then it is the only one");
    log.write_snapshot(&scribe.room, snapshot(4, &[b"clean"])).await.unwrap();
    assert_eq!(read(&*log, &scribe.room, 3).await, None);
    assert_eq!(read(&*log, &scribe.room, 4).await, Some(snapshot(4, &[b"clean"])));
}

/// Parts come back in their order, also of a state of several megabytes.
pub async fn large_snapshots_keep_their_parts_in_order(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    scribe.commit_messages(&*log, 1).await;
    let parts = (0..20u8).map(|part| (0..=255u8).cycle().map(|byte| byte ^ part).take(256 * 1024).collect());
    let snapshot = StoredSnapshot { seq: Seq::FIRST, parts: parts.collect() };
    log.write_snapshot(&scribe.room, snapshot.clone()).await.unwrap();
    assert!(read(&*log, &scribe.room, 1).await == Some(snapshot), "the parts differ");
}

/// A room exists from its first entry, and a snapshot does not make it.
pub async fn a_snapshot_of_an_unknown_room_changes_nothing(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let room = RoomId::parse(&under_test.room("room")).unwrap();
    log.write_snapshot(&room, snapshot(1, &[b"of nothing"])).await.unwrap();
    log.expire_before(&room, Seq::new(5)).await.unwrap();
    assert_eq!(log.tail(&room).await, Ok(None));
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    assert_eq!(scribe.last_seq, Seq::ZERO);
    scribe.commit_messages(&*log, 1).await;
    assert_eq!(read(&*log, &room, 9).await, None);
}
