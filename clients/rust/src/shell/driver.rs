//! The task of a client: feeds the session with what happens, and the socket with what the session says.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use rollcall_protocol::{HistoryPage, RoomId};
use rustc_hash::FxHashMap;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_tungstenite::tungstenite::Message;

use super::endpoint::{Endpoint, Opening, Socket};
use super::keeper::{Keeper, SAVE_EVERY};
use super::request::{JoinRequest, Place, Request, Sink, SubmitRequest};
use super::room_queue::Gate;
use crate::error::{HistoryError, JoinError, StopError, WriteError};
use crate::session::{Effect, Input, Moment, Session, Ticket};
use crate::state::State;
use crate::token::{TokenFuture, TokenProvider};

/// Frames that are handled before requests get their turn again.
const FRAMES_PER_TURN: usize = 64;
/// Requests that are handled before frames get their turn again.
const REQUESTS_PER_TURN: usize = 256;
/// Commands that may wait for the socket before no more requests are taken.
const OUTGOING_MAX: usize = 512;

/// What a driver is made of.
pub(crate) struct Parts {
    pub(crate) session: Session,
    pub(crate) endpoint: Endpoint,
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
    effects: Vec<Effect>,
    origin: Instant,
    random: SmallRng,
    last_name: u64,
    timer: Pin<Box<Sleep>>,
    /// For when the timer is set.
    timer_at: Option<Instant>,
    /// When changes that are not urgent are saved.
    save_at: Option<Instant>,
    is_paused: bool,
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
            effects: Vec::new(),
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
    pub(crate) async fn run(mut self) {
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

    /// Does all that can be done now; ready as soon as anything was done.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut is_busy = self.poll_write(context);
        is_busy |= self.poll_opening(context);
        is_busy |= self.poll_token(context);
        if self.outgoing.len() < OUTGOING_MAX {
            is_busy |= self.poll_requests(context);
        }
        if !self.is_stopped {
            is_busy |= self.poll_read(context);
        }
        is_busy |= self.poll_timer(context);
        if is_busy || self.is_stopped { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Feeds the socket, and flushes once.
    fn poll_write(&mut self, context: &mut Context<'_>) -> bool {
        let Connection::Open(socket) = &mut self.connection else { return false };
        while !self.outgoing.is_empty() {
            match socket.poll_ready_unpin(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return self.socket_failed(&error),
                Poll::Pending => return false,
            }
            let Some(message) = self.outgoing.pop_front() else { break };
            if let Err(error) = socket.start_send_unpin(message) {
                return self.socket_failed(&error);
            }
            self.is_unflushed = true;
        }
        if self.is_unflushed {
            match socket.poll_flush_unpin(context) {
                Poll::Ready(Ok(())) => self.is_unflushed = false,
                Poll::Ready(Err(error)) => return self.socket_failed(&error),
                Poll::Pending => {}
            }
        }
        false
    }

    fn poll_opening(&mut self, context: &mut Context<'_>) -> bool {
        let Connection::Opening(opening) = &mut self.connection else { return false };
        match opening.poll_unpin(context) {
            Poll::Pending => return false,
            Poll::Ready(Ok(socket)) => {
                self.connection = Connection::Open(socket);
                self.input(Input::Connected);
            }
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "failed to connect");
                self.connection = Connection::None;
                self.input(Input::ConnectFailed);
            }
        }
        true
    }

    fn poll_token(&mut self, context: &mut Context<'_>) -> bool {
        let Some(Poll::Ready(token)) = self.token.as_mut().map(|token| token.poll_unpin(context)) else { return false };
        self.token = None;
        if let Err(error) = &token {
            tracing::warn!(%error, "the token provider gave no token");
        }
        self.input(Input::Token(token));
        true
    }

    fn poll_requests(&mut self, context: &mut Context<'_>) -> bool {
        for handled in 0..REQUESTS_PER_TURN {
            match self.parts.inbox.poll_recv(context) {
                Poll::Pending => return handled > 0,
                Poll::Ready(Some(request)) => self.request(request),
                // The last handle is gone: nobody can ask or be told anything any more.
                Poll::Ready(None) => self.input(Input::Stop(StopError::Closed)),
            }
            if self.is_stopped {
                break;
            }
        }
        true
    }

    fn request(&mut self, request: Request) {
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

    /// Reads frames, as long as the rooms' queues take them.
    fn poll_read(&mut self, context: &mut Context<'_>) -> bool {
        for handled in 0..FRAMES_PER_TURN {
            if !self.parts.gate.is_open(context) {
                if !std::mem::replace(&mut self.is_paused, true) {
                    self.input(Input::ReadingPaused);
                }
                return handled > 0;
            }
            if std::mem::take(&mut self.is_paused) {
                self.input(Input::ReadingResumed);
            }
            let Connection::Open(socket) = &mut self.connection else { return handled > 0 };
            match socket.poll_next_unpin(context) {
                Poll::Pending => return handled > 0,
                Poll::Ready(Some(Ok(message))) => self.message(&message),
                Poll::Ready(Some(Err(error))) => return self.socket_failed(&error),
                Poll::Ready(None) => return self.closed(None),
            }
        }
        true
    }

    fn message(&mut self, message: &Message) {
        let bytes = match message {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
            Message::Close(frame) => {
                self.closed(frame.as_ref().map(|frame| frame.code.into()));
                return;
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => return,
        };
        match self.parts.endpoint.format.decode(bytes) {
            Ok(frame) => self.input(Input::Frame(frame)),
            Err(error) => {
                tracing::warn!(%error, "a frame of the server could not be read");
                self.input(Input::Garbled);
            }
        }
    }

    fn socket_failed(&mut self, error: &tokio_tungstenite::tungstenite::Error) -> bool {
        tracing::debug!(%error, "the connection failed");
        self.closed(None)
    }

    fn closed(&mut self, code: Option<u16>) -> bool {
        self.drop_connection();
        self.input(Input::Closed { code });
        true
    }

    fn poll_timer(&mut self, context: &mut Context<'_>) -> bool {
        let deadline = self.parts.session.deadline_ms().map(|at_ms| self.origin + Duration::from_millis(at_ms));
        let Some(at) = deadline.into_iter().chain(self.save_at).min() else { return false };
        // A timer that is set for earlier is left: to set it anew costs more than to be woken once too often.
        if self.timer_at.is_none_or(|timer_at| timer_at > at) {
            self.timer.as_mut().reset(at);
            self.timer_at = Some(at);
        }
        if self.timer.poll_unpin(context).is_pending() {
            return false;
        }
        self.timer_at = None;
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            self.input(Input::Tick);
        }
        true
    }

    /// Tells the session what happened, and carries out what it says.
    pub(super) fn input(&mut self, input: Input) {
        let now_ms = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        let moment = Moment { now_ms, random: self.random.next_u64() };
        let mut effects = std::mem::take(&mut self.effects);
        self.parts.session.handle(moment, input, &mut effects);
        for effect in effects.drain(..) {
            self.carry_out(effect);
        }
        self.effects = effects;
    }

    fn name(&mut self) -> u64 {
        self.last_name += 1;
        self.last_name
    }

    /// Keeps what is to be kept, and tells those who wait for the end.
    async fn finish(mut self) {
        if let Some(keeper) = &mut self.parts.keeper
            && let Err(error) = keeper.save().await
        {
            tracing::error!(%error, "the client's last state could not be saved");
        }
        for closed in self.closers {
            closed.send(()).ok();
        }
    }
}
