//! What broke a rule, and how it is shown.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::{Event, Kind};
use crate::hex;
use crate::rule::Rule;

/// One breach of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anomaly {
    /// The rule.
    pub rule: Rule,
    /// The room in which it was broken.
    pub room: String,
    /// What is wrong, in words.
    pub explanation: String,
    /// The events that show it.
    pub evidence: Vec<Evidence>,
}

/// An event that shows a breach, or what the checker kept of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Evidence {
    /// The event as it was observed.
    Event(Event),
    /// What was kept of an event that itself was not.
    Kept(KeptRecord),
}

/// What the checker keeps of events that it cannot afford to keep whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum KeptRecord {
    /// A dump event without what only the hash chain needs.
    Stored {
        /// The room.
        room: String,
        /// The entry's number.
        seq: u64,
        /// The epoch that it was written under.
        epoch: u64,
        /// The ownership that wrote it.
        owner: String,
        /// What it is.
        kind: Kind,
        /// Its sender; empty if it has none.
        user: String,
        /// Its sender's device; empty if it has none.
        device: String,
        /// The device's counter.
        n: u64,
        /// The seq that it is about; 0 if none.
        target: u64,
        /// Its stamp, in ms since 1970.
        created_at: i64,
        /// SHA-256 of its body; null once the body was erased.
        #[serde(with = "hex::optional")]
        body_hash: Option<[u8; 32]>,
    },
    /// The first push of an entry, which all later ones are compared with.
    FirstPush {
        /// The connection that got it.
        conn: String,
        /// The room.
        room: String,
        /// The entry's number.
        seq: u64,
        /// The epoch that it was shown with.
        epoch: u64,
        /// The first 16 bytes of the hash of its body; null if no body came.
        #[serde(with = "hex::optional")]
        body_hash_start: Option<[u8; 16]>,
    },
    /// Where a connection was at the end.
    Cursor {
        /// The connection.
        conn: String,
        /// The room.
        room: String,
        /// The last seq that it got, or that it joined with.
        seq: u64,
        /// When it joined, in µs.
        t_joined: u64,
        /// When its cursor last moved, in µs.
        t_moved: u64,
    },
}

impl fmt::Display for Evidence {
    /// Writes the evidence as a JSON line, without the line's end.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Display for Anomaly {
    /// Writes one line of words and one line for each piece of evidence.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} in room {:?}: {}", self.rule, self.room, self.explanation)?;
        self.evidence.iter().try_for_each(|evidence| write!(formatter, "\n    {evidence}"))
    }
}
