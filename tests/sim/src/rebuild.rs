//! The second half of an activation: the shipped code that rebuilds a room's state, over a log that answers at once.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use rollcall_actors::ports::{
    Activate, Activated, Append, AppendOutcome, Fence, Log, LogError, LogTail, PortFuture, ReadRange, Replaced,
    StoredSnapshot,
};
use rollcall_actors::room::{RoomState, snapshot};
use rollcall_actors::shell::{self, Activation, ActivationError};
use rollcall_protocol::{Entry, RoomId, Seq};

use crate::sabotage::Sabotage;
use crate::store::RoomStore;

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
    let entries: Vec<Entry> = rows.map(|rows| rows.after(Seq::ZERO).cloned().collect()).unwrap_or_default();
    let snapshots: Vec<StoredSnapshot> =
        rows.map(|rows| rows.snapshots.values().cloned().collect()).unwrap_or_default();
    let newest = || {
        let decoded = snapshots.iter().rev().filter(|stored| stored.seq <= tail.last_seq).map(snapshot::decode);
        decoded.flatten().next().unwrap_or_else(|| RoomState::empty(room))
    };
    Ok(match sabotage {
        Some(Sabotage::NoDedupe) => forgetful(&entries, RoomState::empty(room), tail),
        Some(Sabotage::SnapshotTrustedBeyondItsPrefix) if newest().head > Seq::ZERO => {
            forgetful(&entries, newest(), tail)
        }
        Some(Sabotage::StaleSnapshotPreferred) if newest().head > Seq::ZERO => {
            let state = newest();
            Activation { fence: tail.fence, replaced: Replaced::Unknown, last_snapshot: state.head, state }
        }
        _ => return shipped(entries, snapshots, room, tail),
    })
}

fn shipped(
    entries: Vec<Entry>,
    snapshots: Vec<StoredSnapshot>,
    room: &RoomId,
    tail: LogTail,
) -> Result<Activation, ActivationError> {
    let log = FencedLog { entries, snapshots, tail };
    let mut activation = pin!(shell::activate(&log, room, Activate::by(tail.fence.owner)));
    match activation.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(activation) => activation,
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
    tail: LogTail,
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

    fn expire_before<'a>(&'a self, _: &'a RoomId, _: Seq) -> PortFuture<'a, Result<(), LogError>> {
        unreachable!("an activation expires nothing")
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> PortFuture<'a, T> {
    Box::pin(std::future::ready(value))
}
