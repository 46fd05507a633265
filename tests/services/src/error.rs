//! Why a server is not there.

use std::io;
use std::path::Path;

use thiserror::Error;

/// Why a server could not be started or asked.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// The machine lacks what the server needs. A test says so loudly and passes; under `CI=true` it fails.
    #[error("skipped: {0}")]
    Skipped(String),
    /// The server ended instead of answering.
    #[error("{server} ended ({status}) instead of answering; the end of its log:\n{log_tail}")]
    Ended {
        /// Its name.
        server: String,
        /// How it ended.
        status: String,
        /// The last lines of its log.
        log_tail: String,
    },
    /// The server or a group of servers runs, but is not ready.
    #[error("{server} is not ready after {waited_s} s: {reason}; the end of its log:\n{log_tail}")]
    NotReady {
        /// Its name.
        server: String,
        /// How long it was waited for, in seconds.
        waited_s: u64,
        /// What it answered last.
        reason: String,
        /// The last lines of its log.
        log_tail: String,
    },
    /// The server is there, and did not do what it was asked to.
    #[error("{server} did not do what it was asked to: {reason}")]
    Refused {
        /// Its name.
        server: String,
        /// What it answered.
        reason: String,
    },
    /// A folder holds something that is not ours to overwrite, or servers that still run.
    #[error("{0}")]
    InTheWay(String),
    /// The operating system refused.
    #[error("failed to {action}: {source}")]
    Io {
        /// What was tried.
        action: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl ServiceError {
    pub(crate) fn refused(server: &str, reason: impl Into<String>) -> Self {
        Self::Refused { server: server.to_owned(), reason: reason.into() }
    }
}

/// Says what an operation on a file was for.
pub(crate) trait DuringExt<T> {
    /// Names what was tried with a path.
    fn during(self, action: &str, path: &Path) -> Result<T, ServiceError>;
}

impl<T> DuringExt<T> for io::Result<T> {
    fn during(self, action: &str, path: &Path) -> Result<T, ServiceError> {
        self.map_err(|source| ServiceError::Io { action: format!("{action} {}", path.display()), source })
    }
}
