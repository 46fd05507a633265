//! What goes into [`Trust`](super::Trust) and what comes out: plain data.

use rollcall_protocol::{Epoch, RoomId};

use crate::cluster::Takeover;
use crate::ports::{Fence, LogTail};

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustInput {
    /// Time has passed.
    Tick,
    /// The key of the node's lease held this life of the node when it was renewed.
    Renewed {
        /// When the renewal was sent, in milliseconds of the monotonic clock.
        sent_at_ms: u64,
    },
    /// It did not.
    LeaseLost,
    /// The takeovers of the last [`TAKEOVERS_READ_MS`](super::TAKEOVERS_READ_MS) were read; none where they could not be.
    TakeoversRead {
        /// That of the [`TrustEffect::ReadTakeovers`].
        sent_at_ms: u64,
        /// All of them.
        rows: Option<Vec<Takeover>>,
    },
    /// A room was activated here.
    Owns {
        /// Which room.
        room: RoomId,
        /// Under which fence.
        fence: Fence,
        /// When the log was asked for that, in milliseconds of the monotonic clock.
        since_ms: u64,
        /// Whether the fence is stored: a room that nobody wrote to has none, and its owner has fenced nobody.
        stored: bool,
    },
    /// A room's first entries were committed here: now its fence is stored.
    Stored(RoomId),
    /// A room is watched at its owner.
    Watches {
        /// Which room.
        room: RoomId,
        /// The owner's epoch.
        epoch: Epoch,
    },
    /// A room is neither owned nor watched any more.
    Left(RoomId),
    /// Whether anybody here reads a room that this node owns.
    Subscribers {
        /// Which room.
        room: RoomId,
        /// Whether there is anybody.
        any: bool,
    },
    /// Somebody says that this node does not own the room any more.
    Doubted(RoomId),
    /// Fence and tail of a room were read, linearizably.
    Tail {
        /// Which room.
        room: RoomId,
        /// That of the [`TrustEffect::ReadTail`].
        number: u64,
        /// What was found; an error where nothing was read.
        found: Result<Option<LogTail>, ()>,
    },
}

/// What is to be done or known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustEffect {
    /// Read the takeovers of the last [`TAKEOVERS_READ_MS`](super::TAKEOVERS_READ_MS), and say what was found under this number.
    ReadTakeovers {
        /// The present time.
        sent_at_ms: u64,
    },
    /// Read a room's fence and tail, and say what was found under this number.
    ReadTail {
        /// Which room.
        room: RoomId,
        /// No two reads have the same.
        number: u64,
    },
    /// Another activation has fenced a room of this node: its owner here becomes a replica.
    Fenced {
        /// Which room.
        room: RoomId,
        /// Where the room stands.
        tail: LogTail,
    },
    /// A room is said to be owned elsewhere, and the log did not answer for long: its owner here becomes a replica.
    Yields(RoomId),
    /// A room that is watched under a lower epoch was taken over: its replica reads the log's tail at once.
    TakenOver(Takeover),
}
