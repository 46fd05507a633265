//! What the doctor found.

use std::fmt::Display;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// By how much a node's clock may differ from Redis's before it takes no rooms.
const CLOCK_DIFFERENCE_MAX: Duration = Duration::from_secs(5);

/// A difference that no clock has which somebody looks after.
const CLOCK_DIFFERENCE_USUAL: Duration = Duration::from_secs(1);

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// It works, and should be otherwise.
    Warn,
    /// A server cannot work with it, or the promises do not hold.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at: `area.thing`, the same in every version.
    pub check: &'static str,
    /// How it is.
    pub status: Status,
    /// What was found.
    pub text: String,
    /// What to do about it; none where nothing need be done, or the text says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Finding {
    /// It is as it should be.
    pub fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self { check, status: Status::Ok, text: text.into(), advice: None }
    }

    /// It works, and should be otherwise.
    pub fn warn(check: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, status: Status::Warn, text: text.into(), advice: Some(advice.into()) }
    }

    /// It must be otherwise.
    pub fn fail(check: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, status: Status::Fail, text: text.into(), advice: Some(advice.into()) }
    }

    /// An error whose text says what to do.
    pub fn failed(check: &'static str, error: &impl Display) -> Self {
        Self { check, status: Status::Fail, text: error.to_string(), advice: None }
    }
}

/// Judges another machine's clock by what it said between two moments of ours.
pub fn clock(check: &'static str, whose: &str, said: Duration, asked: SystemTime, answered: SystemTime) -> Finding {
    let since_epoch = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (asked, answered) = (since_epoch(asked), since_epoch(answered));
    // Whatever it was between the two may have been said at any moment between them.
    let difference = if said < asked { asked - said } else { said.saturating_sub(answered) };
    let seconds = difference.as_secs_f64();
    let direction = if said < asked { "behind" } else { "ahead of" };
    let advice = "keep both clocks by NTP: a node that is more than 5 s from Redis takes no rooms";
    if difference > CLOCK_DIFFERENCE_MAX {
        Finding::fail(check, format!("the clock of {whose} is {seconds:.1} s {direction} this machine's"), advice)
    } else if difference > CLOCK_DIFFERENCE_USUAL {
        Finding::warn(check, format!("the clock of {whose} is {seconds:.1} s {direction} this machine's"), advice)
    } else {
        Finding::ok(check, format!("the clocks of {whose} and of this machine agree"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_judged_by_how_far_they_are_apart() {
        let at = |ms: u64| UNIX_EPOCH + Duration::from_millis(ms);
        let status = |said| clock("c", "it", Duration::from_millis(said), at(100_000), at(102_000)).status;
        for said in [100_000, 102_000, 99_000, 103_000] {
            assert_eq!(status(said), Status::Ok, "{said}");
        }
        for said in [98_999, 95_000, 103_001, 107_000] {
            assert_eq!(status(said), Status::Warn, "{said}");
        }
        for said in [94_999, 0, 107_001, 4_000_000] {
            assert_eq!(status(said), Status::Fail, "{said}");
        }
        let behind = clock("c", "it", Duration::from_secs(40), at(100_000), at(100_000));
        assert_eq!(behind.text, "the clock of it is 60.0 s behind this machine's");
    }
}
