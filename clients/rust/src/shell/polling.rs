//! One turn of the task: all that can be done now, without waiting.

use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{self, Message};

use super::driver::{Connection, Driver};
use crate::error::StopError;
use crate::session::Input;

/// Frames that are handled before requests get their turn again.
const FRAMES_PER_TURN: usize = 64;
/// Requests that are handled before frames get their turn again.
const REQUESTS_PER_TURN: usize = 256;
/// Commands that may wait for the socket before no more requests are taken.
const OUTGOING_MAX: usize = 512;

impl Driver {
    /// Does all that can be done now; ready as soon as anything was done.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
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
        match self.parts.endpoints.format().decode(bytes) {
            Ok(frame) => self.input(Input::Frame(frame)),
            Err(error) => {
                tracing::warn!(%error, "a frame of the server could not be read");
                self.input(Input::Garbled);
            }
        }
    }

    fn socket_failed(&mut self, error: &tungstenite::Error) -> bool {
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
}
