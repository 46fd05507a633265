//! What a history is judged by.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One rule: what must hold of every history of rollcall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Rule {
    /// An acknowledged write is stored at the seq of its acknowledgement, with its content and sender.
    AckedIsStored,
    /// A write that was refused for good is not stored.
    FailedIsAbsent,
    /// A write with an unknown outcome is stored at most once, and as it was sent.
    UnknownAtMostOnce,
    /// The stored seqs of a room run from its floor to its head without a gap.
    StoredWithoutGap,
    /// One (user, device, n) has one seq in a room.
    OneSeqPerWrite,
    /// The pushes of a connection follow its cursor, each one more than the last.
    PushesInOrder,
    /// What a connection was shown is what the log holds: seq, epoch and body.
    PushesEqualLog,
    /// The writes of one device to a room are numbered in the order of n.
    DeviceOrder,
    /// A write that was invoked after another was acknowledged has the higher seq.
    AckBeforeInvoke,
    /// Epochs never fall, neither in the log nor on a connection, and a new owner has a new epoch.
    EpochsNeverFall,
    /// The hash chain of the log holds.
    HashChain,
    /// Once the faults have stopped, everyone who is joined reaches the head in time.
    ReachesHead,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 12] = [
        Self::AckedIsStored,
        Self::FailedIsAbsent,
        Self::UnknownAtMostOnce,
        Self::StoredWithoutGap,
        Self::OneSeqPerWrite,
        Self::PushesInOrder,
        Self::PushesEqualLog,
        Self::DeviceOrder,
        Self::AckBeforeInvoke,
        Self::EpochsNeverFall,
        Self::HashChain,
        Self::ReachesHead,
    ];

    /// The rule's name in reports and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::AckedIsStored => "acked_is_stored",
            Self::FailedIsAbsent => "failed_is_absent",
            Self::UnknownAtMostOnce => "unknown_at_most_once",
            Self::StoredWithoutGap => "stored_without_gap",
            Self::OneSeqPerWrite => "one_seq_per_write",
            Self::PushesInOrder => "pushes_in_order",
            Self::PushesEqualLog => "pushes_equal_log",
            Self::DeviceOrder => "device_order",
            Self::AckBeforeInvoke => "ack_before_invoke",
            Self::EpochsNeverFall => "epochs_never_fall",
            Self::HashChain => "hash_chain",
            Self::ReachesHead => "reaches_head",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
