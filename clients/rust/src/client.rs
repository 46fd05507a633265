//! The client: one connection to a server, and the rooms on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use rollcall_protocol::RoomId;
use tokio::sync::{mpsc, oneshot, watch};

use crate::builder::ClientBuilder;
use crate::cursor::JoinFrom;
use crate::error::{HistoryError, JoinError, StopError};
use crate::event::RoomEvent;
use crate::history::HistoryQuery;
use crate::room::{Room, RoomWriter, Subscription};
use crate::shell::{Gate, JoinRequest, Request, RoomQueue, Sink};
use crate::state::{State, StateEvents};

/// A client: one connection to a server, made again whenever it breaks, and the rooms on it.
///
/// Clones are handles to the same client. It stops when the last handle is dropped, those of rooms included.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) inbox: mpsc::UnboundedSender<Request>,
    pub(crate) state: watch::Receiver<State>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) subscriptions: AtomicU64,
    pub(crate) room_events_bytes_max: usize,
    pub(crate) queue_writes_max: usize,
    pub(crate) has_storage: bool,
    pub(crate) unanswered_rooms: Vec<RoomId>,
}

impl Client {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// Sets a client of the server at an address up, such as `ws://127.0.0.1:7400/v1/ws`.
    pub fn builder(url: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(url.into())
    }

    /// Returns what the client does now.
    pub fn state(&self) -> State {
        self.shared.state.borrow().clone()
    }

    /// Follows what the client does.
    pub fn state_events(&self) -> StateEvents {
        StateEvents { receiver: self.shared.state.clone() }
    }

    /// Returns the rooms to which an earlier life of the program sent writes that were not answered. Each is asked for again
    /// when its room is joined; a [`RoomEvent::Recovered`] tells what became of it.
    pub fn unanswered_rooms(&self) -> &[RoomId] {
        &self.shared.unanswered_rooms
    }

    /// Joins a room, and waits until the server says so, through as many connections as it takes.
    ///
    /// # Errors
    /// Where the name is not one, the server refuses, the cursor does not lie on the room's history, the room is joined
    /// already, or the client stops.
    ///
    /// # Cancel safety
    /// A dropped future leaves the room again.
    pub async fn join(&self, room: &str, from: JoinFrom) -> Result<Room, JoinError> {
        let queue = Arc::new(RoomQueue::new(Arc::clone(&self.shared.gate), self.shared.room_events_bytes_max));
        let subscription = self.subscribe(room, from, Sink::Queue(Arc::clone(&queue))).await?;
        Ok(Room::new(subscription, queue))
    }

    /// Joins a room, as [`join`](Self::join) does, whose events a function takes in the connection's own task: for those who
    /// read very many rooms. It must not block; while it runs, nothing of this client moves.
    ///
    /// # Errors
    /// As `join`.
    ///
    /// # Cancel safety
    /// A dropped future leaves the room again.
    pub async fn join_with(
        &self,
        room: &str,
        from: JoinFrom,
        on_event: impl FnMut(RoomEvent) + Send + 'static,
    ) -> Result<RoomWriter, JoinError> {
        let subscription = self.subscribe(room, from, Sink::Handler(Box::new(on_event))).await?;
        Ok(RoomWriter::new(subscription))
    }

    async fn subscribe(&self, room: &str, from: JoinFrom, sink: Sink) -> Result<Arc<Subscription>, JoinError> {
        let room = RoomId::parse(room)?;
        let number = self.shared.subscriptions.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        let request = JoinRequest { room: room.clone(), from, subscription: number, sink, answer };
        // Made before anything is awaited: whoever drops this future leaves the room.
        let subscription = Arc::new(Subscription {
            room,
            number,
            inbox: self.shared.inbox.clone(),
            unanswered: Arc::new(AtomicUsize::new(0)),
            unanswered_max: self.shared.queue_writes_max,
            is_typing_asked: Arc::new(AtomicBool::new(false)),
            has_storage: self.shared.has_storage,
        });
        self.shared.inbox.send(Request::Join(Box::new(request))).map_err(|_| JoinError::Stopped(self.stopped()))?;
        answered.await.unwrap_or_else(|_| Err(JoinError::Stopped(self.stopped())))?;
        Ok(subscription)
    }

    /// Reads the history of a room, joined or not.
    ///
    /// # Errors
    /// Where the name is not one of a room.
    pub fn history(&self, room: &str) -> Result<HistoryQuery, HistoryError> {
        Ok(HistoryQuery::new(RoomId::parse(room)?, self.shared.inbox.clone()))
    }

    /// Closes the connection, keeps what is to be kept, and stops. Writes that were sent and not answered end as `Unknown`,
    /// and are tried again by the next life of the program where there is a storage; await them first.
    ///
    /// # Cancel safety
    /// A dropped future stops the client all the same.
    pub async fn close(&self) {
        let (closed, is_closed) = oneshot::channel();
        // A client that has stopped by itself is closed.
        if self.shared.inbox.send(Request::Close { closed }).is_ok() {
            is_closed.await.ok();
        }
    }

    fn stopped(&self) -> StopError {
        match &*self.shared.state.borrow() {
            State::Stopped { error } => error.clone(),
            _ => StopError::Closed,
        }
    }
}
