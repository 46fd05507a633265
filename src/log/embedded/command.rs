//! What the committer is asked for, and how it answers.

use rollcall_actors::ports::{Activate, Activated, Append, AppendOutcome, LogError, NotCommitted};
use rollcall_protocol::{RoomId, Seq};
use tokio::sync::oneshot;

/// What an entry or a part of a snapshot adds to a group besides its body, in bytes.
const OVERHEAD_BYTES: usize = 256;

/// Sends the answer to a command; nobody may be waiting for it any more.
pub(super) type Answerer<T> = oneshot::Sender<Result<T, LogError>>;

/// How much a compaction freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Size of the tables before, in bytes.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
}

/// A place in the committer's queue.
#[derive(Debug)]
pub(super) enum Command {
    /// Commit entries.
    Append { append: Append, answer: oneshot::Sender<AppendOutcome> },
    /// Fence a room.
    Activate { room: RoomId, with: Activate, answer: Answerer<Activated> },
    /// Store a part of a snapshot.
    SnapshotPart { part: SnapshotPart, answer: Answerer<()> },
    /// Drop the snapshots that are of no use once the snapshot `newest` is durable.
    PruneSnapshots { room: RoomId, newest: Seq },
    /// Raise the floor.
    Expire { room: RoomId, floor: Seq, answer: Answerer<()> },
    /// Delete some more of what lies below the floor.
    Sweep { room: RoomId },
    /// Take some more bodies of redacted entries away.
    RedactMore,
    /// Take what was deleted off the disk; always in a group of its own.
    Compact { answer: Answerer<Compacted> },
}

/// A part of a snapshot on its way to the disk.
#[derive(Debug)]
pub(super) struct SnapshotPart {
    pub room: RoomId,
    pub seq: Seq,
    /// Which part, from 0, of how many.
    pub part: u32,
    pub parts: u32,
    pub bytes: Vec<u8>,
}

impl Command {
    /// Returns how many entries it brings.
    pub fn entries(&self) -> usize {
        match self {
            Self::Append { append, .. } => append.entries.len(),
            _ => 0,
        }
    }

    /// Returns about how many bytes it writes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Append { append, .. } => {
                append.entries.iter().map(|entry| entry.weight_bytes() + OVERHEAD_BYTES).sum()
            }
            Self::SnapshotPart { part, .. } => part.bytes.len() + OVERHEAD_BYTES,
            _ => OVERHEAD_BYTES,
        }
    }

    /// Answers that none of it was done, nor ever will be, because of `reason`.
    pub fn refuse(self, reason: &str) {
        let unavailable = || LogError::Unavailable(reason.to_owned());
        match self {
            Self::Append { answer, .. } => {
                drop(answer.send(AppendOutcome::NotCommitted(NotCommitted::Refused(reason.to_owned()))));
            }
            Self::Activate { answer, .. } => drop(answer.send(Err(unavailable()))),
            Self::SnapshotPart { answer, .. } | Self::Expire { answer, .. } => drop(answer.send(Err(unavailable()))),
            Self::Compact { answer } => drop(answer.send(Err(unavailable()))),
            Self::PruneSnapshots { .. } | Self::Sweep { .. } | Self::RedactMore => {}
        }
    }
}

/// An answer that waits for its group's commit.
#[derive(Debug)]
pub(super) enum Answer {
    Append(oneshot::Sender<AppendOutcome>, AppendOutcome),
    Activate(Answerer<Activated>, Result<Activated, LogError>),
    Done(Answerer<()>, Result<(), LogError>),
}

impl Answer {
    /// Sends it, now that the group has committed.
    pub fn send(self) {
        match self {
            Self::Append(answer, outcome) => drop(answer.send(outcome)),
            Self::Activate(answer, result) => drop(answer.send(result)),
            Self::Done(answer, result) => drop(answer.send(result)),
        }
    }

    /// Sends what is true now that it is unknown whether the group has committed. A refusal stays one.
    pub fn send_unknown(self, reason: &str) {
        match self {
            Self::Append(answer, AppendOutcome::Committed) => {
                drop(answer.send(AppendOutcome::Unknown(reason.to_owned())));
            }
            Self::Activate(answer, Ok(_)) => drop(answer.send(Err(LogError::Unavailable(reason.to_owned())))),
            Self::Done(answer, Ok(())) => drop(answer.send(Err(LogError::Unavailable(reason.to_owned())))),
            refusal => refusal.send(),
        }
    }
}
