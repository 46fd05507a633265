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

    /// Returns when the server died to which a write was sent, if it died unanswered and the answer is a later server's. Times
    /// in µs.
    pub fn in_doubt_since(&self, invoked_us: u64, answered_us: u64) -> Option<u64> {
        let kills = self.kills.borrow();
        let between = |&&(killed_us, started_us): &&(u64, u64)| invoked_us < killed_us && started_us < answered_us;
        kills.iter().find(between).map(|&(killed_us, _)| killed_us)
    }
}

#[cfg(test)]
mod tests {
    use super::Doubts;

    #[test]
    fn a_write_is_in_doubt_if_a_death_lies_between_it_and_its_answer() {
        let doubts = Doubts::default();
        doubts.killed(100, 200);
        assert_eq!(doubts.in_doubt_since(99, 201), Some(100));
        // The answer was on its way already when the server died.
        assert_eq!(doubts.in_doubt_since(99, 150), None);
        assert_eq!(doubts.in_doubt_since(101, 300), None);
    }
}
