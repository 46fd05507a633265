//! A joined room: reading it, writing to it, leaving it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures_util::Stream;
use rollcall_protocol::{Ack, Body, RoomId, Seq};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::cursor::Cursor;
use crate::error::WriteError;
use crate::event::RoomEvent;
use crate::history::HistoryQuery;
use crate::pending_write::PendingWrite;
use crate::session::NewWrite;
use crate::shell::{Place, Request, RoomQueue, SubmitRequest};

/// A joined room. It joins again by itself, from where it was, on every new connection.
///
/// Read it: what was not taken is bounded, and a room that nobody reads stops the client's whole connection. Answers to
/// writes wait then too, and a connection that broke is not noticed. To write from one task and read in another,
/// [`split`](Self::split) it; to write alone, drop the events. The room is left when the last part of it is dropped.
#[derive(Debug)]
pub struct Room {
    writer: RoomWriter,
    events: RoomEvents,
}

/// The writing side of a room. Clones write to the same room, in the order of their calls.
#[derive(Debug, Clone)]
pub struct RoomWriter {
    subscription: Arc<Subscription>,
}

/// The reading side of a room: a stream of what happens in it.
#[derive(Debug)]
pub struct RoomEvents {
    queue: Arc<RoomQueue>,
    subscription: Arc<Subscription>,
    /// The place after the last batch that was taken, where it is to be kept.
    taken: Option<Cursor>,
}

/// A subscription; left when its last holder is gone.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) room: RoomId,
    pub(crate) number: u64,
    pub(crate) inbox: mpsc::UnboundedSender<Request>,
    /// Writes that have no answer.
    pub(crate) unanswered: Arc<AtomicUsize>,
    pub(crate) unanswered_max: usize,
    pub(crate) is_typing_asked: Arc<AtomicBool>,
    pub(crate) has_storage: bool,
}

impl Subscription {
    fn send(&self, request: Request) -> Result<(), WriteError> {
        self.inbox.send(request).map_err(|_| WriteError::Closed)
    }

    fn submit(&self, write: NewWrite) -> Result<PendingWrite, WriteError> {
        let place = Place::take(&self.unanswered, self.unanswered_max).ok_or(WriteError::QueueFull)?;
        let (answer, answered) = oneshot::channel();
        self.send(Request::Submit(Box::new(SubmitRequest { room: self.room.clone(), write, answer, place })))?;
        Ok(PendingWrite::awaited(answered))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // A client that has stopped has left all rooms.
        self.send(Request::Leave { room: self.room.clone(), subscription: self.number }).ok();
    }
}

impl Room {
    pub(crate) fn new(subscription: Arc<Subscription>, queue: Arc<RoomQueue>) -> Self {
        let events = RoomEvents { queue, subscription: Arc::clone(&subscription), taken: None };
        Self { writer: RoomWriter { subscription }, events }
    }

    /// Returns the room's name.
    pub fn name(&self) -> &RoomId {
        self.writer.name()
    }

    /// Waits for what happens next in the room; none once the client has stopped, or the server let it in no more.
    ///
    /// # Cancel safety
    /// Safe: no event is lost.
    pub async fn next(&mut self) -> Option<RoomEvent> {
        self.events.next().await
    }

    /// Parts the room into a side to write and a side to read.
    pub fn split(self) -> (RoomWriter, RoomEvents) {
        (self.writer, self.events)
    }

    /// Returns a further handle to write with.
    pub fn writer(&self) -> RoomWriter {
        self.writer.clone()
    }

    /// Leaves the room, as dropping all its parts does. Writes that were not sent end with `Closed`, others as `Unknown`.
    pub fn leave(self) {}
}

impl std::ops::Deref for Room {
    type Target = RoomWriter;
    fn deref(&self) -> &RoomWriter {
        &self.writer
    }
}

impl RoomWriter {
    pub(crate) fn new(subscription: Arc<Subscription>) -> Self {
        Self { subscription }
    }

    /// Returns the room's name.
    pub fn name(&self) -> &RoomId {
        &self.subscription.room
    }

    /// Sends a text message, and waits for its number.
    ///
    /// It is tried again, on as many connections as it takes, until the server says that it is committed or never will be;
    /// it is stored at most once. Writes of one client to one room are numbered in the order of their calls.
    ///
    /// # Errors
    /// [`WriteError`] says what is known of the write.
    ///
    /// # Cancel safety
    /// A dropped future does not take the write back.
    pub async fn send_text(&self, text: &str) -> Result<Ack, WriteError> {
        self.submit(NewWrite::text(text)?).await
    }

    /// Sends a message; see [`send_text`](Self::send_text).
    ///
    /// # Errors
    /// [`WriteError`] says what is known of the write.
    pub async fn send(&self, body: Body) -> Result<Ack, WriteError> {
        self.submit(NewWrite::message(body)).await
    }

    /// Sends a message whose body is any value that is JSON; see [`send_text`](Self::send_text).
    ///
    /// # Errors
    /// [`WriteError`] says what is known of the write.
    pub async fn send_value(&self, value: &impl Serialize) -> Result<Ack, WriteError> {
        self.submit(NewWrite::message(Body::from_value(value)?)).await
    }

    /// Gives an own message a new body; see [`send_text`](Self::send_text).
    ///
    /// # Errors
    /// [`WriteError`] says what is known of the write.
    pub async fn edit(&self, target: Seq, body: Body) -> Result<Ack, WriteError> {
        self.submit(NewWrite::edit(target, body)).await
    }

    /// Takes the body of a message or edit away; see [`send_text`](Self::send_text).
    ///
    /// # Errors
    /// [`WriteError`] says what is known of the write.
    pub async fn redact(&self, target: Seq) -> Result<Ack, WriteError> {
        self.submit(NewWrite::redact(target)).await
    }

    /// Reacts to a message; see [`send_text`](Self::send_text).
    ///
    /// # Errors
    /// [`WriteError`] says what is known of the write.
    pub async fn react(&self, target: Seq, body: Body) -> Result<Ack, WriteError> {
        self.submit(NewWrite::react(target, body)).await
    }

    /// Takes a write on its way without waiting for anything. The order of calls is the order of numbers.
    pub fn submit(&self, write: NewWrite) -> PendingWrite {
        self.subscription.submit(write).unwrap_or_else(PendingWrite::failed)
    }

    /// Tells those who are in the room that the user types. At most once delivered, dropped while there is no connection.
    pub fn typing(&self) {
        let is_asked = &self.subscription.is_typing_asked;
        if !is_asked.swap(true, Ordering::AcqRel) {
            let request = Request::Typing { room: self.name().clone(), is_asked: Arc::clone(is_asked) };
            // A client that has stopped tells nobody anything.
            self.subscription.send(request).ok();
        }
    }

    /// Reads the room's history.
    pub fn history(&self) -> HistoryQuery {
        HistoryQuery::new(self.name().clone(), self.subscription.inbox.clone())
    }
}

impl RoomEvents {
    /// Waits for what happens next in the room; none once the client has stopped, or the server let it in no more.
    ///
    /// To ask for the next event says that the program is done with the one before: a storage then keeps the place.
    ///
    /// # Cancel safety
    /// Safe: no event is lost.
    pub async fn next(&mut self) -> Option<RoomEvent> {
        poll_fn(|context| self.poll_event(context)).await
    }

    fn poll_event(&mut self, context: &Context<'_>) -> Poll<Option<RoomEvent>> {
        if let Some(cursor) = self.taken.take() {
            let request = Request::Processed(Box::new((self.subscription.room.clone(), cursor)));
            // A client that has stopped keeps no more places; its next life gets these entries again.
            self.subscription.send(request).ok();
        }
        let event = self.queue.poll_take(context);
        if let Poll::Ready(Some(RoomEvent::Entries(batch))) = &event
            && self.subscription.has_storage
        {
            self.taken = Some(batch.cursor());
        }
        event
    }
}

impl Stream for RoomEvents {
    type Item = RoomEvent;
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<RoomEvent>> {
        self.poll_event(context)
    }
}

impl Drop for RoomEvents {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}
