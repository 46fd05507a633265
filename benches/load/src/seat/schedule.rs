//! The schedule of an open loop: writes are due at fixed times, whatever the server does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::Notify;

use crate::clock::Clock;

/// How often the schedule is looked at. The runtime's own timers are exact to a millisecond only, which is more than the
/// latencies that are measured.
const TICK: Duration = Duration::from_micros(200);

/// Gives out times at which writes are due, evenly spaced.
pub struct Schedule {
    clock: Clock,
    ticker: Arc<Ticker>,
    spacing: Spacing,
}

/// A thread that sleeps, wakes us, and does nothing else.
#[derive(Default)]
struct Ticker {
    tick: Notify,
    is_over: AtomicBool,
}

/// Evenly spaced times from a start on.
#[derive(Debug, Clone, Copy)]
struct Spacing {
    start_us: u64,
    per_s: f64,
    given: u64,
}

impl Schedule {
    /// Begins a schedule now, of so many writes a second.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn begin(clock: Clock, per_s: f64) -> anyhow::Result<Self> {
        let ticker = Arc::new(Ticker::default());
        let shared = Arc::clone(&ticker);
        thread::Builder::new()
            .name("schedule".to_owned())
            .spawn(move || {
                while !shared.is_over.load(Ordering::Relaxed) {
                    thread::sleep(TICK);
                    shared.tick.notify_one();
                }
            })
            .context("failed to start the thread of the schedule")?;
        let spacing = Spacing { start_us: clock.now_us(), per_s, given: 0 };
        Ok(Self { clock, ticker, spacing })
    }

    /// Waits until at least one write is due, and returns the times of all that are, in µs.
    pub async fn due(&mut self) -> Vec<u64> {
        loop {
            let due = self.spacing.take_until(self.clock.now_us());
            if !due.is_empty() {
                return due;
            }
            self.ticker.tick.notified().await;
        }
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.ticker.is_over.store(true, Ordering::Relaxed);
    }
}

impl Spacing {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "microseconds of a run fit a float exactly"
    )]
    fn take_until(&mut self, now_us: u64) -> Vec<u64> {
        let due_at = |number: u64| self.start_us + (number as f64 / self.per_s * 1e6) as u64;
        let due: Vec<u64> = (self.given..).map(due_at).take_while(|&due_us| due_us <= now_us).collect();
        self.given += due.len() as u64;
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_evenly_spaced_and_none_is_left_out() {
        let mut spacing = Spacing { start_us: 1_000, per_s: 400.0, given: 0 };
        assert!(spacing.take_until(999).is_empty());
        assert_eq!(spacing.take_until(1_000), [1_000]);
        assert!(spacing.take_until(3_499).is_empty());
        assert_eq!(spacing.take_until(8_500), [3_500, 6_000, 8_500]);
    }
}
