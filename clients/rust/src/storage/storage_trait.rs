//! The port to whatever keeps a client's state.

use super::Saved;

/// Keeps one client's state across restarts. Each client has a storage of its own.
///
/// Both functions may block: the client calls them on a thread where that is allowed, one at a time.
pub trait Storage: Send + 'static {
    /// Returns what was saved last; nothing has been saved yet in a fresh one.
    ///
    /// # Errors
    /// Where there is something that cannot be read.
    fn load(&mut self) -> Result<Saved, StorageError>;

    /// Replaces what was saved. Once it returns, the new state outlives the program, and, as far as the adapter promises, the
    /// machine. If it fails or the program dies in it, the old state or the new one is there, whole.
    ///
    /// # Errors
    /// Where it could not be saved: the client stops, since it may not send what it cannot try again.
    fn save(&mut self, saved: &Saved) -> Result<(), StorageError>;
}

/// Why a storage failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The medium failed.
    #[error("failed to {what} `{place}`: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file, or other place.
        place: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// What is there is not a client's state.
    #[error("failed to read `{place}`, which is not a client's state: {source}")]
    Damaged {
        /// Which file, or other place.
        place: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Another client of this or another process uses it.
    #[error("failed to use `{place}`: another client has it")]
    InUse {
        /// Which file, or other place.
        place: String,
    },
}
