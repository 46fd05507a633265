//! What goes into the room core and what comes out: plain data.

use std::sync::Arc;

use rollcall_protocol::{Ack, Body, DeviceId, Entry, Kind, Salt, Seq, UserId, WriteOp};

use super::refusal::Refusal;
use super::state::{MemberChange, RoomChange};
use crate::ports::{NotCommitted, StoredSnapshot};

/// What happens to a room. `T` stands for whoever waits for an answer; the core hands it back with the answer, exactly once.
#[derive(Debug)]
pub enum Input<T> {
    /// A device wants an entry to be written.
    Submit(Submit<T>),
    /// The server wants an entry to be written.
    Change(Change<T>),
    /// The append in flight is durable.
    Committed,
    /// Nothing of the append in flight is stored.
    NotCommitted(NotCommitted),
    /// Nobody knows what became of the append in flight.
    Unknown,
    /// Nobody has written for a while: memory that only writes need is given back.
    Rest,
    /// The room is to be given up: what was taken is finished, nothing more is taken.
    Drain,
}

/// A device's write.
#[derive(Debug, Clone)]
pub struct Submit<T> {
    /// Who waits for the answer.
    pub reply: T,
    /// Who writes.
    pub sender: UserId,
    /// From which installation.
    pub device: DeviceId,
    /// The device's own counter of writes to the room, from 1.
    pub n: u64,
    /// The device's last accepted n.
    pub prev: u64,
    /// A head of the room that the device saw before it first wrote there.
    pub since: Seq,
    /// What the write does.
    pub op: WriteOp,
    /// What it is about, as the log has it.
    pub target: Option<Target>,
    /// What is said.
    pub body: Option<Body>,
    /// Sixteen random bytes of this write's own.
    pub salt: Salt,
    /// What the sender's token allows in this room.
    pub rights: Rights,
}

/// What a token allows in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rights {
    /// Reading: joining and history.
    pub read: bool,
    /// Writing, and redacting one's own.
    pub write: bool,
    /// Redacting what others wrote.
    pub moderate: bool,
}

/// What a write is about. Kind and sender of an entry never change, so they may be read before the write takes its turn; of a
/// redaction that comes in between the room knows by itself, for so many entries as
/// [`REDACTIONS_REMEMBERED_ENTRIES`](super::REDACTIONS_REMEMBERED_ENTRIES) says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The entry is there.
    Found {
        /// Its number.
        seq: Seq,
        /// What it records.
        kind: Kind,
        /// Who wrote it.
        sender: UserId,
        /// Whether its body was taken away before it was looked up. A redaction may also be under way.
        redacted: bool,
    },
    /// There is no such entry.
    Absent(Seq),
    /// It lay below the room's floor.
    Expired(Seq),
    /// The log could not be read.
    Unreadable(Seq),
}

impl Target {
    /// Returns the number that the sender named.
    pub fn seq(&self) -> Seq {
        match *self {
            Self::Found { seq, .. } | Self::Absent(seq) | Self::Expired(seq) | Self::Unreadable(seq) => seq,
        }
    }
}

/// An entry that the server makes: it has no device and no n, and is written only where it changes something.
#[derive(Debug, Clone)]
pub struct Change<T> {
    /// Who waits for the answer.
    pub reply: T,
    /// In whose name.
    pub sender: UserId,
    /// What changes.
    pub what: ChangeKind,
    /// Sixteen random bytes of this entry's own.
    pub salt: Salt,
}

/// What a server's entry changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeKind {
    /// Somebody's role.
    Member(MemberChange),
    /// The room's settings; in a room that nobody wrote to, its creation by the sender. The core says who the creator is.
    Room(RoomChange),
}

/// The answer to a write.
pub type Answer = Result<Ack, Refusal>;

/// What the core wants to be done, in this order.
#[derive(Debug, PartialEq)]
pub enum Effect<T> {
    /// Give these entries to the log, and tell the core what became of them. No further append comes before that.
    Append(Arc<[Entry]>),
    /// Show these committed entries to everybody in the room.
    Deliver(Arc<[Entry]>),
    /// Answer.
    Reply(T, Answer),
    /// Store this snapshot when there is time.
    Snapshot(StoredSnapshot),
    /// The room is over here: answer nothing more, take nothing more.
    Stop(StopReason),
}

/// Why a room is over on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// It was drained; everything that it took was answered.
    Drained,
    /// Another owner numbers it now.
    Fenced,
    /// The log did not say what became of an append; the next activation finds out.
    OutcomeUnknown,
    /// What the log has of the room is damaged.
    Damaged,
}
