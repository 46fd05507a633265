//! Which writes were in doubt: sent over a connection that ended before their answer, and answered over a later one.

use std::cell::{Cell, RefCell};

use rollcall_client::{State, StateEvents};

use crate::clock::Clock;

/// The times at which a client had no connection.
#[derive(Debug, Default)]
pub struct Doubts {
    /// When a connection was lost and the next one was there, in µs.
    gaps: RefCell<Vec<(u64, u64)>>,
    /// When the connection was lost that no other has followed yet.
    lost_us: Cell<Option<u64>>,
}

impl Doubts {
    /// Notes when a client loses its connection and when it has another, until the client is closed.
    pub async fn follow(&self, mut states: StateEvents, clock: Clock) {
        let mut connected = None;
        loop {
            match (states.current(), &connected) {
                (State::Connected { connection, .. }, before) if before.as_ref() != Some(&connection) => {
                    if before.is_some() {
                        self.lost(clock.now_us());
                        self.again(clock.now_us());
                    }
                    connected = Some(connection);
                }
                (State::Connected { .. }, _) | (_, None) => {}
                (_, Some(_)) => self.lost(clock.now_us()),
            }
            if states.next().await.is_none() {
                return;
            }
        }
    }

    /// Returns when the connection was lost on which a write was sent, if it was lost without an answer and the answer came over a
    /// later one. Times in µs.
    pub fn in_doubt_since(&self, invoked_us: u64, answered_us: u64) -> Option<u64> {
        let gaps = self.gaps.borrow();
        let between = |&&(lost_us, again_us): &&(u64, u64)| invoked_us < lost_us && again_us < answered_us;
        gaps.iter().find(between).map(|&(lost_us, _)| lost_us)
    }

    fn lost(&self, now_us: u64) {
        self.lost_us.set(self.lost_us.get().or(Some(now_us)));
    }

    fn again(&self, now_us: u64) {
        if let Some(lost_us) = self.lost_us.take() {
            self.gaps.borrow_mut().push((lost_us, now_us));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Doubts;

    #[test]
    fn a_write_is_in_doubt_if_a_lost_connection_lies_between_it_and_its_answer() {
        let doubts = Doubts::default();
        doubts.lost(100);
        // It stays lost since then, however often the client fails to get another.
        doubts.lost(150);
        assert_eq!(doubts.in_doubt_since(99, 160), None);
        doubts.again(200);
        assert_eq!(doubts.in_doubt_since(99, 201), Some(100));
        // The answer was on its way already when the connection ended.
        assert_eq!(doubts.in_doubt_since(99, 150), None);
        assert_eq!(doubts.in_doubt_since(101, 300), None);
    }
}
