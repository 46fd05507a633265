//! A connection: one task that reads commands, answers, and gives out what lies past its cursors.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant as StdInstant;

use futures_util::FutureExt;
use hyper::upgrade::Upgraded;
use rollcall_actors::shell::{Asker, Inbox, Reply};
use rollcall_protocol::{
    CloseCode, ErrorCode, ErrorFrame, Format, GoingAway, History, Outgoing, OutgoingPush, Ping, RoomId,
};
use serde::Serialize;
use tokio::time::{Duration, Instant, Sleep, sleep_until};

use super::Gateway;
use super::hello::{Who, hello};
use super::joined_rooms::{JoinedRoom, JoinedRooms};
use super::listener::Peer;
use super::rate::{Bucket, UserRate};
use super::registry::Registered;
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

/// Serves an upgraded connection until it ends.
pub(super) async fn serve(gateway: Arc<Gateway>, upgraded: Upgraded, format: Format, peer: Peer) {
    let mut socket = Socket::new(upgraded, format, gateway.settings.write_stall).await;
    gateway.metrics.connection_opened(format);
    // Its own allocation, freed once hello was said: what it needs would stay in every connection's task otherwise.
    let who = match Box::pin(hello(&gateway, &mut socket, &peer.stop)).await {
        Ok(who) => who,
        Err(code) => {
            gateway.metrics.connection_closed(format, code);
            return;
        }
    };
    tracing::info!(connection = %who.connection, user = %who.identity.user, address = %peer.address, "connected");
    let inbox = Inbox::new();
    let key = rollcall_actors::room::SenderKey { user: who.identity.user.clone(), device: who.device.clone() };
    gateway.sessions.hello(key.clone(), who.session.clone(), Arc::clone(&inbox));

    let mut connection = Connection::new(Arc::clone(&gateway), socket, who, Arc::clone(&inbox));
    if peer.stop.is_cancelled() {
        // All connections that were registered have been told, or will be; this one may have come too late for that.
        inbox.request_close(CloseCode::GoingAway);
    }
    let end = connection.run().await;
    gateway.sessions.gone(key, Arc::clone(&inbox));
    inbox.close();
    let code = match end {
        End::Gone => None,
        End::Close(code) => Some(code),
    };
    gateway.metrics.unsubscribed(connection.rooms.len());
    gateway.metrics.connection_closed(format, code);
    let number = code.map(CloseCode::number);
    tracing::info!(connection = %connection.who.connection, code = number, "disconnected");
    let Connection { mut socket, rooms, .. } = connection;
    drop(rooms);
    if let Some(code) = code {
        Box::pin(socket.close(code)).await;
    }
    drop(peer);
}

impl Connection {
    fn new(gateway: Arc<Gateway>, socket: Socket, who: Who, inbox: Arc<Inbox>) -> Self {
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
            gateway,
            who,
            inbox,
        }
    }

    async fn run(&mut self) -> End {
        let timer = sleep_until(self.deadline());
        tokio::pin!(timer);
        loop {
            if let Err(end) = self.turn(timer.as_mut()).await {
                return end;
            }
        }
    }

    /// Does the next thing that there is to do. Whoever was given something is looked at next, and whoever asked something is given
    /// something next, so that neither a room that never rests nor a client that sends without end keeps the other waiting.
    async fn turn(&mut self, mut timer: std::pin::Pin<&mut Sleep>) -> Result<(), End> {
        if std::mem::take(&mut self.timer_is_late) {
            timer.as_mut().reset(self.deadline());
        }
        let inbox = Arc::clone(&self.inbox);
        let lags = !self.due.is_empty();
        let give = async {
            if !lags {
                inbox.rung().await;
            }
        };
        let may_read = self.open < OPEN_REQUESTS_MAX;
        let next = if self.gave {
            tokio::select! {
                biased;
                () = timer.as_mut() => Next::Tick,
                received = self.socket.receive(), if may_read => Next::Received(received),
                () = give => Next::Give,
            }
        } else {
            tokio::select! {
                biased;
                () = give => Next::Give,
                () = timer.as_mut() => Next::Tick,
                received = self.socket.receive(), if may_read => Next::Received(received),
            }
        };
        match next {
            Next::Give => {
                self.gave = true;
                self.deliver().await
            }
            Next::Tick => {
                self.tick().await?;
                timer.reset(self.deadline());
                Ok(())
            }
            Next::Received(received) => {
                self.gave = false;
                self.received(received).await
            }
        }
    }

    async fn received(&mut self, received: Received) -> Result<(), End> {
        match received {
            Received::Frame(frame) => {
                self.heard_at = Instant::now();
                self.gateway.metrics.received(frame.len() as u64);
                self.command(&frame).await
            }
            Received::Over(Some(code)) => Err(End::Close(code)),
            Received::Over(None) => Err(End::Gone),
        }
    }

    /// Gives out what lies in the inbox and past the cursors, with one flush at the end.
    async fn deliver(&mut self) -> Result<(), End> {
        let mail = self.inbox.take();
        for (id, reply) in mail.answers {
            self.answer(id, reply).await?;
        }
        for signal in mail.signals {
            self.feed(&OutgoingPush::Signal(&signal)).await?;
        }
        self.due.extend(mail.rooms);
        self.pull_due().await?;
        if let Some(retry_after_ms) = mail.going_away {
            self.feed(&OutgoingPush::GoingAway(GoingAway { retry_after_ms })).await?;
        }
        self.socket.flush().await?;
        mail.close.map_or(Ok(()), |code| Err(End::Close(code)))
    }

    async fn answer(&mut self, id: u64, reply: Reply) -> Result<(), End> {
        self.open -= 1;
        match reply {
            Reply::Write { answer: Ok(ack), began } => {
                self.gateway.metrics.acked(began.elapsed());
                self.feed(&Outgoing::Ok(id, ack)).await
            }
            Reply::Write { answer: Err(refusal), .. } => self.refuse(Some(id), &refusal.to_frame(true)).await,
            Reply::Joined(result) => self.joined(id, *result).await,
            Reply::View(result) => self.history(id, *result).await,
        }
    }

    /// Does what is due by the clock.
    async fn tick(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if self.gateway.clock.now_ms() >= self.expires_at_ms() {
            return Err(End::Close(CloseCode::TokenExpired));
        }
        if self.awaits_pong().is_some_and(|pinged_at| now >= pinged_at + self.gateway.settings.pong_timeout) {
            // The pong may be here and not read, since this connection had other things to do.
            match self.socket.receive().now_or_never() {
                Some(received) => self.received(received).await?,
                None => return Err(End::Close(CloseCode::NoPong)),
            }
        }
        if now >= self.next_ping {
            self.next_ping = now + self.gateway.settings.ping_interval;
            self.pinged_at = Some(now);
            let heads = self.rooms.iter().filter_map(JoinedRoom::head).collect();
            self.feed(&OutgoingPush::Ping(&Ping { heads })).await?;
            self.socket.flush().await?;
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
    pub async fn feed<T: Serialize>(&mut self, frame: &Outgoing<'_, T>) -> Result<(), End> {
        let size = self.socket.feed(frame).await?;
        self.gateway.metrics.sent(1, size as u64, 0);
        Ok(())
    }

    /// Answers a command with an error.
    pub async fn refuse(&mut self, id: Option<u64>, error: &ErrorFrame) -> Result<(), End> {
        self.gateway.metrics.refused(error.code);
        self.feed(&OutgoingPush::Error(id, error)).await
    }

    /// Answers a command with an error of a code and a text.
    pub async fn refuse_with(&mut self, id: u64, code: ErrorCode, message: &str) -> Result<(), End> {
        self.refuse(Some(id), &ErrorFrame::new(code, message)).await
    }
}
