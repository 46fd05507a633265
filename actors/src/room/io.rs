//! What goes into the room core and what comes out: plain data.

use std::sync::Arc;

use rollcall_protocol::{Ack, Body, DeviceId, Entry, Hash, Kind, Salt, Seq, UserId, WriteOp};

use super::refusal::Refusal;
use super::state::{MemberChange, RoomChange};
use crate::ports::{LogError, NotCommitted, StoredSnapshot};

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
    /// Look whether the room keeps more than it is to, and have deleted what an earlier owner let expire, or what this one could not
    /// delete.
    Retain,
    /// What may expire; an error where the log could not say.
    ExpirableFound(Result<Option<LastExpired>, LogError>),
    /// Up to which number the state is kept by the snapshot that was stored for an expiry and read back; none where there is no such.
    SnapshotKept {
        /// The snapshot's number.
        seq: Option<Seq>,
        /// Sixteen random bytes of the entry's own that says what has expired.
        salt: Salt,
    },
    /// What became of the deletion of what lies before a number.
    Dropped {
        /// The number.
        before: Seq,
        /// Whether it was deleted; else it is tried again.
        is_done: bool,
    },
    /// The room is to be given up: what was taken is finished, nothing more is taken.
    Drain {
        /// Whether another owner takes it at once. That one needs no snapshot of what is new, and activates the sooner the less the
        /// log has to do meanwhile; its own ones come when the log has grown, whoever let it grow.
        goes_on: bool,
    },
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
    /// What lies before this number expires, as far as the log can delete it by itself and a snapshot holds what is needed of it.
    Expire(Seq),
}

/// How much of a room's history is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Retention {
    /// This many entries, and those before them expire; none: all.
    pub entries_max: Option<u64>,
    /// For so long, in milliseconds; none: for ever.
    pub age_max_ms: Option<u64>,
}

impl Retention {
    /// Everything is kept.
    pub const FOR_EVER: Self = Self { entries_max: None, age_max_ms: None };
}

/// Which entries may expire; the log says what it can delete of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Expirable {
    /// The first number that is still kept.
    pub floor: Seq,
    /// All up to this number may expire.
    pub through: Seq,
    /// Of those after it, up to and with this number, those may that were made before `made_before_ms`.
    pub head: Seq,
    /// In milliseconds since 1970; none: no others.
    pub made_before_ms: Option<i64>,
}

/// The last of the entries that are to expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LastExpired {
    /// Its number.
    pub seq: Seq,
    /// Its hash, on which what is kept builds.
    pub hash: Hash,
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
    /// Find out what may expire, and say so by [`Input::ExpirableFound`].
    FindExpirable(Expirable),
    /// Store this snapshot, read it back, and say so by [`Input::SnapshotKept`]: what it holds is about to be deleted elsewhere.
    KeepSnapshot(StoredSnapshot),
    /// Delete what lies before this number, which the room's log says has expired, and say so by [`Input::Dropped`].
    DropExpired(Seq),
    /// Give the core an [`Input::Retain`] after so many milliseconds: something has failed that is tried again then.
    LookAgain {
        /// How long that is, at least.
        after_ms: u64,
    },
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
