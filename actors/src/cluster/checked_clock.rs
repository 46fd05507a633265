//! Whether a node's clock can be gone by: it was that of Redis when Redis was asked, and has run evenly since.

use super::lease::{CLOCK_SKEW_MS_MAX, Now};

/// How a node's two clocks stood to one another when the time of day was found to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CheckedClock {
    /// The time of day less the clock that never goes back, in milliseconds.
    difference_ms: i64,
}

impl CheckedClock {
    /// Notes a time of day that was found to be right.
    pub fn at(now: Now) -> Self {
        Self { difference_ms: difference_ms(now) }
    }

    /// Tells whether the time of day has run evenly since it was checked: it was not set, as far as
    /// [`CLOCK_SKEW_MS_MAX`] shows.
    pub fn has_run_evenly(self, now: Now) -> bool {
        difference_ms(now).abs_diff(self.difference_ms) <= CLOCK_SKEW_MS_MAX
    }
}

fn difference_ms(now: Now) -> i64 {
    now.wall_ms.saturating_sub_unsigned(now.mono_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_noticed_and_one_that_runs_is_not() {
        let checked = CheckedClock::at(Now { mono_ms: 1_000, wall_ms: 1_790_000_000_000 });
        for (passed_ms, set_by_ms, is_even) in [
            (0, 0, true),
            (86_400_000, 0, true),
            (60_000, 5_000, true),
            (60_000, -5_000, true),
            (60_000, 5_001, false),
            (60_000, -5_001, false),
            (0, 3_600_000, false),
            (0, i64::MAX - 1_790_000_000_000, false),
        ] {
            let wall_ms = 1_790_000_000_000 + set_by_ms + passed_ms;
            let now = Now { mono_ms: 1_000 + passed_ms.cast_unsigned(), wall_ms };
            assert_eq!(checked.has_run_evenly(now), is_even, "set by {set_by_ms} ms");
        }
    }
}
