//! The task of a client: feeds the session with what happens, and the socket with what the session says.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use rollcall_protocol::{HistoryPage, RoomId};
use rustc_hash::FxHashMap;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_tungstenite::tungstenite::Message;

use super::endpoint::{Endpoints, Opening, Socket};
use super::keeper::{Keeper, SAVE_EVERY};
use super::request::{JoinRequest, Place, Request, Sink, SubmitRequest};
use super::room_queue::Gate;
use crate::error::{HistoryError, JoinError, StopError, WriteError};
use crate::session::{Input, Moment, Session, Ticket};
use crate::state::State;
use crate::token::{TokenFuture, TokenProvider};

/// What a driver is made of.
pub(crate) struct Parts {
    pub(crate) session: Session,
    pub(crate) endpoints: Endpoints,
    pub(crate) provider: Option<Arc<dyn TokenProvider>>,
    pub(crate) keeper: Option<Keeper>,
    pub(crate) inbox: mpsc::UnboundedReceiver<Request>,
    pub(crate) state: watch::Sender<State>,
    pub(crate) gate: Arc<Gate>,
}

/// The task of a client.
pub(crate) struct Driver {
    pub(super) parts: Parts,
    pub(super) connection: Connection,
    pub(super) token: Option<TokenFuture>,
    pub(super) lines: BTreeMap<RoomId, Line>,
    pub(super) writers: FxHashMap<Ticket, Writer>,
    pub(super) queries: FxHashMap<u64, oneshot::Sender<Result<HistoryPage, HistoryError>>>,
    /// Commands that the socket has not taken yet.
    pub(super) outgoing: VecDeque<Message>,
    /// Whether the socket holds something that was not flushed.
    pub(super) is_unflushed: bool,
    pub(super) origin: Instant,
    pub(super) random: SmallRng,
    last_name: u64,
    pub(super) timer: Pin<Box<Sleep>>,
    /// For when the timer is set.
    pub(super) timer_at: Option<Instant>,
    /// When changes that are not urgent are saved.
    pub(super) save_at: Option<Instant>,
    pub(super) is_paused: bool,
    pub(super) is_stopped: bool,
    closers: Vec<oneshot::Sender<()>>,
}

pub(super) enum Connection {
    None,
    Opening(Opening),
    Open(Box<Socket>),
}

/// A room that the program has joined, or waits for.
pub(super) struct Line {
    subscription: u64,
    pub(super) sink: Sink,
    pub(super) joining: Option<oneshot::Sender<Result<rollcall_protocol::Joined, JoinError>>>,
}

/// Whoever waits for a write.
pub(super) struct Writer {
    pub(super) answer: oneshot::Sender<Result<rollcall_protocol::Ack, WriteError>>,
    _place: Place,
}

impl Driver {
    pub(crate) fn new(parts: Parts) -> Self {
        let now = Instant::now();
        Self {
            parts,
            connection: Connection::None,
            token: None,
            lines: BTreeMap::new(),
            writers: FxHashMap::default(),
            queries: FxHashMap::default(),
            outgoing: VecDeque::new(),
            is_unflushed: false,
            origin: now,
            random: SmallRng::from_rng(&mut rand::rng()),
            last_name: 0,
            timer: Box::pin(sleep_until(now)),
            timer_at: None,
            save_at: None,
            is_paused: false,
            is_stopped: false,
            closers: Vec::new(),
        }
    }

    /// Runs until the session has stopped.
    ///
    /// Boxed, since a future holds what it was given and what it moved that to.
    pub(crate) async fn run(mut self: Box<Self>) {
        self.input(Input::Start);
        while !self.is_stopped {
            self.save_if_due().await;
            poll_fn(|context| self.poll(context)).await;
        }
        self.finish().await;
    }

    async fn save_if_due(&mut self) {
        let Some(keeper) = &mut self.parts.keeper else { return };
        let is_time = self.save_at.is_some_and(|at| at <= Instant::now());
        if keeper.is_urgent() || is_time {
            self.save_at = None;
            if let Err(error) = keeper.save().await {
                tracing::error!(%error, "the client stops: it may not send what it could not try again");
                // What the session said to send must not leave.
                self.outgoing.clear();
                self.input(Input::Stop(StopError::Storage(error.to_string())));
            }
        } else if keeper.is_dirty() && self.save_at.is_none() {
            self.save_at = Some(Instant::now() + SAVE_EVERY);
        }
    }

    pub(super) fn request(&mut self, request: Request) {
        match request {
            Request::Join(request) => {
                let JoinRequest { room, from, subscription, sink, answer } = *request;
                if self.lines.contains_key(&room) {
                    // Whoever asked may be gone.
                    answer.send(Err(JoinError::AlreadyJoined)).ok();
                    return;
                }
                self.lines.insert(room.clone(), Line { subscription, sink, joining: Some(answer) });
                self.input(Input::Join { room, from });
            }
            Request::Leave { room, subscription } => {
                if self.lines.get(&room).is_some_and(|line| line.subscription == subscription) {
                    self.end_line(&room);
                    self.input(Input::Leave { room });
                }
            }
            Request::Submit(request) => {
                let SubmitRequest { room, write, answer, place } = *request;
                let ticket = Ticket(self.name());
                self.writers.insert(ticket, Writer { answer, _place: place });
                self.input(Input::Submit { room, ticket, write });
            }
            Request::Query { history, answer } => {
                let query = self.name();
                self.queries.insert(query, answer);
                self.input(Input::Query { query, history: *history });
            }
            Request::Typing { room, is_asked } => {
                is_asked.store(false, std::sync::atomic::Ordering::Release);
                self.input(Input::Typing { room });
            }
            Request::Processed(processed) => {
                let (room, cursor) = *processed;
                self.input(Input::Processed { room, cursor });
            }
            Request::Close { closed } => {
                self.closers.push(closed);
                self.input(Input::Stop(StopError::Closed));
            }
        }
    }

    /// Tells the session what happened, and carries out what it says.
    pub(super) fn input(&mut self, input: Input) {
        let now_ms = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        let moment = Moment { now_ms, random: self.random.next_u64() };
        // Allocated only where there is an effect, and not kept: idle clients are many.
        let mut effects = Vec::new();
        self.parts.session.handle(moment, input, &mut effects);
        for effect in effects {
            self.carry_out(effect);
        }
    }

    fn name(&mut self) -> u64 {
        self.last_name += 1;
        self.last_name
    }

    /// Keeps what is to be kept, and tells those who wait for the end.
    async fn finish(&mut self) {
        if let Some(keeper) = &mut self.parts.keeper
            && let Err(error) = keeper.save().await
        {
            tracing::error!(%error, "the client's last state could not be saved");
        }
        for closed in self.closers.drain(..) {
            closed.send(()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_client_is_small() {
        fn future_bytes<F: Future>(_: fn(Box<Driver>) -> F) -> usize {
            size_of::<F>()
        }
        assert!(future_bytes(Driver::run) <= 128, "the task holds more than a box: {}", future_bytes(Driver::run));
        assert!(size_of::<Driver>() <= 1_280, "the driver has grown to {} bytes", size_of::<Driver>());
    }
}
