//! What can go wrong, one type an operation.

use rollcall_protocol::{BodyError, ErrorFrame, IdError, Seq};

/// Why the client gave up for good.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StopError {
    /// The program closed the client, or dropped its last handle.
    #[error("the client was closed")]
    Closed,
    /// The server did not accept who the client is.
    #[error("the server refused the client: {0}")]
    Refused(Box<ErrorFrame>),
    /// The server closed the connection with a code that says not to come back.
    #[error("the server closed the connection for good, with code {code}: {meaning}")]
    Verdict {
        /// The close code.
        code: u16,
        /// What the code means.
        meaning: String,
    },
    /// What must outlive a restart could not be stored, so nothing more is sent.
    #[error("the client's storage failed: {0}")]
    Storage(String),
}

/// Why a write has no number.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WriteError {
    /// It was refused, is not stored, and never will be.
    #[error("the write was refused and is not stored: {0}")]
    Refused(Box<ErrorFrame>),
    /// It may have been stored, once, or not: the client stopped before it was answered, or the room has forgotten the
    /// device. What became of it is in the room's history.
    #[error("it is not known whether the write was stored{}", last.as_ref().map(|error| format!("; the last answer was {error}")).unwrap_or_default())]
    Unknown {
        /// The last answer, if there was one.
        last: Option<Box<ErrorFrame>>,
    },
    /// Too many writes of this room wait already; this one was not sent.
    #[error("too many writes to this room wait to be answered")]
    QueueFull,
    /// The client was stopped or the room was left before the write was sent.
    #[error("the client or the room was closed before the write was sent")]
    Closed,
    /// The body cannot be sent.
    #[error("the body cannot be sent: {0}")]
    Body(#[from] BodyError),
}

/// Why a room was not joined.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum JoinError {
    /// The name is not one of a room.
    #[error(transparent)]
    Name(#[from] IdError),
    /// The server does not let the client in.
    #[error("the server refused the join: {0}")]
    Refused(Box<ErrorFrame>),
    /// The cursor does not lie on the room's history: what was kept of the room is of another one. Drop it and join afresh.
    #[error("the cursor {after} does not lie on the room's history")]
    Diverged {
        /// The number that the client asked to resume after.
        after: Seq,
    },
    /// This client has joined the room already.
    #[error("the room is joined already")]
    AlreadyJoined,
    /// The client stopped before the server answered.
    #[error("the client has stopped: {0}")]
    Stopped(StopError),
}

/// Why a page of history did not come.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum HistoryError {
    /// The name is not one of a room.
    #[error(transparent)]
    Name(#[from] IdError),
    /// The entries asked for are gone: history begins after them.
    #[error("the entries {from} to {to} are expired")]
    Expired {
        /// The first that is gone.
        from: Seq,
        /// The last that is gone.
        to: Seq,
    },
    /// The server refused.
    #[error("the server refused: {0}")]
    Refused(Box<ErrorFrame>),
    /// The client stopped before the server answered.
    #[error("the client has stopped: {0}")]
    Stopped(StopError),
}

/// Why a client could not be made or did not get its first connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is not one of a WebSocket server.
    #[error("`{url}` is not the address of a WebSocket server: {reason}")]
    Url {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The storage could not be read.
    #[error(transparent)]
    Storage(#[from] crate::storage::StorageError),
    /// The client gave up before it was connected.
    #[error(transparent)]
    Stopped(#[from] StopError),
}

/// Reads the range that an `expired` error names: `from` and `to`, both gone.
pub(crate) fn expired_range(error: &ErrorFrame) -> Option<(Seq, Seq)> {
    let number =
        |name: &str| error.details.get(name)?.as_u64().filter(|&number| number < rollcall_protocol::NUMBER_MAX);
    Some((Seq::new(number("from")?), Seq::new(number("to")?)))
}
