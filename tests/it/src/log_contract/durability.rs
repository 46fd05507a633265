//! Durability: what was answered is there after a reopen.

use rollcall_actors::ports::{Activate, AppendOutcome, LogError, NotCommitted, StoredSnapshot};
use rollcall_protocol::{OwnerId, Seq};

use super::LogUnderTest;
use crate::scribe::{Scribe, after_up_to, read_all};

/// *What was answered `Committed` is there after any crash, and is read by every later `read`, `tail` and `activate`.*
pub async fn what_was_committed_is_there_after_a_reopen(under_test: &mut impl LogUnderTest) {
    let mut expected = Vec::new();
    for _ in 0..3 {
        let log = under_test.log();
        let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
        for count in [1, 7, 64] {
            expected.extend(scribe.commit_messages(&*log, count).await);
        }
        drop(log);
        under_test.reopen();
        let log = under_test.log();
        assert_eq!(read_all(&*log, &scribe.room).await, expected);
        let tail = log.tail(&scribe.room).await.unwrap().unwrap();
        assert_eq!((tail.last_seq, tail.fence), (scribe.last_seq, scribe.fence));
        let tail = log.activate(&scribe.room, Activate::by(OwnerId(9))).await.unwrap().tail;
        assert_eq!(tail.last_seq, scribe.last_seq);
    }
}

/// *`activate` makes every earlier fence fail*: also when the log was reopened meanwhile.
pub async fn fences_outlive_a_reopen(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut old = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    old.commit_messages(&*log, 1).await;
    let new = Scribe::activate(&*log, &under_test.room("room"), 2).await;
    drop(log);
    under_test.reopen();
    let log = under_test.log();
    let late = old.messages(1);
    assert_eq!(log.append(old.append(late)).await, AppendOutcome::NotCommitted(NotCommitted::Fenced));
    let tail = log.tail(&new.room).await.unwrap().unwrap();
    assert_eq!((tail.last_seq, tail.fence), (new.last_seq, new.fence));
    Scribe::activate(&*log, &under_test.room("room"), 3).await.commit_messages(&*log, 1).await;
}

/// A redaction is not undone by a reopen.
pub async fn redactions_outlive_a_reopen(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    scribe.commit_messages(&*log, 3).await;
    let redaction = scribe.redact(2);
    scribe.commit(&*log, vec![redaction]).await;
    drop(log);
    under_test.reopen();
    let log = under_test.log();
    let entries = read_all(&*log, &scribe.room).await;
    assert_eq!(entries.iter().map(|entry| entry.body.is_some()).collect::<Vec<_>>(), [true, false, true, false]);
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 2).await;
    let edit = scribe.edit(2, "late");
    scribe.commit(&*log, vec![edit]).await;
    assert!(read_all(&*log, &scribe.room).await[4].is_redacted(), "the redaction of 2 was forgotten");
}

/// *A snapshot is durable when `write_snapshot` answers `Ok`*, and so is a floor.
pub async fn snapshots_and_floors_outlive_a_reopen(under_test: &mut impl LogUnderTest) {
    let log = under_test.log();
    let mut scribe = Scribe::activate(&*log, &under_test.room("room"), 1).await;
    scribe.commit_messages(&*log, 10).await;
    let snapshot = StoredSnapshot { seq: Seq::new(6), parts: vec![b"one".to_vec(), b"two".to_vec()] };
    log.write_snapshot(&scribe.room, snapshot.clone()).await.unwrap();
    log.expire_before(&scribe.room, Seq::new(5)).await.unwrap();
    drop(log);
    under_test.reopen();
    let log = under_test.log();
    assert_eq!(log.read_snapshot(&scribe.room, Seq::new(10)).await, Ok(Some(snapshot)));
    let expired = log.read(&scribe.room, after_up_to(Seq::ZERO, 10, 10)).await;
    assert_eq!(expired, Err(LogError::Expired { floor: Seq::new(5) }));
    assert_eq!(log.read(&scribe.room, after_up_to(Seq::new(4), 10, 10)).await.unwrap().len(), 6);
}
