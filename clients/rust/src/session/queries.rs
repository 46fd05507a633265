//! Pages of history that the program asked for: each is asked for again until it comes or is refused for good.

use rollcall_protocol::{ErrorCode, ErrorFrame, History, HistoryPage, Op};

use super::backoff;
use super::effect::Effect;
use super::requests::Purpose;
use super::session::{Session, Turn};
use crate::error::{HistoryError, expired_range};

/// A page that the program waits for.
#[derive(Debug)]
pub(super) struct Query {
    history: History,
    phase: Phase,
    failures: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Wanted { not_before_ms: u64 },
    Asked,
}

impl Query {
    /// Forgets that it was asked for, since the connection is gone.
    pub(super) fn cut(&mut self) {
        self.phase = Phase::Wanted { not_before_ms: 0 };
    }
}

impl Session {
    pub(super) fn query(&mut self, turn: &mut Turn<'_>, query: u64, history: History) {
        if let Some(error) = self.stopped() {
            let outcome = Err(HistoryError::Stopped(error));
            turn.effects.push(Effect::QueryEnded { query, outcome });
            return;
        }
        self.queries.insert(query, Query { history, phase: Phase::Wanted { not_before_ms: 0 }, failures: 0 });
        self.send_queries(turn);
    }

    /// Asks for every page that is due.
    pub(super) fn send_queries(&mut self, turn: &mut Turn<'_>) {
        if !self.is_up() {
            return;
        }
        for (&name, query) in &mut self.queries {
            match query.phase {
                Phase::Wanted { not_before_ms } if not_before_ms <= turn.now_ms() => {
                    query.phase = Phase::Asked;
                    let op = Op::History(query.history.clone());
                    self.requests.send(turn.now_ms(), Purpose::Query(name), op, turn.effects);
                }
                Phase::Wanted { not_before_ms } => self.due.at(not_before_ms),
                Phase::Asked => {}
            }
        }
    }

    pub(super) fn query_answered(
        &mut self,
        turn: &mut Turn<'_>,
        name: u64,
        answer: Result<Option<HistoryPage>, ErrorFrame>,
    ) {
        let Some(query) = self.queries.get_mut(&name) else { return };
        let outcome = match answer {
            Ok(Some(page)) => Ok(page),
            Err(error) if error.code == ErrorCode::Expired => match expired_range(&error) {
                Some((from, to)) => Err(HistoryError::Expired { from, to }),
                None => Err(HistoryError::Refused(Box::new(error))),
            },
            Err(error) if !error.retryable && error.code != ErrorCode::TokenExpired => {
                Err(HistoryError::Refused(Box::new(error)))
            }
            again => {
                let hint_ms = again.err().and_then(|error| error.retry_after_ms).unwrap_or(0);
                let pause_ms = backoff::retry_ms(query.failures, turn.moment.random).max(hint_ms);
                query.failures += 1;
                query.phase = Phase::Wanted { not_before_ms: turn.now_ms() + pause_ms };
                self.due.at(turn.now_ms() + pause_ms);
                return;
            }
        };
        self.queries.remove(&name);
        turn.effects.push(Effect::QueryEnded { query: name, outcome });
    }
}
