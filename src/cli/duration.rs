//! Durations as people type them.

use std::str::FromStr;
use std::time::Duration;

/// A whole number of seconds, typed as `90s`, `15m`, `1h` or `30d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds(pub u64);

/// The longest that makes sense: a hundred years.
const SECONDS_MAX: u64 = 100 * 365 * 24 * 60 * 60;

impl Seconds {
    /// Returns it as the standard library has it.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl FromStr for Seconds {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const ADVICE: &str = "write a number with a unit: 90s, 15m, 1h or 30d";
        let unit = text.chars().last().ok_or(ADVICE)?;
        let factor = match unit {
            's' => 1,
            'm' => 60,
            'h' => 60 * 60,
            'd' => 24 * 60 * 60,
            _ => return Err(ADVICE),
        };
        let number: u64 = text[..text.len() - 1].parse().map_err(|_| ADVICE)?;
        let seconds = number.checked_mul(factor).filter(|seconds| (1..=SECONDS_MAX).contains(seconds));
        seconds.map(Self).ok_or("take at least a second and at most a hundred years")
    }
}

/// Writes a length of time in the two largest units that it has.
pub fn in_words(mut seconds: u64) -> String {
    let units = [("d", 24 * 60 * 60), ("h", 60 * 60), ("m", 60), ("s", 1)];
    let mut words = Vec::new();
    for (unit, size) in units {
        if seconds >= size {
            words.push(format!("{}{unit}", seconds / size));
            seconds %= size;
        }
    }
    words.truncate(2);
    if words.is_empty() { "0s".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let seconds = |text: &str| text.parse::<Seconds>().map(|seconds| seconds.0);
        assert_eq!(
            [seconds("90s"), seconds("15m"), seconds("1h"), seconds("2d")],
            [Ok(90), Ok(900), Ok(3600), Ok(172_800)]
        );
        for text in ["", "1", "h", "-1h", "1.5h", "0s", "99999999999999999999d", "99999999d", "1ä"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        assert_eq!([in_words(0), in_words(59), in_words(3_661), in_words(200_000)], ["0s", "59s", "1h 1m", "2d 7h"]);
    }
}
