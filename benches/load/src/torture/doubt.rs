//! Which writes were in doubt: sent to a server that was killed before it answered, and answered by its successor.

use std::cell::RefCell;

/// The kills of a run.
#[derive(Debug, Default)]
pub struct Doubts {
    /// When the server was killed, and when the next one was started, in µs.
    kills: RefCell<Vec<(u64, u64)>>,
}

impl Doubts {
    /// Notes that the server was killed, and that no server was there until another was started. Times in µs.
    pub fn killed(&self, killed_us: u64, started_us: u64) {
        self.kills.borrow_mut().push((killed_us, started_us));
    }

    /// Tells whether a write was unanswered when a server died, and was answered by a later one. Times in µs.
    pub fn was_in_doubt(&self, invoked_us: u64, answered_us: u64) -> bool {
        let kills = self.kills.borrow();
        kills.iter().any(|&(killed_us, started_us)| invoked_us < killed_us && started_us < answered_us)
    }
}

#[cfg(test)]
mod tests {
    use super::Doubts;

    #[test]
    fn a_write_is_in_doubt_if_a_death_lies_between_it_and_its_answer() {
        let doubts = Doubts::default();
        doubts.killed(100, 200);
        assert!(doubts.was_in_doubt(99, 201));
        // The answer was on its way already when the server died.
        assert!(!doubts.was_in_doubt(99, 150));
        assert!(!doubts.was_in_doubt(101, 300));
    }
}
