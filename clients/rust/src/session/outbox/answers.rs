//! What the answers to writes mean for the line.

use rollcall_protocol::{Ack, ErrorCode, ErrorFrame};

use super::{Doubt, Outbox, Phase, Settled};
use crate::error::WriteError;
use crate::session::backoff;
use crate::session::input::Moment;

/// How often a doubted write is asked for again while nothing behind it settles the question.
const DOUBT_TRIES_MAX: u32 = 4;
/// How often in a row a room may claim to know less of this device than it has acknowledged.
const STALE_ANSWERS_MAX: u32 = 6;

impl Outbox {
    /// Learns that a write was committed.
    pub(in crate::session) fn acked(&mut self, n: u64, ack: Ack) -> Option<Settled> {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.setbacks = 0;
        self.learn_accepted(n);
        Some(self.remove(n)?.settle(Ok(ack)))
    }

    /// Learns that a copy of a write was refused.
    pub(in crate::session) fn refused(&mut self, moment: Moment, n: u64, error: ErrorFrame) -> Option<Settled> {
        self.in_flight = self.in_flight.saturating_sub(1);
        let at = self.line.binary_search_by_key(&n, |pending| pending.n).ok()?;
        let pending = &mut self.line[at];
        pending.phase = Phase::Returned;
        pending.is_loose |= !is_end_of_copy(&error);
        match error.code {
            ErrorCode::Conflict => {
                self.is_lost = true;
                self.refuse(n, error)
            }
            ErrorCode::Skipped => self.refuse(n, error),
            ErrorCode::TooOld => {
                self.set_back(moment, 0);
                Some(self.remove(n)?.settle(Err(WriteError::Unknown { last: Some(Box::new(error)) })))
            }
            ErrorCode::UnknownDevice => {
                self.is_lost = true;
                None
            }
            ErrorCode::OutOfOrder => {
                match error.details.get("last").and_then(serde_json::Value::as_u64) {
                    Some(last) if last > self.last_n => self.is_lost = true,
                    // An owner that was replaced may not know what another has accepted; one that insists does not lag.
                    Some(last) if last < self.accepted_n => self.is_lost = self.setbacks >= STALE_ANSWERS_MAX,
                    Some(last) => self.learn_accepted(last),
                    None => {}
                }
                // The first one is the consequence of another refusal; one that comes again and again is not.
                let pause_ms = if self.setbacks < 2 { 0 } else { backoff::retry_ms(self.setbacks, moment.random) };
                self.set_back(moment, pause_ms);
                None
            }
            ErrorCode::TokenExpired | ErrorCode::NotJoined => {
                self.set_back(moment, backoff::retry_ms(self.setbacks, moment.random));
                None
            }
            _ if error.retryable => {
                let pause_ms = backoff::retry_ms(self.setbacks, moment.random);
                self.set_back(moment, pause_ms.max(error.retry_after_ms.unwrap_or(0)));
                None
            }
            _ if pending.is_loose => self.doubt(moment, n, error),
            _ => {
                self.set_back(moment, 0);
                self.refuse(n, error)
            }
        }
    }

    /// Settles a write as never stored. One that was doubted was refused for the reason that it was doubted for.
    fn refuse(&mut self, n: u64, error: ErrorFrame) -> Option<Settled> {
        self.setbacks = 0;
        let mut pending = self.remove(n)?;
        let reason = pending.doubt.take().map_or(error, |doubt| doubt.error);
        Some(pending.settle(Err(WriteError::Refused(Box::new(reason)))))
    }

    /// Lets a refused write stand aside, or gives it up.
    fn doubt(&mut self, moment: Moment, n: u64, error: ErrorFrame) -> Option<Settled> {
        self.set_back(moment, 0);
        let at = self.line.binary_search_by_key(&n, |pending| pending.n).ok()?;
        let pending = &mut self.line[at];
        let tries = pending.doubt.as_ref().map_or(1, |doubt| doubt.tries + 1);
        let again_ms = moment.now_ms + backoff::retry_ms(tries + 1, moment.random);
        // An owner that does not know what the room has accepted since is stale: another will answer.
        let is_asked = n <= self.accepted_n;
        pending.doubt = Some(Box::new(Doubt { error, tries, again_ms, is_asked }));
        if is_asked {
            self.not_before_ms = self.not_before_ms.max(again_ms);
        }
        if tries < DOUBT_TRIES_MAX { None } else { Some(self.remove(n)?.settle_unknown()) }
    }

    /// Sets the line back: nothing more is sent until all in flight is answered and the pause is over.
    fn set_back(&mut self, moment: Moment, pause_ms: u64) {
        if !self.is_set_back {
            self.is_set_back = true;
            self.setbacks += 1;
        }
        self.not_before_ms = self.not_before_ms.max(moment.now_ms + pause_ms);
    }

    /// Learns that the room has accepted a number: the answer to a doubted one up to there is certain now.
    fn learn_accepted(&mut self, n: u64) {
        if n <= self.accepted_n {
            return;
        }
        self.accepted_n = n;
        for pending in self.line.iter_mut().take_while(|pending| pending.n <= n) {
            if let Some(doubt) = &mut pending.doubt
                && pending.phase == Phase::Returned
            {
                doubt.is_asked = true;
                self.position = 0;
            }
        }
    }

    /// Learns from a join which number the room accepted last. A smaller one than ours says nothing: the node may lag.
    pub(in crate::session) fn joined(&mut self, last_n: u64) {
        if last_n > self.last_n {
            self.is_lost = true;
        } else {
            self.learn_accepted(last_n);
        }
    }
}

/// Tells whether a refusal says that this copy of the write is not on its way any more.
fn is_end_of_copy(error: &ErrorFrame) -> bool {
    let was_not_taken = [ErrorCode::Busy, ErrorCode::RateLimited, ErrorCode::TooManyUnanswered];
    error.is_final || was_not_taken.contains(&error.code)
}
