//! The inbox: what rooms leave for a connection, and the bell that tells it so. Everything in it is bounded: answers by the
//! requests that a connection has open, rooms by those that it joined, signals by a limit of their own.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rollcall_protocol::{Ack, CloseCode, ErrorFrame, RoomId, Seq, Signal};
use tokio::sync::Notify;

use super::admission::Permit;
use super::handle::{Subscribed, Viewed};
use crate::room::{Answer, Refusal};

/// Signals that wait for a connection at most; of more, the oldest are dropped.
const SIGNALS_MAX: usize = 32;

/// One connection's inbox.
#[derive(Debug, Default)]
pub struct Inbox {
    mail: Mutex<Contents>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct Contents {
    mail: Mail,
    closed: bool,
}

/// What lay in an inbox.
#[derive(Debug, Default)]
pub struct Mail {
    /// Answers to requests, in the order in which they were given.
    pub answers: Vec<(u64, Reply)>,
    /// Rooms in which there may be something past the connection's cursor.
    pub rooms: Vec<RoomId>,
    /// Ephemeral signals.
    pub signals: VecDeque<Arc<Signal>>,
    /// The server goes away; when to come back, in milliseconds from now.
    pub going_away: Option<u64>,
    /// Why the connection has to be closed.
    pub close: Option<CloseCode>,
}

/// An answer to a request.
#[derive(Debug)]
pub enum Reply {
    /// To a write.
    Write {
        /// What became of it.
        answer: Answer,
        /// The first number that the room keeps after that; none where somebody else has answered in the room's place.
        floor: Option<Seq>,
        /// When the request came.
        began: Instant,
    },
    /// To a write that another node has answered.
    Forwarded {
        /// What became of it.
        answer: Result<Ack, ErrorFrame>,
        /// When the request came.
        began: Instant,
    },
    /// To a join.
    Joined(Box<Result<Subscribed, ErrorFrame>>),
    /// To a question about the room.
    View(Box<Result<Viewed, ErrorFrame>>),
}

impl Inbox {
    /// Makes an empty inbox.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Waits until there is something in the inbox.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Takes everything out.
    pub fn take(&self) -> Mail {
        std::mem::take(&mut self.contents().mail)
    }

    /// Drops what is in the inbox and everything that comes later. Called when the connection ends: an answer may hold the room.
    pub fn close(&self) {
        let mail = {
            let mut contents = self.contents();
            contents.closed = true;
            std::mem::take(&mut contents.mail)
        };
        drop(mail);
    }

    /// Tells the client that the server goes away, and when to come back, in milliseconds from now.
    pub fn announce(&self, retry_after_ms: u64) {
        self.put(|mail| mail.going_away = Some(retry_after_ms));
    }

    /// Asks the connection to close itself.
    pub fn request_close(&self, code: CloseCode) {
        self.put(|mail| {
            mail.close.get_or_insert(code);
        });
    }

    /// Leaves a signal.
    pub fn signal(&self, signal: Arc<Signal>) {
        self.put(|mail| {
            if mail.signals.len() == SIGNALS_MAX {
                mail.signals.pop_front();
            }
            mail.signals.push_back(signal);
        });
    }

    fn answer(&self, id: u64, reply: Reply) {
        self.put(|mail| mail.answers.push((id, reply)));
    }

    fn put(&self, change: impl FnOnce(&mut Mail)) {
        {
            let mut contents = self.contents();
            if contents.closed {
                return;
            }
            change(&mut contents.mail);
        }
        self.bell.notify_one();
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        // No code that holds the lock panics half-way through a change.
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The doorbell of one room at one connection: rung when there is something new, silent while it is up already.
#[derive(Debug)]
pub struct Doorbell {
    room: RoomId,
    inbox: Arc<Inbox>,
    is_up: AtomicBool,
}

impl Doorbell {
    /// Makes the doorbell, down.
    pub fn new(room: RoomId, inbox: Arc<Inbox>) -> Arc<Self> {
        Arc::new(Self { room, inbox, is_up: AtomicBool::new(false) })
    }

    /// Tells the connection that there may be something past its cursor.
    pub fn ring(&self) {
        if !self.is_up.swap(true, Ordering::AcqRel) {
            self.inbox.put(|mail| mail.rooms.push(self.room.clone()));
        }
    }

    /// Lowers the flag. The connection does so before it looks, so that what comes while it looks rings again.
    pub fn lower(&self) {
        self.is_up.store(false, Ordering::Release);
    }

    /// Returns the inbox behind the bell.
    pub fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }
}

/// The promise of exactly one answer to one request of a connection. Dropped without an answer, as when the room's actor panics, it answers by
/// itself that the request should be tried again.
#[derive(Debug)]
pub struct ReplySlot {
    inbox: Arc<Inbox>,
    id: u64,
    kind: ReplyKind,
    began: Instant,
    /// Held until the answer is given, and not longer: who has it may ask the next thing.
    permit: Option<Permit>,
    answered: bool,
}

/// What a request asks for, so that it can be answered when nobody else does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyKind {
    /// A write.
    Write,
    /// A join.
    Join,
    /// A view of the room.
    View,
}

impl ReplySlot {
    /// Promises an answer to the request `id` of the connection, which came at `began`.
    pub fn new(inbox: Arc<Inbox>, id: u64, kind: ReplyKind, began: Instant, permit: Option<Permit>) -> Self {
        Self { inbox, id, kind, began, permit, answered: false }
    }

    /// Returns the inbox that the answer goes to.
    pub fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    /// Answers a write to a room that keeps its entries from this number on.
    pub fn write(mut self, answer: Answer, floor: Seq) {
        let began = self.began;
        self.give(Reply::Write { answer, floor: Some(floor), began });
    }

    /// Answers a write as another node has said.
    pub fn forwarded(mut self, answer: Result<Ack, ErrorFrame>) {
        let began = self.began;
        self.give(Reply::Forwarded { answer, began });
    }

    /// Answers whatever was asked with an error.
    pub fn fail(mut self, error: ErrorFrame) {
        let began = self.began;
        self.give(match self.kind {
            ReplyKind::Write => Reply::Forwarded { answer: Err(error), began },
            ReplyKind::Join => Reply::Joined(Box::new(Err(error))),
            ReplyKind::View => Reply::View(Box::new(Err(error))),
        });
    }

    /// Lets the answer hold another place, and gives the one that it held free.
    pub fn hold(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }

    /// Answers a join.
    pub fn joined(mut self, answer: Result<Subscribed, ErrorFrame>) {
        self.give(Reply::Joined(Box::new(answer)));
    }

    /// Answers a question about the room.
    pub fn view(mut self, answer: Result<Viewed, ErrorFrame>) {
        self.give(Reply::View(Box::new(answer)));
    }

    /// Answers whatever was asked with a refusal.
    pub fn refuse(mut self, refusal: Refusal) {
        self.give_refusal(refusal);
    }

    /// Takes the promise back; somebody else makes it again.
    pub fn withdraw(mut self) {
        self.answered = true;
    }

    fn give_refusal(&mut self, refusal: Refusal) {
        let began = self.began;
        let reply = match self.kind {
            ReplyKind::Write => Reply::Write { answer: Err(refusal), floor: None, began },
            ReplyKind::Join => Reply::Joined(Box::new(Err(refusal.to_frame(true)))),
            ReplyKind::View => Reply::View(Box::new(Err(refusal.to_frame(true)))),
        };
        self.give(reply);
    }

    fn give(&mut self, reply: Reply) {
        self.answered = true;
        drop(self.permit.take());
        self.inbox.answer(self.id, reply);
    }
}

impl Drop for ReplySlot {
    fn drop(&mut self) {
        if !self.answered {
            let refusal = match self.kind {
                ReplyKind::Write => Refusal::OutcomeUnknown,
                ReplyKind::Join | ReplyKind::View => Refusal::Unavailable("the room is being recovered".to_owned()),
            };
            self.give_refusal(refusal);
        }
    }
}

#[cfg(test)]
mod tests;
