//! How long the committer waits for more before it commits.

use std::time::Duration;

/// Above this mean size, in commands, groups are worth waiting for: somebody else writes too.
const BUSY_GROUP: f64 = 1.25;

/// The part of the mean that the newest group has.
const NEWEST: f64 = 1.0 / 8.0;

/// The gather window, adaptive: none while each group has a single command, as with a client that waits for each answer before
/// it writes again; the whole window once groups are larger than that.
///
/// A sync costs the processor tens of microseconds and wakes everybody whose writes it made durable. With many rooms that each
/// write now and then, a window of a millisecond makes groups of a few writes out of groups of one or two.
#[derive(Debug)]
pub(super) struct Gather {
    window: Duration,
    mean_group: f64,
}

impl Gather {
    /// Begins as on a quiet log.
    pub fn new(window: Duration) -> Self {
        Self { window, mean_group: 1.0 }
    }

    /// Returns how long to wait, once there is something to commit.
    pub fn wait(&self) -> Duration {
        if self.mean_group > BUSY_GROUP { self.window } else { Duration::ZERO }
    }

    /// Learns how many commands came together.
    pub fn learn(&mut self, group: usize) {
        self.mean_group += (group as f64 - self.mean_group) * NEWEST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_only_while_groups_are_larger_than_one() {
        let window = Duration::from_micros(1_000);
        let mut gather = Gather::new(window);
        for _ in 0..100 {
            gather.learn(1);
            assert_eq!(gather.wait(), Duration::ZERO, "one at a time waits for nobody");
        }
        for _ in 0..10 {
            gather.learn(2);
        }
        assert_eq!(gather.wait(), window);
        for _ in 0..20 {
            gather.learn(1);
        }
        assert_eq!(gather.wait(), Duration::ZERO, "quiet again");
    }
}
