//! Where somebody is in a room.

use rollcall_protocol::{Hash, Seq};
use serde::{Deserialize, Serialize};

/// A place in a room's history: the last entry that somebody has, and its hash where it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The entry's number; 0 before the first.
    pub seq: Seq,
    /// The entry's hash: with it, the server can tell that both mean the same history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Hash>,
}

/// From where a room is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinFrom {
    /// Only what is written from now on.
    Head,
    /// All that is kept.
    Start,
    /// What follows a place that the program kept itself.
    Cursor(Cursor),
    /// What follows the place that the client's storage has kept; from the head where it has none.
    Saved,
}
