//! Saying hello: who the client is, with which token, and until when.

use rollcall_protocol::{CloseCode, ErrorCode, ErrorFrame, Hello, Op, Refresh, RoomId, Welcome, limits};

use super::{Link, Up};
use crate::error::StopError;
use crate::session::access::Credentials;
use crate::session::backoff;
use crate::session::effect::Effect;
use crate::session::requests::Purpose;
use crate::session::session::{Session, Turn};
use crate::state::State;
use crate::storage::Change;

impl Session {
    pub(in crate::session) fn token(&mut self, turn: &mut Turn<'_>, token: Result<String, String>) {
        match (token, &self.link) {
            (_, Link::Stopped(_)) => {}
            (Ok(token), Link::Token) => {
                self.access.set_token(token);
                self.open_with_token(turn);
            }
            (Ok(token), Link::Up(_)) => {
                self.access.set_token(token.clone());
                self.requests.send(turn.now_ms(), Purpose::Refresh, Op::Refresh(Refresh { token }), turn.effects);
            }
            (Ok(token), _) => self.access.set_token(token),
            (Err(_), Link::Token) => self.pause(turn, None),
            (Err(_), _) => {
                let at_ms = turn.now_ms() + backoff::retry_ms(self.access.failures, turn.moment.random);
                self.access.failures += 1;
                self.access.refresh_at(at_ms);
                self.due.at(at_ms);
            }
        }
    }

    pub(in crate::session) fn connected(&mut self, turn: &mut Turn<'_>) {
        let deadline_ms = turn.now_ms() + limits::HELLO_TIMEOUT_MS;
        self.link = Link::Greeting { deadline_ms };
        self.due.at(deadline_ms);
        let hello = Hello {
            token: self.access.token(),
            device: Some(self.device.clone()),
            session: Some(self.config.session.clone()),
            attempt: self.attempt,
        };
        self.requests.send(turn.now_ms(), Purpose::Hello, Op::Hello(hello), turn.effects);
    }

    pub(in crate::session) fn welcomed(&mut self, turn: &mut Turn<'_>, welcome: Option<Welcome>) {
        let Some(welcome) = welcome else { return self.give_up_connection(turn) };
        let now_ms = turn.now_ms();
        let silence_max_ms = welcome.ping_interval_ms.saturating_add(welcome.pong_timeout_ms);
        let server_clock_offset_ms = welcome.server_time_ms.saturating_sub_unsigned(now_ms);
        self.link = Link::Up(Up {
            since_ms: now_ms,
            heard_ms: now_ms,
            silence_max_ms,
            server_clock_offset_ms,
            return_ms: None,
        });
        self.due.at(now_ms.saturating_add(silence_max_ms));
        self.learn_user(turn, &welcome);
        if let (Credentials::Guest, Some(token)) = (&self.access.credentials, welcome.token) {
            if self.access.token().as_ref() != Some(&token) {
                self.remember(turn, || Change::GuestToken(Some(token.clone())));
            }
            self.access.set_token(token);
        }
        self.learn_expiry(now_ms, welcome.expires_at_ms);
        let (user, device, connection) = (welcome.user, welcome.device, welcome.connection);
        turn.effects.push(Effect::State(State::Connected { user, device, connection }));
        self.send_queries(turn);
        let rooms: Vec<RoomId> = self.readers.keys().cloned().collect();
        for room in rooms {
            self.drive_room(turn, &room);
        }
    }

    fn learn_user(&mut self, turn: &mut Turn<'_>, welcome: &Welcome) {
        let before = self.user.replace(welcome.user.clone());
        if before.as_ref() == Some(&welcome.user) {
            return;
        }
        if before.is_some() {
            self.abandon_user(turn);
        }
        self.remember(turn, || Change::User(welcome.user.clone()));
    }

    /// Notes when the token in use ends, by the server's clock.
    fn learn_expiry(&mut self, now_ms: u64, expires_at_ms: Option<i64>) {
        let Link::Up(up) = &self.link else { return };
        let server_now_ms = up.server_clock_offset_ms.saturating_add_unsigned(now_ms);
        let lifetime_ms = expires_at_ms.map(|at_ms| u64::try_from(at_ms.saturating_sub(server_now_ms)).unwrap_or(0));
        self.access.set_lifetime(now_ms, lifetime_ms);
        self.due.at_some(self.access.refresh_ms());
    }

    pub(in crate::session) fn refreshed(&mut self, turn: &mut Turn<'_>, answer: Result<Option<i64>, ErrorFrame>) {
        match answer {
            Ok(expires_at_ms) => self.learn_expiry(turn.now_ms(), expires_at_ms),
            Err(error) => {
                if !error.retryable {
                    self.access.reject_token(true);
                }
                let at_ms = turn.now_ms() + backoff::retry_ms(self.access.failures, turn.moment.random);
                self.access.failures += 1;
                self.access.refresh_at(at_ms);
                self.due.at(at_ms);
            }
        }
    }

    pub(in crate::session) fn hello_refused(&mut self, turn: &mut Turn<'_>, error: ErrorFrame) {
        let is_about_token = matches!(error.code, ErrorCode::Unauthorized | ErrorCode::TokenExpired);
        let is_only_expired = error.code == ErrorCode::TokenExpired;
        if is_about_token && self.access.reject_token(is_only_expired) {
            if self.access.credentials == Credentials::Guest {
                self.remember(turn, || Change::GuestToken(None));
            }
        } else if !error.retryable {
            return self.stop(turn, StopError::Refused(Box::new(error)));
        }
        turn.effects.push(Effect::Disconnect);
        self.forget_connection();
        let code = match error.code {
            ErrorCode::Unauthorized => Some(CloseCode::Unauthorized.number()),
            ErrorCode::TokenExpired => Some(CloseCode::TokenExpired.number()),
            _ => None,
        };
        self.pause_for(turn, code, error.retry_after_ms);
    }
}
