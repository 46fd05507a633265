//! The second half of an activation: the shipped code that rebuilds a room's state, over a log that answers at once. And what is asked
//! of the log before entries expire.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use rollcall_actors::ports::{
    Activate, Activated, Append, AppendOutcome, Fence, Log, LogError, LogTail, PortFuture, ReadRange, Replaced,
    StoredSnapshot,
};
use rollcall_actors::room::{Buckets, Expirable, LastExpired, RoomState, snapshot};
use rollcall_actors::shell::{self, Activation, ActivationError};
use rollcall_protocol::{Entry, Epoch, OwnerId, RoomId, Seq};

use crate::sabotage::Sabotage;
use crate::store::{BUCKETS, RoomStore};

/// Rebuilds a room whose fence was just taken.
///
/// # Errors
/// Where the log is damaged.
pub fn rebuild(
    rows: Option<&RoomStore>,
    room: &RoomId,
    tail: LogTail,
    sabotage: Option<Sabotage>,
) -> Result<Activation, ActivationError> {
    let log = FencedLog::of(rows, tail);
    let (entries, snapshots) = (&log.entries, &log.snapshots);
    let newest = || {
        let decoded = snapshots.iter().rev().filter(|stored| stored.seq <= tail.last_seq).map(snapshot::decode);
        decoded.flatten().next().unwrap_or_else(|| RoomState::empty(room))
    };
    Ok(match sabotage {
        // Where the beginning has expired nothing can be rebuilt without what the snapshot remembers.
        Some(Sabotage::NoDedupe) if log.floor > Seq::FIRST => forgetful(entries, newest(), tail),
        Some(Sabotage::NoDedupe) => forgetful(entries, RoomState::empty(room), tail),
        Some(Sabotage::SnapshotTrustedBeyondItsPrefix) if newest().head > Seq::ZERO => {
            forgetful(entries, newest(), tail)
        }
        Some(Sabotage::StaleSnapshotPreferred) if newest().head > Seq::ZERO => {
            let state = newest();
            Activation { fence: tail.fence, replaced: Replaced::Unknown, last_snapshot: state.head, state }
        }
        _ => return at_once(shell::activate(&log, room, Activate::by(tail.fence.owner))),
    })
}

/// Asks the log what may expire, by the shipped code.
///
/// # Errors
/// Where the log is damaged.
pub fn find_expirable(
    rows: Option<&RoomStore>,
    room: &RoomId,
    expirable: Expirable,
) -> Result<Option<LastExpired>, LogError> {
    let fence = Fence { epoch: Epoch::ZERO, owner: OwnerId(0) };
    let tail = rows.and_then(RoomStore::tail).unwrap_or(LogTail { fence, last_seq: Seq::ZERO });
    at_once(shell::find_expirable(&FencedLog::of(rows, tail), room, expirable))
}

fn at_once<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => unreachable!("this log answers at once"),
    }
}

/// Takes in what follows a state without noticing who wrote it.
fn forgetful(entries: &[Entry], mut state: RoomState, tail: LogTail) -> Activation {
    let last_snapshot = state.head;
    for entry in entries.iter().filter(|entry| entry.seq > last_snapshot && entry.seq <= tail.last_seq) {
        state.apply(&Entry { device: None, ..entry.clone() });
    }
    Activation { fence: tail.fence, replaced: Replaced::Unknown, state, last_snapshot }
}

/// A room's log as its owner reads it.
struct FencedLog {
    entries: Vec<Entry>,
    snapshots: Vec<StoredSnapshot>,
    floor: Seq,
    tail: LogTail,
}

impl FencedLog {
    fn of(rows: Option<&RoomStore>, tail: LogTail) -> Self {
        Self {
            entries: rows.map(|rows| rows.after(Seq::ZERO).cloned().collect()).unwrap_or_default(),
            snapshots: rows.map(|rows| rows.snapshots.values().cloned().collect()).unwrap_or_default(),
            floor: rows.map_or(Seq::FIRST, RoomStore::floor),
            tail,
        }
    }
}

impl Log for FencedLog {
    fn activate<'a>(&'a self, _: &'a RoomId, _: Activate) -> PortFuture<'a, Result<Activated, LogError>> {
        ready(Ok(Activated { tail: self.tail, replaced: Replaced::Unknown }))
    }

    fn release(&self, _: &RoomId, _: Fence) {}

    fn append(&self, _: Append) -> PortFuture<'static, AppendOutcome> {
        unreachable!("an activation appends nothing")
    }

    fn read<'a>(&'a self, _: &'a RoomId, range: ReadRange) -> PortFuture<'a, Result<Vec<Entry>, LogError>> {
        if range.after.next() < self.floor {
            return ready(Err(LogError::Expired { floor: self.floor }));
        }
        let wanted = self.entries.iter().filter(|entry| range.after < entry.seq && entry.seq <= range.through);
        ready(Ok(wanted.take(range.entries_max).cloned().collect()))
    }

    fn tail<'a>(&'a self, _: &'a RoomId) -> PortFuture<'a, Result<Option<LogTail>, LogError>> {
        ready(Ok(Some(self.tail)))
    }

    fn write_snapshot<'a>(&'a self, _: &'a RoomId, _: StoredSnapshot) -> PortFuture<'a, Result<(), LogError>> {
        unreachable!("an activation writes no snapshot")
    }

    fn read_snapshot<'a>(
        &'a self,
        _: &'a RoomId,
        at_most: Seq,
    ) -> PortFuture<'a, Result<Option<StoredSnapshot>, LogError>> {
        ready(Ok(self.snapshots.iter().rev().find(|stored| stored.seq <= at_most).cloned()))
    }

    fn expires_in(&self) -> Buckets {
        BUCKETS
    }

    fn expire_before<'a>(&'a self, _: &'a RoomId, _: Seq) -> PortFuture<'a, Result<(), LogError>> {
        unreachable!("an activation expires nothing")
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> PortFuture<'a, T> {
    Box::pin(std::future::ready(value))
}
