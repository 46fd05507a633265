//! How long to wait before a statement is sent again.

use std::time::Duration;

/// Twice as long each time, from the first up to the longest; and up to half of it is left out at random, so that nodes that
/// lost the same server do not come back together.
pub(super) fn before_attempt(attempt: u32, (first, longest): (Duration, Duration)) -> Duration {
    let Some(doublings) = attempt.checked_sub(1) else { return Duration::ZERO };
    let whole = first.saturating_mul(1 << doublings.min(16)).min(longest);
    whole.mul_f64(rand::random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let pauses = (Duration::from_millis(20), Duration::from_secs(1));
        assert_eq!(before_attempt(0, pauses), Duration::ZERO);
        for (attempt, longest_ms) in [(1, 20), (2, 40), (3, 80), (6, 640), (7, 1_000), (40, 1_000), (u32::MAX, 1_000)] {
            let (pause, longest) = (before_attempt(attempt, pauses), Duration::from_millis(longest_ms));
            assert!(longest / 2 <= pause && pause <= longest, "attempt {attempt}: {pause:?}");
        }
    }
}
