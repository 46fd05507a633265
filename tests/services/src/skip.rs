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
    match started {
        Ok(server) => Some(server),
        Err(error @ ServiceError::Skipped(_)) => {
            assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "CI must run everything, but this was {error}");
            // Not the captured output of the test: whoever runs it should see it.
            let _ = std::io::stderr()
                .write_all(format!("\n{}\n", error.to_string().replacen("skipped", "SKIPPED", 1)).as_bytes());
            None
        }
        Err(error) => panic!("failed to start a server: {error}"),
    }
}
