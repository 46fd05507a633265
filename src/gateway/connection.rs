//! A connection: one task that reads commands, answers, and gives out what lies past its cursors.

use std::collections::VecDeque;
use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant as StdInstant;

use futures_util::FutureExt;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use rollcall_actors::shell::{Asker, Inbox, Mail, Reply, Viewed};
use rollcall_protocol::{
    Ack, CloseCode, ErrorCode, ErrorFrame, Format, GoingAway, History, Outgoing, OutgoingPush, Ping, RoomId, Signal,
};
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant, Sleep, sleep_until};

use super::Gateway;
use super::hello::{Who, hello};
use super::joined_rooms::{JoinedRoom, JoinedRooms};
use super::listener::Peer;
use super::rate::{Bucket, UserRate};
use super::registry::Registered;
use super::slots::Slot;
use super::socket::{Received, Socket, WriteError};
use crate::limits::TOKEN_LEEWAY_S;

/// Requests of a connection that may be unanswered at once; at that many it is not read until answers have come.
const OPEN_REQUESTS_MAX: usize = 4_096;

/// A connection after hello.
pub(super) struct Connection {
    pub gateway: Arc<Gateway>,
    pub socket: Socket,
    pub who: Who,
    pub inbox: Arc<Inbox>,
    pub rooms: JoinedRooms,
    /// Rooms in which there may be something past the cursor, each at most once or twice.
    pub due: VecDeque<RoomId>,
    /// Joins that were asked and not answered: the client's, and those of the connection itself after a room's actor ended.
    pub joining: Vec<(u64, RoomId)>,
    /// Histories that wait for the room's view.
    pub histories: Vec<(u64, History)>,
    /// Requests that were asked of rooms and not answered.
    pub open: usize,
    /// The client was given something since it was last heard.
    gave: bool,
    /// Something was planned for earlier than the timer is set to.
    pub timer_is_late: bool,
    /// When the next room is to be asked again.
    pub retry_at: Option<StdInstant>,
    /// The connection's own counter of joins that no client asked for.
    pub rejoins: u64,
    pub commands: Bucket,
    pub user_commands: UserRate,
    /// Frames that were over the rate, less those that came within it since.
    pub over_rate: u32,
    heard_at: Instant,
    pinged_at: Option<Instant>,
    next_ping: Instant,
    _registered: Registered,
    _slot: Arc<Slot>,
}

/// The clock is looked at at least this often.
const TIMER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What a turn is about.
enum Next {
    /// Something lies in the inbox, or past a cursor.
    Give,
    /// Something is due by the clock.
    Tick,
    /// The client said something.
    Received(Received),
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The client is gone, or its socket broken.
    Gone,
    /// To be closed with this code.
    Close(CloseCode),
}

impl From<WriteError> for End {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Stalled => Self::Close(CloseCode::SlowReader),
            WriteError::Broken => Self::Gone,
        }
    }
}

/// Serves an upgraded connection until hello, and leaves the rest to a task of its own: what the upgrade and hello need would stay
/// in the memory of every connection otherwise.
pub(super) async fn serve(gateway: Arc<Gateway>, upgraded: Upgraded, format: Format, peer: Peer) {
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
        tracing::error!("an upgraded connection is not the one that was accepted");
        return;
    };
    let mut socket = Socket::new(parts.io.into_inner(), &parts.read_buf, format, gateway.settings.write_stall);
    gateway.metrics.connection_opened(format);
    let (who, session) = match hello(&gateway, &mut socket, &peer.stop).await {
        Ok(accepted) => accepted,
        Err(code) => {
            gateway.metrics.connection_closed(format, code);
            return;
        }
    };
    tracing::info!(connection = %who.connection, user = %who.identity.user, address = %peer.address, "connected");
    let inbox = Inbox::new();
    gateway.sessions.hello(who.key(), session, Arc::clone(&inbox));

    let mut connection = Connection::new(gateway, socket, who, Arc::clone(&inbox), peer.slot);
    if peer.stop.is_cancelled() {
        // All connections that were registered have been told, or will be; this one may have come too late for that.
        inbox.request_close(CloseCode::GoingAway);
    }
    peer.tasks.spawn(async move { connection.run().await });
}

impl Connection {
    fn new(gateway: Arc<Gateway>, socket: Socket, who: Who, inbox: Arc<Inbox>, slot: Arc<Slot>) -> Self {
        let now = Instant::now();
        Self {
            socket,
            rooms: JoinedRooms::default(),
            due: VecDeque::new(),
            joining: Vec::new(),
            histories: Vec::new(),
            open: 0,
            gave: false,
            timer_is_late: false,
            retry_at: None,
            rejoins: 0,
            commands: Bucket::new(gateway.settings.commands_per_connection, now.into_std()),
            user_commands: gateway.user_rates.of(&who.identity.user),
            over_rate: 0,
            heard_at: now,
            pinged_at: None,
            next_ping: now + gateway.settings.ping_interval,
            _registered: gateway.registry.add(Arc::clone(&inbox)),
            _slot: slot,
            gateway,
            who,
            inbox,
        }
    }

    /// Serves the connection until it ends.
    async fn run(&mut self) {
        let end = {
            let mut timer = pin!(sleep_until(self.deadline()));
            loop {
                if let Err(end) = self.turn(timer.as_mut()).await {
                    break end;
                }
            }
        };
        Box::pin(self.end(end)).await;
    }

    async fn end(&mut self, end: End) {
        self.gateway.sessions.gone(self.who.key(), Arc::clone(&self.inbox));
        self.inbox.close();
        let code = match end {
            End::Gone => None,
            End::Close(code) => Some(code),
        };
        self.gateway.metrics.unsubscribed(self.rooms.len());
        self.gateway.metrics.connection_closed(self.socket.format(), code);
        let number = code.map(CloseCode::number);
        tracing::info!(connection = %self.who.connection, code = number, "disconnected");
        self.rooms = JoinedRooms::default();
        if let Some(code) = code {
            self.socket.close(code).await;
        }
    }

    /// Does the next thing that there is to do.
    async fn turn(&mut self, mut timer: Pin<&mut Sleep>) -> Result<(), End> {
        if std::mem::take(&mut self.timer_is_late) {
            timer.as_mut().reset(self.deadline());
        }
        let next = self.next(timer.as_mut()).await;
        match next {
            Next::Give => {
                self.gave = true;
                return self.deliver().await;
            }
            Next::Tick => {
                self.tick()?;
                timer.reset(self.deadline());
            }
            Next::Received(received) => {
                self.gave = false;
                self.received(received)?;
            }
        }
        Ok(self.socket.flush().await?)
    }

    /// Waits for the next thing to do. Whoever was given something is looked at next, and whoever asked something is given
    /// something next, so that neither a room that never rests nor a client that sends without end keeps the other waiting.
    async fn next(&mut self, mut timer: Pin<&mut Sleep>) -> Next {
        let inbox = Arc::clone(&self.inbox);
        let mut rung = pin!(inbox.rung());
        let lags = !self.due.is_empty();
        let may_read = self.open < OPEN_REQUESTS_MAX;
        poll_fn(|cx| {
            if !self.gave && (lags || rung.as_mut().poll(cx).is_ready()) {
                return Poll::Ready(Next::Give);
            }
            if timer.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Next::Tick);
            }
            if may_read && let Poll::Ready(received) = self.socket.poll_receive(cx) {
                return Poll::Ready(Next::Received(received));
            }
            if self.gave && (lags || rung.as_mut().poll(cx).is_ready()) {
                return Poll::Ready(Next::Give);
            }
            Poll::Pending
        })
        .await
    }

    fn received(&mut self, received: Received) -> Result<(), End> {
        match received {
            Received::Frame(frame) => {
                self.heard_at = Instant::now();
                self.gateway.metrics.received(frame.len() as u64);
                self.command(&frame)
            }
            Received::Over(Some(code)) => Err(End::Close(code)),
            Received::Over(None) => Err(End::Gone),
        }
    }

    /// Gives out what lies in the inbox and past the cursors, with one flush at the end.
    async fn deliver(&mut self) -> Result<(), End> {
        let Mail { answers, rooms, signals, going_away, close } = self.inbox.take();
        self.due.extend(rooms);
        self.answer_all(answers, signals).await?;
        self.pull_due().await?;
        if let Some(retry_after_ms) = going_away {
            self.feed(&OutgoingPush::GoingAway(GoingAway { retry_after_ms }));
        }
        self.socket.flush().await?;
        close.map_or(Ok(()), |code| Err(End::Close(code)))
    }

    async fn answer_all(&mut self, answers: Vec<(u64, Reply)>, signals: VecDeque<Arc<Signal>>) -> Result<(), End> {
        for (id, reply) in answers {
            if let Some(view) = self.answer(id, reply) {
                // Rare, and large: it has no place in the connection's task while nothing is read.
                Box::pin(self.history(id, *view)).await;
            }
            if self.socket.is_full() {
                self.socket.flush().await?;
            }
        }
        for signal in signals {
            self.feed(&OutgoingPush::Signal(&signal));
        }
        Ok(())
    }

    /// Gathers the answer to a request; gives a room's view back, of which a page is wanted.
    fn answer(&mut self, id: u64, reply: Reply) -> Option<Box<Result<Viewed, ErrorFrame>>> {
        self.open -= 1;
        match reply {
            Reply::Write { answer, began, .. } => {
                self.written(id, answer.map_err(|refusal| refusal.to_frame(true)), began);
            }
            Reply::Forwarded { answer, began } => self.written(id, answer, began),
            Reply::Joined(result) => self.joined(id, *result),
            Reply::View(view) => return Some(view),
        }
        None
    }

    fn written(&mut self, id: u64, answer: Result<Ack, ErrorFrame>, began: StdInstant) {
        match answer {
            Ok(ack) => {
                self.gateway.metrics.acked(began.elapsed());
                self.feed(&Outgoing::Ok(id, ack));
            }
            Err(error) => self.refuse(Some(id), &error),
        }
    }

    /// Does what is due by the clock.
    fn tick(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if self.gateway.clock.now_ms() >= self.expires_at_ms() {
            return Err(End::Close(CloseCode::TokenExpired));
        }
        if self.awaits_pong().is_some_and(|pinged_at| now >= pinged_at + self.gateway.settings.pong_timeout) {
            // The pong may be here and not read, since this connection had other things to do.
            match self.socket.receive().now_or_never() {
                Some(received) => self.received(received)?,
                None => return Err(End::Close(CloseCode::NoPong)),
            }
        }
        if now >= self.next_ping {
            self.next_ping = now + self.gateway.settings.ping_interval;
            self.pinged_at = Some(now);
            let heads = self.rooms.iter().filter_map(JoinedRoom::head).collect();
            self.feed(&OutgoingPush::Ping(&Ping { heads }));
        }
        if self.retry_at.is_some_and(|at| now.into_std() >= at) {
            self.retry_rooms(now.into_std());
        }
        Ok(())
    }

    /// Returns when the token is taken no more: as at hello, clocks may differ.
    fn expires_at_ms(&self) -> i64 {
        self.who.identity.expires_at_ms.saturating_add(TOKEN_LEEWAY_S * 1_000)
    }

    fn awaits_pong(&self) -> Option<Instant> {
        self.pinged_at.filter(|&pinged_at| self.heard_at < pinged_at)
    }

    /// Returns when there is something to do by the clock.
    fn deadline(&self) -> Instant {
        let ping = match self.awaits_pong() {
            Some(pinged_at) => self.next_ping.min(pinged_at + self.gateway.settings.pong_timeout),
            None => self.next_ping,
        };
        let left_ms = self.expires_at_ms().saturating_sub(self.gateway.clock.now_ms());
        let expiry = Instant::now() + Duration::from_millis(u64::try_from(left_ms).unwrap_or(0)).min(TIMER_MAX);
        self.retry_at.map(Instant::from_std).into_iter().fold(ping.min(expiry), Instant::min)
    }

    /// Returns who asks, for a request with this id.
    pub fn asker(&mut self, id: u64) -> Asker {
        self.open += 1;
        Asker { inbox: Arc::clone(&self.inbox), id, began: StdInstant::now() }
    }

    /// Gathers a frame for the next flush.
    pub fn feed<T: Serialize>(&mut self, frame: &Outgoing<'_, T>) {
        let size = self.socket.feed(frame);
        self.gateway.metrics.sent(1, size as u64, 0);
    }

    /// Answers a command with an error.
    pub fn refuse(&mut self, id: Option<u64>, error: &ErrorFrame) {
        self.gateway.metrics.refused(error.code);
        self.feed(&OutgoingPush::Error(id, error));
    }

    /// Answers a command with an error of a code and a text.
    pub fn refuse_with(&mut self, id: u64, code: ErrorCode, message: &str) {
        self.refuse(Some(id), &ErrorFrame::new(code, message));
    }
}

#[cfg(test)]
mod tests;
