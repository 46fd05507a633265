//! The events of a history. Field names are those of the JSON lines.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::hex;

/// One line of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A write, from its first sending to its final answer.
    Write(WriteEvent),
    /// A connection's cursor in a room was installed.
    Joined(JoinedEvent),
    /// A connection left a room, or ended.
    Left(LeftEvent),
    /// An entry reached a connection.
    Push(PushEvent),
    /// A connection was told that a range of entries is no longer kept.
    Expired(ExpiredEvent),
    /// The faults stopped for good.
    FaultsEnd(FaultsEndEvent),
    /// Where the kept part of a room's log begins; left out where that is 1.
    Floor(FloorEvent),
    /// One stored entry of the final log.
    Dump(Box<DumpEvent>),
    /// Words for the reader of the file (a seed, an injected fault). No rule looks at it.
    Note(NoteEvent),
}

/// What a write asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// A message.
    Send,
    /// A new body for a message of one's own.
    Edit,
    /// A message's body taken away.
    Redact,
    /// A reaction to a message.
    React,
}

impl Op {
    /// The kind of entry that stores such a write.
    pub fn kind(self) -> Kind {
        match self {
            Self::Send => Kind::Message,
            Self::Edit => Kind::Edit,
            Self::Redact => Kind::Redact,
            Self::React => Kind::React,
        }
    }
}

/// What a stored entry is. The numbers are those that the hash chain covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Kind {
    /// What somebody said.
    Message = 1,
    /// A new body for an earlier message.
    Edit = 2,
    /// An earlier message or edit lost its body.
    Redact = 3,
    /// A reaction to an earlier message.
    React = 4,
    /// A change of membership or role.
    Member = 5,
    /// The room's creation or a change of its settings.
    Room = 6,
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Acknowledged, with its seq.
    Ok,
    /// Refused, and the refusal was final. Any other refusal is `Unknown`.
    Failed,
    /// Nobody can tell: no answer, or one that was not final.
    Unknown,
}

/// One logical write: tried again any number of times, recorded once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteEvent {
    /// What it asked for.
    pub op: Op,
    /// When it was first sent, in µs.
    pub t_invoke: u64,
    /// When its final answer came or its client gave up, in µs.
    pub t_return: u64,
    /// The connection that it was first sent on.
    pub conn: String,
    /// The node that answered it last, or that it was sent to.
    pub node: String,
    /// The room.
    pub room: String,
    /// The sender.
    pub user: String,
    /// The sender's device.
    pub device: String,
    /// The device's counter of writes to this room, from 1.
    pub n: u64,
    /// The seq of the entry that an edit, redact or reaction is about; compared where it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<u64>,
    /// SHA-256 of the body as it must be stored; null for a write that has none.
    #[serde(default, with = "hex::optional")]
    pub body_hash: Option<[u8; 32]>,
    /// How it ended.
    pub outcome: Outcome,
    /// The number that it got; given with `ok`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// The epoch of the owner that acknowledged it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
}

/// A connection joined, resumed or joined again: from here on its next entry is `after + 1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinedEvent {
    /// When, in µs.
    pub t: u64,
    /// The connection.
    pub conn: String,
    /// The room.
    pub room: String,
    /// The cursor that was installed. A join that named none has the head as its cursor.
    pub after: u64,
    /// The head that the node told.
    pub head: u64,
}

/// A connection left a room or ended; nothing is expected of it there any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftEvent {
    /// When, in µs.
    pub t: u64,
    /// The connection.
    pub conn: String,
    /// The room; null or left out when the connection ended and so left all of its rooms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
}

/// An entry reached a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushEvent {
    /// When, in µs.
    pub t: u64,
    /// The connection.
    pub conn: String,
    /// The room.
    pub room: String,
    /// The entry's number.
    pub seq: u64,
    /// The epoch that it was shown with.
    pub epoch: u64,
    /// SHA-256 of the body that came; null if none came.
    #[serde(default, with = "hex::optional")]
    pub body_hash: Option<[u8; 32]>,
}

/// A connection was told that entries below the floor are gone; its cursor moves to `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiredEvent {
    /// When, in µs.
    pub t: u64,
    /// The connection.
    pub conn: String,
    /// The room.
    pub room: String,
    /// The first seq of the range.
    pub from: u64,
    /// The last seq of the range.
    pub to: u64,
}

/// The last fault was healed; whoever is still joined must reach the head in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultsEndEvent {
    /// When, in µs.
    pub t: u64,
    /// How long reaching the head may take, in µs.
    pub within_us: u64,
}

/// Where a room's kept entries begin. Stands before the room's first dump event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FloorEvent {
    /// The room.
    pub room: String,
    /// The first seq that is still kept.
    pub floor: u64,
    /// The chain hash of the entry before it.
    #[serde(with = "hex::required")]
    pub hash_before: [u8; 32],
}

/// One stored entry. Those of one room come in ascending order of seq.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpEvent {
    /// The room.
    pub room: String,
    /// The entry's number.
    pub seq: u64,
    /// The epoch that it was written under.
    pub epoch: u64,
    /// The ownership that wrote it: the random id that was drawn at the activation.
    pub owner: String,
    /// What it is.
    pub kind: Kind,
    /// Its sender; null or empty if it has none.
    pub user: Option<String>,
    /// Its sender's device; null or empty for an entry that the server made.
    pub device: Option<String>,
    /// The device's counter; 0 for an entry that the server made.
    pub n: u64,
    /// The seq that it is about; null or 0 if none.
    pub target: Option<u64>,
    /// Its stamp, in ms since 1970.
    pub created_at: i64,
    /// The random bytes before its body; null once the body was erased.
    #[serde(with = "hex::optional")]
    pub salt: Option<[u8; 16]>,
    /// SHA-256 of salt and body, as it was when the entry was written.
    #[serde(with = "hex::required")]
    pub content_hash: [u8; 32],
    /// The chain's value at this entry.
    #[serde(with = "hex::required")]
    pub hash: [u8; 32],
    /// SHA-256 of the stored body; null if there is none, or none any more.
    #[serde(with = "hex::optional")]
    pub body_hash: Option<[u8; 32]>,
    /// The stored body itself; where it is given, both hashes over it are recomputed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// Words for the reader of a recorded history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteEvent {
    /// The words.
    pub text: String,
}

impl fmt::Display for Event {
    /// Writes the event as its JSON line, without the line's end.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}
