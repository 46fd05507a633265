//! Waiting for a condition, never longer than a limit.

use std::thread;
use std::time::{Duration, Instant};

/// How long to rest between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Looks until a condition gives something. Past the limit, returns what the last look said was missing.
pub(crate) fn wait_for<T>(limit: Duration, mut look: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let deadline = Instant::now() + limit;
    loop {
        match look() {
            Ok(value) => return Ok(value),
            Err(missing) if Instant::now() >= deadline => return Err(missing),
            Err(_) => thread::sleep(BETWEEN_LOOKS), // pace: between two looks
        }
    }
}
