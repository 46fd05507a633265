//! What a test does on a machine that cannot run a server.

use std::env;
use std::io::Write as _;

use crate::error::ServiceError;

/// Returns the server; none, said loudly, where the machine lacks what it needs.
///
/// # Panics
///
/// If the server could not be started for any other reason, and for that one too where `CI=true`: CI must run everything.
pub fn unless_skipped<T>(started: Result<T, ServiceError>) -> Option<T> {
    unless_skipped_in(started, env::var_os("CI").is_some_and(|ci| ci == "true"))
}

fn unless_skipped_in<T>(started: Result<T, ServiceError>, in_ci: bool) -> Option<T> {
    match started {
        Ok(server) => Some(server),
        Err(ServiceError::Skipped(reason)) => {
            assert!(!in_ci, "CI must run everything, but {reason}");
            // Not the captured output of the test: whoever runs it should see it.
            let _ = std::io::stderr().write_all(format!("\nSKIPPED: {reason}\n").as_bytes());
            None
        }
        Err(error) => panic!("failed to start a server: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::unless_skipped_in;
    use crate::error::ServiceError;

    fn skipped() -> Result<u8, ServiceError> {
        Err(ServiceError::Skipped("Java is missing (as a test of the skip itself would have it)".to_owned()))
    }

    #[test]
    fn what_the_machine_lacks_is_skipped() {
        assert_eq!(unless_skipped_in(skipped(), false), None);
        assert_eq!(unless_skipped_in(Ok(7), true), Some(7));
    }

    #[test]
    #[should_panic(expected = "CI must run everything, but Java is missing")]
    fn ci_skips_nothing() {
        unless_skipped_in(skipped(), true);
    }

    #[test]
    #[should_panic(expected = "failed to start a server: redis did not do what it was asked to: no")]
    fn a_server_that_fails_is_not_skipped() {
        unless_skipped_in::<u8>(Err(ServiceError::refused("redis", "no")), false);
    }
}
