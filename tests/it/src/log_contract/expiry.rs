//! Expiry: *drops the entries before `floor`; what is read afterwards below it is `Expired`; the numbering goes on.*

use rollcall_actors::ports::{Activate, Log, LogError, StoredSnapshot};
use rollcall_protocol::{OwnerId, Seq};

use super::LogUnderTest;
use crate::scribe::{Scribe, after_up_to};

/// A room of `entries` with a snapshot at `snapshot_at`.
async fn room_with_snapshot(under_test: &impl LogUnderTest, entries: usize, snapshot_at: u64) -> Scribe {
    let log = under_test.log();
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    scribe.commit_messages(&*log, entries).await;
    let snapshot = StoredSnapshot { seq: Seq::new(snapshot_at), parts: vec![b"state".to_vec()] };
    log.write_snapshot(&scribe.room, snapshot).await.unwrap();
    scribe
}

async fn floor(log: &dyn Log, scribe: &Scribe) -> u64 {
    match log.read(&scribe.room, after_up_to(Seq::ZERO, 1, 1)).await {
        Err(LogError::Expired { floor }) => floor.get(),
        Ok(_) => 1,
        Err(error) => panic!("{error}"),
    }
}

/// Below the floor reads say where it is; above it nothing changes.
pub async fn expired_entries_are_named_as_such(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let scribe = room_with_snapshot(under_test, 3_000, 2_500).await;
    log.expire_before(&scribe.room, Seq::new(2_401)).await.unwrap();
    for after in [0, 1, 2_399] {
        for through in [after + 1, 3_000] {
            let read = log.read(&scribe.room, after_up_to(Seq::new(after), through, 10)).await;
            assert_eq!(read, Err(LogError::Expired { floor: Seq::new(2_401) }), "after {after} through {through}");
        }
    }
    assert_eq!(log.read(&scribe.room, after_up_to(Seq::new(5), 5, 10)).await, Ok(vec![]), "nothing was asked for");
    let kept = log.read(&scribe.room, after_up_to(Seq::new(2_400), 3_000, 1_000)).await.unwrap();
    assert_eq!(kept.iter().map(|entry| entry.seq.get()).collect::<Vec<_>>(), (2_401..=3_000).collect::<Vec<_>>());
}

/// The room's numbering, its fence and its tail are those of before.
pub async fn numbering_goes_on_after_expiry(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = room_with_snapshot(under_test, 10, 10).await;
    log.expire_before(&scribe.room, Seq::new(11)).await.unwrap();
    let tail = log.tail(&scribe.room).await.unwrap().unwrap();
    assert_eq!((tail.last_seq, tail.fence), (Seq::new(10), scribe.fence));
    let more = scribe.commit_messages(&*log, 2).await;
    assert_eq!(log.read(&scribe.room, after_up_to(Seq::new(10), 100, 10)).await, Ok(more));
    assert_eq!(log.activate(&scribe.room, Activate::by(OwnerId(2))).await.unwrap().tail.last_seq, Seq::new(12));
}

/// *A floor above the newest snapshot's number plus one, or above the last entry's, is lowered to that.*
pub async fn a_floor_never_rises_above_what_a_snapshot_covers(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    scribe.commit_messages(&*log, 10).await;
    log.expire_before(&scribe.room, Seq::new(5)).await.unwrap();
    assert_eq!(floor(&*log, &scribe).await, 1, "without a snapshot everything is needed");
    let snapshot = StoredSnapshot { seq: Seq::new(4), parts: vec![b"state".to_vec()] };
    log.write_snapshot(&scribe.room, snapshot).await.unwrap();
    log.expire_before(&scribe.room, Seq::new(9)).await.unwrap();
    assert_eq!(floor(&*log, &scribe).await, 5);
    let snapshot = StoredSnapshot { seq: Seq::new(10), parts: vec![b"state".to_vec()] };
    log.write_snapshot(&scribe.room, snapshot).await.unwrap();
    log.expire_before(&scribe.room, Seq::new(1_000)).await.unwrap();
    assert_eq!(floor(&*log, &scribe).await, 11);
    assert_eq!(log.tail(&scribe.room).await.unwrap().unwrap().last_seq, Seq::new(10));
}

/// *One at or below the present floor changes nothing.*
pub async fn a_floor_never_falls(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let scribe = room_with_snapshot(under_test, 10, 10).await;
    for (asked, expected) in [(6, 6), (3, 6), (6, 6), (1, 6), (0, 6), (7, 7)] {
        log.expire_before(&scribe.room, Seq::new(asked)).await.unwrap();
        assert_eq!(floor(&*log, &scribe).await, expected);
    }
}

/// An edit above the floor loses its body with a target that has expired.
pub async fn redactions_reach_edits_of_expired_targets(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = room_with_snapshot(under_test, 5, 5).await;
    let edit = scribe.edit(2, "still here");
    scribe.commit(&*log, vec![edit]).await;
    log.expire_before(&scribe.room, Seq::new(6)).await.unwrap();
    let redaction = scribe.redact(2);
    scribe.commit(&*log, vec![redaction]).await;
    let entries = log.read(&scribe.room, after_up_to(Seq::new(5), 10, 10)).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.body.is_some()).collect::<Vec<_>>(), [false, false]);
    assert!(entries[0].is_redacted());
}
