//! What the program's handles ask of the connection's task.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rollcall_protocol::{Ack, History, HistoryPage, Joined, RoomId};
use tokio::sync::oneshot;

use super::room_queue::RoomQueue;
use crate::cursor::{Cursor, JoinFrom};
use crate::error::{HistoryError, JoinError, WriteError};
use crate::event::RoomEvent;
use crate::session::NewWrite;

/// What the program's handles ask of the connection's task. Large ones are boxed: a queue of them holds 32 at least.
pub(crate) enum Request {
    Join(Box<JoinRequest>),
    Leave { room: RoomId, subscription: u64 },
    Submit(Box<SubmitRequest>),
    Query { history: Box<History>, answer: oneshot::Sender<Result<HistoryPage, HistoryError>> },
    Typing { room: RoomId, is_asked: Arc<AtomicBool> },
    Processed(Box<(RoomId, Cursor)>),
    Close { closed: oneshot::Sender<()> },
}

pub(crate) struct JoinRequest {
    pub(crate) room: RoomId,
    pub(crate) from: JoinFrom,
    /// Tells one subscription of a room from the next.
    pub(crate) subscription: u64,
    pub(crate) sink: Sink,
    pub(crate) answer: oneshot::Sender<Result<Joined, JoinError>>,
}

pub(crate) struct SubmitRequest {
    pub(crate) room: RoomId,
    pub(crate) write: NewWrite,
    pub(crate) answer: oneshot::Sender<Result<Ack, WriteError>>,
    pub(crate) place: Place,
}

/// Where a room's events go.
pub(crate) enum Sink {
    Queue(Arc<RoomQueue>),
    Handler(Box<dyn FnMut(RoomEvent) + Send>),
}

/// A place among the writes of a room that wait for an answer; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Place {
    /// Takes a place, if there is one.
    pub(crate) fn take(taken: &Arc<AtomicUsize>, places: usize) -> Option<Self> {
        let is_free = |taken: usize| (taken < places).then_some(taken + 1);
        taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, is_free).ok()?;
        Some(Self(Arc::clone(taken)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
