//! The connection of a session: opening it, saying hello, keeping it alive, giving it up, and coming back.
//!
//! ```text
//!            ┌────────────── token fails, connect fails, closed, silent ─────────────┐
//!            ▼                                                                       │
//! Idle ─▶ Token ─▶ Opening ─▶ Greeting ─▶ Up ─────────────────────────────────────▶ Pause
//!                                          (a verdict or the program) ─▶ Stopped     │
//!            ▲─────────────────────────────────── the pause is over ─────────────────┘
//! ```

mod greeting;

use rollcall_protocol::{CloseCode, Command, GoingAway, Op, Ping, Pong, RoomId, Verdict, limits, verdict};

use super::access::Credentials;
use super::backoff;
use super::effect::Effect;
use super::session::{Session, Turn};
use crate::error::{HistoryError, JoinError, StopError};
use crate::state::State;
use crate::storage::Change;

/// How long a connection may take to open, the WebSocket handshake included, in milliseconds.
pub const OPEN_TIMEOUT_MS: u64 = 10_000;
/// A connection that lasted less is a failure, whatever its close code says, in milliseconds.
pub const STABLE_AFTER_MS: u64 = 1_000;
/// As how many failures in a row those count at most that came after hello was answered.
const SHAKY_FAILURES_MAX: u32 = 2;

/// Where the connection is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Link {
    /// Not started.
    Idle,
    /// The program looks for a token.
    Token,
    /// The caller opens the connection.
    Opening { deadline_ms: u64 },
    /// Hello was said.
    Greeting { deadline_ms: u64 },
    /// Hello was answered.
    Up(Up),
    /// Between two connections.
    Pause { until_ms: u64 },
    /// For good.
    Stopped(StopError),
}

/// A connection on which hello was answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Up {
    since_ms: u64,
    /// When anything last came from the server.
    heard_ms: u64,
    /// How long the server may say nothing.
    silence_max_ms: u64,
    /// What to add to the own clock to get the server's.
    server_clock_offset_ms: i64,
    /// When to come back, as the server that will go away has told.
    return_ms: Option<u64>,
}

impl Session {
    pub(super) fn start(&mut self, turn: &mut Turn<'_>) {
        if self.link != Link::Idle {
            return;
        }
        if std::mem::take(&mut self.is_new_device) {
            self.remember(turn, || Change::Device(self.device.clone()));
        }
        self.open(turn);
    }

    /// Begins a connection, with a token if one is needed.
    fn open(&mut self, turn: &mut Turn<'_>) {
        turn.effects.push(Effect::State(State::Connecting));
        if self.access.needs_token(turn.now_ms()) {
            self.link = Link::Token;
            turn.effects.push(Effect::FetchToken);
        } else {
            self.open_with_token(turn);
        }
    }

    fn open_with_token(&mut self, turn: &mut Turn<'_>) {
        let deadline_ms = turn.now_ms() + OPEN_TIMEOUT_MS;
        self.attempt += 1;
        self.link = Link::Opening { deadline_ms };
        self.due.at(deadline_ms);
        turn.effects.push(Effect::Connect);
    }

    pub(super) fn pinged(&mut self, turn: &mut Turn<'_>, ping: Ping) {
        turn.effects.push(Effect::Send(Command { id: None, op: Op::Pong(Pong {}) }));
        for (room, head) in ping.heads {
            if let Some(reader) = self.readers.get_mut(&room).filter(|reader| reader.is_joined()) {
                reader.learn_head(turn.now_ms(), head);
                self.due.at_some(reader.due_ms(self.resumed_ms));
            }
        }
    }

    pub(super) fn going_away(&mut self, turn: &mut Turn<'_>, going_away: GoingAway) {
        if let Link::Up(up) = &mut self.link {
            let return_ms = turn.now_ms().saturating_add(going_away.retry_after_ms);
            up.return_ms = Some(return_ms);
            self.due.at(return_ms);
            turn.effects.push(Effect::AvoidServer);
        }
    }

    pub(super) fn heard(&mut self, turn: &Turn<'_>) {
        if let Link::Up(up) = &mut self.link {
            up.heard_ms = turn.now_ms();
        }
    }

    pub(super) fn reading_resumed(&mut self, turn: &mut Turn<'_>) {
        self.is_paused = false;
        self.resumed_ms = turn.now_ms();
        self.heard(turn);
        if let Link::Greeting { deadline_ms } = &mut self.link {
            *deadline_ms = turn.now_ms() + limits::HELLO_TIMEOUT_MS;
        }
        self.due.at(turn.now_ms());
    }

    /// Looks after the connection: what took too long, what is to be refreshed, whether a pause is over.
    pub(super) fn tick_link(&mut self, turn: &mut Turn<'_>) {
        let now_ms = turn.now_ms();
        match self.link.clone() {
            Link::Idle | Link::Token | Link::Stopped(_) => {}
            Link::Pause { until_ms } if until_ms <= now_ms => self.open(turn),
            Link::Pause { until_ms } => self.due.at(until_ms),
            Link::Greeting { .. } if self.is_paused => {}
            Link::Opening { deadline_ms } | Link::Greeting { deadline_ms } if deadline_ms <= now_ms => {
                self.give_up_connection(turn);
            }
            Link::Opening { deadline_ms } | Link::Greeting { deadline_ms } => self.due.at(deadline_ms),
            Link::Up(up) => self.tick_up(turn, &up),
        }
    }

    fn tick_up(&mut self, turn: &mut Turn<'_>, up: &Up) {
        let now_ms = turn.now_ms();
        if up.return_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            turn.effects.push(Effect::Disconnect);
            self.forget_connection();
            self.pause_for(turn, None, Some(0));
            return;
        }
        if !self.is_paused {
            let silent_ms = up.heard_ms.saturating_add(up.silence_max_ms);
            let deadline_ms =
                self.requests.deadline_ms(self.resumed_ms).map_or(silent_ms, |at_ms| at_ms.min(silent_ms));
            if deadline_ms <= now_ms {
                return self.give_up_connection(turn);
            }
            self.due.at(deadline_ms);
        }
        self.due.at_some(up.return_ms);
        if self.access.take_refresh(now_ms) && self.access.credentials == Credentials::Provider {
            turn.effects.push(Effect::FetchToken);
        }
        self.due.at_some(self.access.refresh_ms());
    }

    /// Closes a connection that is of no more use, and comes back later.
    pub(super) fn give_up_connection(&mut self, turn: &mut Turn<'_>) {
        turn.effects.push(Effect::Disconnect);
        self.connection_lost(turn, None);
    }

    /// Closes the connection and opens another at once.
    pub(super) fn connect_afresh(&mut self, turn: &mut Turn<'_>) {
        if matches!(self.link, Link::Opening { .. } | Link::Greeting { .. } | Link::Up(_)) {
            turn.effects.push(Effect::Disconnect);
            self.forget_connection();
            self.open(turn);
        }
    }

    /// Learns that the connection is gone, and does what the close code says.
    pub(super) fn connection_lost(&mut self, turn: &mut Turn<'_>, code: Option<u16>) {
        let (lasted_ms, return_ms) = match &self.link {
            Link::Up(up) => (Some(turn.now_ms().saturating_sub(up.since_ms)), up.return_ms),
            Link::Opening { .. } | Link::Greeting { .. } => (None, None),
            Link::Idle | Link::Token | Link::Pause { .. } | Link::Stopped(_) => return,
        };
        self.link = Link::Idle;
        self.forget_connection();
        if code == Some(CloseCode::GoingAway.number()) {
            turn.effects.push(Effect::AvoidServer);
        }
        let is_stable = lasted_ms.is_some_and(|lasted_ms| lasted_ms >= STABLE_AFTER_MS);
        match lasted_ms {
            Some(_) if is_stable => self.failures = 0,
            // The server is there: no reason to stay away for long.
            Some(_) => self.failures = self.failures.min(SHAKY_FAILURES_MAX),
            None => {}
        }
        match (verdict(code), code) {
            (Verdict::Stop, Some(code)) => self.stop_by_verdict(turn, code),
            (Verdict::AtOnce, _) if is_stable => self.pause_for(turn, code, Some(0)),
            _ => self.pause_for(turn, code, return_ms.map(|at_ms| at_ms.saturating_sub(turn.now_ms()))),
        }
        if code == Some(CloseCode::TokenExpired.number()) {
            self.access.reject_token(true);
        }
    }

    fn stop_by_verdict(&mut self, turn: &mut Turn<'_>, code: u16) {
        // A guest whose proof is not accepted any more becomes a new guest.
        let is_unauthorized = code == CloseCode::Unauthorized.number();
        if is_unauthorized && self.access.credentials == Credentials::Guest && self.access.reject_token(false) {
            self.remember(turn, || Change::GuestToken(None));
            return self.pause(turn, Some(code));
        }
        let known = CloseCode::ALL.iter().find(|known| known.number() == code);
        let meaning = known.map_or("not a code of this version", |known| known.meaning()).to_owned();
        self.stop(turn, StopError::Verdict { code, meaning });
    }

    /// Forgets what was under way on a connection.
    fn forget_connection(&mut self) {
        self.requests.clear();
        self.readers.values_mut().for_each(|reader| reader.cut());
        self.outboxes.values_mut().for_each(|outbox| outbox.cut());
        self.queries.values_mut().for_each(super::queries::Query::cut);
    }

    fn pause(&mut self, turn: &mut Turn<'_>, code: Option<u16>) {
        self.pause_for(turn, code, None);
    }

    /// Waits before the next connection: as long as told, else with full jitter.
    fn pause_for(&mut self, turn: &mut Turn<'_>, code: Option<u16>, told_ms: Option<u64>) {
        let in_ms = told_ms.unwrap_or_else(|| backoff::reconnect_ms(self.failures, turn.moment.random));
        if told_ms.is_none() {
            self.failures += 1;
        }
        let until_ms = turn.now_ms().saturating_add(in_ms);
        self.link = Link::Pause { until_ms };
        self.due.at(until_ms);
        turn.effects.push(Effect::State(State::Reconnecting { in_ms, code }));
    }

    /// Ends the session: everything that waits is told so.
    pub(super) fn stop(&mut self, turn: &mut Turn<'_>, error: StopError) {
        if self.stopped().is_some() {
            return;
        }
        if matches!(self.link, Link::Opening { .. } | Link::Greeting { .. } | Link::Up(_)) {
            turn.effects.push(Effect::Disconnect);
        }
        self.forget_connection();
        let rooms: Vec<RoomId> = self.outboxes.keys().cloned().collect();
        for room in rooms {
            self.abandon_writes(turn, &room);
        }
        for (room, reader) in std::mem::take(&mut self.readers) {
            if !reader.is_announced {
                turn.effects.push(Effect::JoinEnded { room, outcome: Err(JoinError::Stopped(error.clone())) });
            }
        }
        for (query, _) in std::mem::take(&mut self.queries) {
            turn.effects.push(Effect::QueryEnded { query, outcome: Err(HistoryError::Stopped(error.clone())) });
        }
        self.link = Link::Stopped(error.clone());
        turn.effects.push(Effect::State(State::Stopped { error }));
    }

    /// Tells whether hello was answered on this connection.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.link, Link::Up(_))
    }

    /// Returns why the session has ended, if it has.
    pub(super) fn stopped(&self) -> Option<StopError> {
        match &self.link {
            Link::Stopped(error) => Some(error.clone()),
            _ => None,
        }
    }
}
