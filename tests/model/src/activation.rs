//! The second half of an activation: the shipped code that rebuilds a room's state, over a log that answers at once.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rollcall_actors::ports::{
    Activate, Activated, Append, AppendOutcome, Fence, Log, LogError, LogTail, PortFuture, ReadRange, Replaced,
    StoredSnapshot,
};
use rollcall_actors::room::{RoomState, snapshot};
use rollcall_actors::shell::{self, Activation};
use rollcall_protocol::{Entry, RoomId, Seq};

use crate::store::Store;
use crate::weakening::Weakening;

/// Rebuilds the room of a node that has just fenced it.
pub fn rebuild(store: &Store, room: &RoomId, activated: Activated, weakening: Option<Weakening>) -> Activation {
    let tail = activated.tail;
    match weakening {
        Some(Weakening::NoDedupe) => forgetful(store, RoomState::empty(room), tail),
        Some(Weakening::SnapshotTrustedBeyondItsPrefix) => {
            let newest = store.snapshots.last().cloned().unwrap_or_else(|| RoomState::empty(room));
            // Without a snapshot nothing is trusted too far.
            if newest.head > Seq::ZERO { forgetful(store, newest, tail) } else { shipped(store, room, activated) }
        }
        _ => shipped(store, room, activated),
    }
}

fn shipped(store: &Store, room: &RoomId, activated: Activated) -> Activation {
    let (entries, snapshots) = (store.entries().cloned().collect(), store.snapshots.clone());
    let log = FencedLog { entries, snapshots, activated };
    let mut activation = pin!(shell::activate(&log, room, Activate::by(activated.tail.fence.owner)));
    match activation.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(activation) => activation.expect("the log is there, and not damaged"),
        Poll::Pending => unreachable!("this log answers at once"),
    }
}

/// Takes in what follows a state without noticing who wrote it.
fn forgetful(store: &Store, mut state: RoomState, tail: LogTail) -> Activation {
    let last_snapshot = state.head;
    for entry in store.entries().filter(|entry| entry.seq > last_snapshot && entry.seq <= tail.last_seq) {
        state.apply(&Entry { device: None, ..entry.clone() });
    }
    Activation { fence: tail.fence, replaced: Replaced::Unknown, state, last_snapshot }
}

/// A room's log as its owner reads it.
struct FencedLog {
    entries: Arc<[Entry]>,
    snapshots: Vec<RoomState>,
    activated: Activated,
}

impl Log for FencedLog {
    fn activate<'a>(&'a self, _: &'a RoomId, _: Activate) -> PortFuture<'a, Result<Activated, LogError>> {
        ready(Ok(self.activated))
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
        ready(Ok(Some(self.activated.tail)))
    }

    fn write_snapshot<'a>(&'a self, _: &'a RoomId, _: StoredSnapshot) -> PortFuture<'a, Result<(), LogError>> {
        unreachable!("an activation writes no snapshot")
    }

    fn read_snapshot<'a>(
        &'a self,
        _: &'a RoomId,
        at_most: Seq,
    ) -> PortFuture<'a, Result<Option<StoredSnapshot>, LogError>> {
        let newest = self.snapshots.iter().rev().find(|state| state.head <= at_most);
        ready(Ok(newest.map(snapshot::encode)))
    }

    fn expire_before<'a>(&'a self, _: &'a RoomId, _: Seq) -> PortFuture<'a, Result<(), LogError>> {
        unreachable!("an activation expires nothing")
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> PortFuture<'a, T> {
    Box::pin(std::future::ready(value))
}
