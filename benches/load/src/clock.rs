//! The one clock of a run.

use std::time::{Duration, Instant};

/// Microseconds since the run began: the times of the history, and of the bodies that carry when they were due.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts the clock.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Returns the time, in µs since the start.
    pub fn now_us(&self) -> u64 {
        micros(self.start.elapsed())
    }

    /// Returns the instant at which the clock shows a time, in µs since the start.
    pub fn instant(&self, us: u64) -> tokio::time::Instant {
        (self.start + Duration::from_micros(us)).into()
    }
}

/// Returns a duration in whole µs; one that does not fit is the longest that does.
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
