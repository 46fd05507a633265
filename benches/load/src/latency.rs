//! Latencies: a histogram, and what is reported of it.

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency that is told from a longer one: ten minutes, in µs.
const LATENCY_US_MAX: u64 = 600_000_000;

/// Significant digits that the histogram keeps.
const DIGITS: u8 = 3;

/// A histogram of latencies from 1 µs to ten minutes, to three digits.
#[derive(Debug)]
pub struct Latency {
    histogram: Histogram<u64>,
}

/// What is reported of a histogram, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    /// Half were not longer.
    pub p50: f64,
    /// 99 of 100 were not longer.
    pub p99: f64,
    /// 999 of 1,000 were not longer.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

impl Latency {
    /// Makes an empty histogram.
    pub fn new() -> Self {
        let histogram =
            Histogram::new_with_bounds(1, LATENCY_US_MAX, DIGITS).expect("the bounds are those of a histogram");
        Self { histogram }
    }

    /// Adds one latency, in µs.
    pub fn record_us(&mut self, us: u64) {
        self.histogram.saturating_record(us.max(1));
    }

    /// Returns the quantiles; none of an empty histogram.
    pub fn quantiles(&self) -> Option<Quantiles> {
        if self.histogram.is_empty() {
            return None;
        }
        let ms_at = |quantile: f64| us_to_ms(self.histogram.value_at_quantile(quantile));
        Some(Quantiles { p50: ms_at(0.5), p99: ms_at(0.99), p999: ms_at(0.999), max: us_to_ms(self.histogram.max()) })
    }
}

#[expect(clippy::cast_precision_loss, reason = "ten minutes in µs fit a float exactly")]
fn us_to_ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::Latency;

    #[test]
    fn quantiles_are_in_milliseconds_and_within_a_thousandth() {
        let mut latency = Latency::new();
        for us in 1..=100_000 {
            latency.record_us(us);
        }
        let quantiles = latency.quantiles().unwrap();
        for (found, expected) in
            [(quantiles.p50, 50.0), (quantiles.p99, 99.0), (quantiles.p999, 99.9), (quantiles.max, 100.0)]
        {
            assert!((found - expected).abs() / expected < 0.001, "{found} instead of {expected}");
        }
    }

    #[test]
    fn nothing_has_no_quantiles_and_too_long_is_the_longest() {
        let mut latency = Latency::new();
        assert_eq!(latency.quantiles(), None);
        latency.record_us(u64::MAX);
        assert!(latency.quantiles().unwrap().max >= 600_000.0);
    }
}
