//! The embedded log with faults at its commit: P3 (durable first) at the disk, unknown outcomes, and healing.
#![expect(clippy::unwrap_used, reason = "a test: an unwrap is the assertion")]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rollcall::log::embedded::FaultPoints;
use rollcall::log::{EmbeddedLog, EmbeddedOptions};
use rollcall_actors::ports::{Activate, AppendOutcome, Log, LogError, LogTail, NotCommitted, StoredSnapshot};
use rollcall_it::machine::eventually;
use rollcall_it::scribe::{Scribe, assert_chained, read_all};
use rollcall_protocol::{OwnerId, RoomId, Seq};
use tempfile::TempDir;

const FENCED: AppendOutcome = AppendOutcome::NotCommitted(NotCommitted::Fenced);

struct Faulty {
    log: Arc<EmbeddedLog>,
    faults: FaultPoints,
    options: EmbeddedOptions,
    folder: TempDir,
}

impl Faulty {
    fn open(options: &EmbeddedOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let faults = FaultPoints::default();
        let options = EmbeddedOptions {
            faults: faults.clone(),
            reopen_pause: (Duration::from_millis(20), Duration::from_millis(50)),
            ..options.clone()
        };
        let log = Arc::new(EmbeddedLog::open(folder.path(), options.clone()).unwrap());
        Self { log, faults, options, folder }
    }

    fn wait_until_held(&self) {
        assert!(self.faults.wait_until_held(Duration::from_secs(10)), "nothing was committed");
    }

    async fn tail_once_open(&self, room: &RoomId) -> Option<LogTail> {
        eventually("the log is open again", async || self.log.tail(room).await.ok()).await
    }

    /// Closes the log and opens its folder again, as a new process would.
    fn restart(mut self) -> Self {
        self.log.close();
        self.log = Arc::new(EmbeddedLog::open(self.folder.path(), self.options.clone()).unwrap());
        self
    }
}

fn is_pending<T>(future: &mut (impl Future<Output = T> + Unpin)) -> bool {
    matches!(pin!(future).poll(&mut Context::from_waker(Waker::noop())), Poll::Pending)
}

#[tokio::test]
async fn while_the_sync_is_held_nothing_is_acked_or_shown() {
    let faulty = Faulty::open(&EmbeddedOptions::default());
    let log = &*faulty.log;
    let mut scribe = Scribe::activate(log, "room", 1).await;
    let before = scribe.commit_messages(log, 2).await;
    let tail_before = log.tail(&scribe.room).await;

    faulty.faults.hold_syncs();
    let mut new_room = Scribe::activate(log, "new-room", 1).await;
    let held = scribe.messages(3);
    let held_in_new_room = new_room.messages(2);
    let mut append = log.append(scribe.append(held.clone()));
    let mut append_in_new_room = log.append(new_room.append(held_in_new_room.clone()));
    let mut activation = log.activate(&scribe.room, Activate::by(OwnerId(2)));
    faulty.wait_until_held();

    for _ in 0..3 {
        assert!(is_pending(&mut append) && is_pending(&mut append_in_new_room) && is_pending(&mut activation));
        assert_eq!(log.tail(&scribe.room).await, tail_before);
        assert_eq!(read_all(log, &scribe.room).await, before);
        assert_eq!(log.tail(&new_room.room).await, Ok(None));
        assert_eq!(read_all(log, &new_room.room).await, []);
        assert_eq!(log.rooms().count(), 1);
    }

    faulty.faults.release_syncs();
    assert_eq!(append.await, AppendOutcome::Committed);
    assert_eq!(append_in_new_room.await, AppendOutcome::Committed);
    assert_eq!(activation.await.unwrap().tail.last_seq, scribe.last_seq);
    assert_eq!(read_all(log, &scribe.room).await, [before, held].concat());
    assert_eq!(read_all(log, &new_room.room).await, held_in_new_room);
}

/// Fails the group that holds appends of several rooms, and finds all of each or nothing, as `is_kept` says.
async fn a_failed_group_is_kept_whole_or_lost_whole(fail: impl Fn(&FaultPoints), is_kept: bool) {
    let faulty = Faulty::open(&EmbeddedOptions::default());
    let log = &*faulty.log;
    let mut scribes = Vec::new();
    for room in ["one", "two", "three"] {
        let mut scribe = Scribe::activate(log, room, 1).await;
        let stored = scribe.commit_messages(log, 5).await;
        scribes.push((scribe, stored));
    }
    let mut bystander = Scribe::activate(log, "bystander", 1).await;
    bystander.commit_messages(log, 1).await;

    // The first append is held alone, so that the others gather into one group, which then fails.
    faulty.faults.hold_syncs();
    let held = bystander.messages(1);
    let held = log.append(bystander.append(held));
    faulty.wait_until_held();
    let mut appends = Vec::new();
    for (scribe, stored) in &mut scribes {
        let batch = scribe.messages(4);
        appends.push(log.append(scribe.append(batch.clone())));
        let next = scribe.messages(2);
        appends.push(log.append(scribe.append(next.clone())));
        if is_kept {
            stored.extend(batch);
            stored.extend(next);
        }
    }
    faulty.faults.release_one_sync();
    assert_eq!(held.await, AppendOutcome::Committed);
    faulty.wait_until_held();
    fail(&faulty.faults);
    faulty.faults.release_syncs();
    for append in appends {
        let outcome = append.await;
        assert!(matches!(outcome, AppendOutcome::Unknown(_)), "{outcome:?}");
    }

    for (scribe, stored) in &scribes {
        let tail = faulty.tail_once_open(&scribe.room).await.unwrap();
        assert_eq!(tail.last_seq, stored.last().unwrap().seq, "whole or not at all");
        assert_eq!(read_all(log, &scribe.room).await, *stored);
        // The owner whose append is unknown numbers nothing more, whatever it tries.
        let mut stale = Scribe::resume(log, scribe.room.clone(), tail).await.unwrap();
        let late = stale.messages(1);
        assert_eq!(log.append(stale.append(late)).await, FENCED);
    }
    // An owner that lost nothing goes on.
    bystander.commit_messages(log, 1).await;
    for (scribe, stored) in &mut scribes {
        let tail = log.activate(&scribe.room, Activate::by(OwnerId(2))).await.unwrap().tail;
        let mut next = Scribe::resume(log, scribe.room.clone(), tail).await.unwrap();
        stored.extend(next.commit_messages(log, 3).await);
    }
    let stats = log.stats();
    assert_eq!((stats.failures, stats.reopens), (1, 1));

    let faulty = faulty.restart();
    for (scribe, stored) in &scribes {
        assert_eq!(read_all(&*faulty.log, &scribe.room).await, *stored);
        assert_chained(&scribe.room, stored);
    }
}

#[tokio::test]
async fn a_commit_that_fails_leaves_nothing() {
    a_failed_group_is_kept_whole_or_lost_whole(FaultPoints::fail_next_commit, false).await;
}

#[tokio::test]
async fn a_sync_that_fails_leaves_the_whole_group_where_the_machine_goes_on() {
    a_failed_group_is_kept_whole_or_lost_whole(FaultPoints::fail_next_sync, true).await;
}

#[tokio::test]
async fn what_is_queued_behind_a_failure_is_refused_and_not_lost_in_silence() {
    let faulty = Faulty::open(&EmbeddedOptions { group_entries_max: 1, ..EmbeddedOptions::default() });
    let log = &*faulty.log;
    let mut scribe = Scribe::activate(log, "room", 1).await;
    let mut other = Scribe::activate(log, "other", 1).await;
    scribe.commit_messages(log, 1).await;
    other.commit_messages(log, 1).await;

    faulty.faults.hold_syncs();
    let entries = [scribe.messages(1), scribe.messages(1), other.messages(1)];
    let failing = log.append(scribe.append(entries[0].clone()));
    faulty.wait_until_held();
    let behind = log.append(scribe.append(entries[1].clone()));
    let behind_of_other = log.append(other.append(entries[2].clone()));
    let activation = log.activate(&other.room, Activate::by(OwnerId(2)));
    faulty.faults.fail_next_commit();
    faulty.faults.release_syncs();

    assert!(matches!(failing.await, AppendOutcome::Unknown(_)));
    for outcome in [behind.await, behind_of_other.await] {
        assert!(matches!(outcome, AppendOutcome::NotCommitted(NotCommitted::Refused(_))), "{outcome:?}");
    }
    assert!(matches!(activation.await, Err(LogError::Unavailable(_))));
    // It was refused and nothing of it is stored, so its owner may send the same again.
    faulty.tail_once_open(&other.room).await;
    other.commit(log, entries[2].clone()).await;
}

#[tokio::test]
async fn after_an_unknown_answer_nothing_old_is_read() {
    let faulty = Faulty::open(&EmbeddedOptions::default());
    let log = &*faulty.log;
    let mut scribe = Scribe::activate(log, "room", 1).await;
    scribe.commit_messages(log, 1).await;
    faulty.faults.fail_next_sync();
    let entries = scribe.messages(1);
    assert!(matches!(log.append(scribe.append(entries)).await, AppendOutcome::Unknown(_)));
    // Either the log says that it is away, or what it shows is what stays.
    match log.tail(&scribe.room).await {
        Err(error) => assert!(matches!(error, LogError::Unavailable(_)), "{error}"),
        Ok(tail) => assert_eq!(tail.unwrap().last_seq, Seq::new(2)),
    }
    assert_eq!(faulty.tail_once_open(&scribe.room).await.unwrap().last_seq, Seq::new(2));
}

#[tokio::test]
async fn a_failed_activation_may_fence_but_never_opens_two_doors() {
    for is_kept in [false, true] {
        let faulty = Faulty::open(&EmbeddedOptions::default());
        let log = &*faulty.log;
        let mut old = Scribe::activate(log, "room", 1).await;
        old.commit_messages(log, 1).await;
        if is_kept {
            faulty.faults.fail_next_sync();
        } else {
            faulty.faults.fail_next_commit();
        }
        assert!(matches!(log.activate(&old.room, Activate::by(OwnerId(2))).await, Err(LogError::Unavailable(_))));
        let tail = faulty.tail_once_open(&old.room).await.unwrap();
        assert_eq!(tail.fence == old.fence, !is_kept);
        let entries = old.messages(1);
        let outcome = log.append(old.append(entries)).await;
        assert_eq!(outcome, if is_kept { FENCED } else { AppendOutcome::Committed });
        let mut new = Scribe::activate(log, "room", 3).await;
        assert!(new.fence.epoch > tail.fence.epoch);
        new.commit_messages(log, 1).await;
    }
}

/// The parts of a snapshot may be cut off by a crash; what is there is read, and the older snapshot stays.
#[tokio::test]
async fn a_snapshot_that_is_cut_off_leaves_the_older_one() {
    let faulty = Faulty::open(&EmbeddedOptions { group_bytes_max: 1, ..EmbeddedOptions::default() });
    let log = &*faulty.log;
    let mut scribe = Scribe::activate(log, "room", 1).await;
    scribe.commit_messages(log, 9).await;
    let older = StoredSnapshot { seq: Seq::new(4), parts: vec![b"a".to_vec(), b"b".to_vec()] };
    log.write_snapshot(&scribe.room, older.clone()).await.unwrap();
    // Whatever follows that snapshot is done once another command has been.
    scribe.commit_messages(log, 1).await;

    faulty.faults.hold_syncs();
    let parts = vec![b"one".to_vec(), b"two".to_vec(), b"three".to_vec()];
    let writing = log.write_snapshot(&scribe.room, StoredSnapshot { seq: Seq::new(10), parts });
    faulty.wait_until_held();
    faulty.faults.release_one_sync();
    faulty.wait_until_held();
    faulty.faults.fail_next_commit();
    faulty.faults.release_syncs();
    assert!(matches!(writing.await, Err(LogError::Unavailable(_))));

    faulty.tail_once_open(&scribe.room).await;
    let cut = log.read_snapshot(&scribe.room, Seq::new(10)).await.unwrap().unwrap();
    assert_eq!((cut.seq, cut.parts), (Seq::new(10), vec![b"one".to_vec()]));
    assert_eq!(log.read_snapshot(&scribe.room, Seq::new(9)).await, Ok(Some(older)));
}

#[tokio::test]
async fn a_closed_log_says_so_and_lets_its_folder_go() {
    let faulty = Faulty::open(&EmbeddedOptions::default());
    let log = Arc::clone(&faulty.log);
    let mut scribe = Scribe::activate(&*log, "room", 1).await;
    let stored = scribe.commit_messages(&*log, 1).await;
    log.close();
    let entries = scribe.messages(1);
    let outcome = log.append(scribe.append(entries)).await;
    assert!(matches!(outcome, AppendOutcome::NotCommitted(NotCommitted::Refused(_))), "{outcome:?}");
    assert!(matches!(log.activate(&scribe.room, Activate::by(OwnerId(2))).await, Err(LogError::Unavailable(_))));
    assert!(matches!(log.tail(&scribe.room).await, Err(LogError::Unavailable(_))));
    let snapshot = StoredSnapshot { seq: Seq::FIRST, parts: vec![vec![1], vec![2]] };
    assert!(matches!(log.write_snapshot(&scribe.room, snapshot).await, Err(LogError::Unavailable(_))));
    let faulty = faulty.restart();
    assert_eq!(read_all(&*faulty.log, &scribe.room).await, stored);
}

/// What was queued before the close is committed by it.
#[tokio::test]
async fn closing_commits_what_is_queued() {
    let faulty = Faulty::open(&EmbeddedOptions::default());
    let log = &*faulty.log;
    let mut scribe = Scribe::activate(log, "room", 1).await;
    let entries = scribe.messages(10);
    let append = log.append(scribe.append(entries.clone()));
    log.close();
    assert_eq!(append.await, AppendOutcome::Committed);
    let faulty = faulty.restart();
    assert_eq!(read_all(&*faulty.log, &scribe.room).await, entries);
}

/// A mistake of our own in the committer ends the log, but leaves nobody waiting and tells nobody what is not so.
#[tokio::test]
async fn a_committer_that_panics_leaves_nobody_waiting() {
    let faulty = Faulty::open(&EmbeddedOptions { group_entries_max: 1, ..EmbeddedOptions::default() });
    let log = &*faulty.log;
    let mut scribe = Scribe::activate(log, "room", 1).await;
    let mut stored = scribe.commit_messages(log, 1).await;
    faulty.faults.hold_syncs();
    let entries = scribe.messages(1);
    let panicking = log.append(scribe.append(entries.clone()));
    faulty.wait_until_held();
    let next = scribe.messages(1);
    let behind = log.append(scribe.append(next));
    faulty.faults.panic_at_next_commit();
    faulty.faults.release_syncs();
    assert!(matches!(panicking.await, AppendOutcome::Unknown(_)));
    let outcome = behind.await;
    assert!(matches!(outcome, AppendOutcome::NotCommitted(NotCommitted::Refused(_))), "{outcome:?}");
    eventually("reads say so", async || log.tail(&scribe.room).await.err()).await;
    assert!(matches!(log.activate(&scribe.room, Activate::by(OwnerId(2))).await, Err(LogError::Unavailable(_))));
    let faulty = faulty.restart();
    let found = read_all(&*faulty.log, &scribe.room).await;
    if found.len() > stored.len() {
        stored.extend(entries);
    }
    assert_eq!(found, stored);
}
