//! How long to wait before trying again.

/// The least ceiling of a pause between connections, in milliseconds.
pub const RECONNECT_FIRST_MS: u64 = 500;
/// The greatest ceiling of a pause between connections, in milliseconds.
pub const RECONNECT_MAX_MS: u64 = 20_000;
/// The first pause before a refused request is tried again, in milliseconds.
pub const RETRY_FIRST_MS: u64 = 100;
/// The longest pause before a refused request is tried again, in milliseconds.
pub const RETRY_MAX_MS: u64 = 5_000;

/// Returns the pause before the next connection: full jitter, anywhere between nothing and a ceiling that doubles with each
/// failure, so that clients that lost one server together do not come back together.
///
/// Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
pub(super) fn reconnect_ms(failures: u32, random: u64) -> u64 {
    random % (ceiling(RECONNECT_FIRST_MS, RECONNECT_MAX_MS, failures) + 1)
}

/// Returns the pause before a refused request is tried again: at least half of a ceiling that doubles with each failure.
pub(super) fn retry_ms(failures: u32, random: u64) -> u64 {
    let ceiling = ceiling(RETRY_FIRST_MS, RETRY_MAX_MS, failures);
    ceiling / 2 + random % (ceiling / 2 + 1)
}

fn ceiling(first: u64, max: u64, failures: u32) -> u64 {
    (first << failures.min(16)).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_between_connections_has_full_jitter_and_a_growing_ceiling() {
        let ceilings: Vec<u64> =
            (0..8).map(|failures| (0..100_000).map(|random| reconnect_ms(failures, random)).max().unwrap()).collect();
        assert_eq!(ceilings, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000]);
        assert_eq!(reconnect_ms(u32::MAX, 0), 0);
    }

    #[test]
    fn a_refused_request_waits_at_least_half_its_ceiling() {
        for (failures, least, most) in [(0, 50, 100), (3, 400, 800), (40, 2_500, 5_000)] {
            let pauses: Vec<u64> = (0..10_000).map(|random| retry_ms(failures, random)).collect();
            assert_eq!((pauses.iter().min(), pauses.iter().max()), (Some(&least), Some(&most)));
        }
    }
}
