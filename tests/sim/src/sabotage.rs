//! What is spoilt on purpose, one at a time, to show that the simulation notices: done to the inputs and effects between the shipped
//! machines, never in them.

use std::fmt;

/// One thing that is spoilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Sabotage {
    /// Senders are answered when the append is sent.
    AckBeforeCommit,
    /// Entries are shown when the append is sent.
    PushBeforeCommit,
    /// An append that timed out counts as failed, and its numbers are used again.
    UnresolvedBatchForgotten,
    /// A sender whose write's outcome is unknown is told that it failed.
    UnknownToldAsFailed,
    /// The store takes an append under a fence that was replaced.
    NoFenceOnAppend,
    /// The store takes an append whatever the last number is.
    NoSequenceCondition,
    /// All owners are called the same.
    NoOwnerNonce,
    /// The epoch that Redis gave is the owner's, whatever the log has seen.
    RedisEpochTrusted,
    /// Of a batch the store stores the first half.
    TornAppend,
    /// What devices wrote is forgotten at each activation.
    NoDedupe,
    /// A snapshot's senders are taken for those at the log's end.
    SnapshotTrustedBeyondItsPrefix,
    /// An old snapshot is taken for the room's present state.
    StaleSnapshotPreferred,
    /// That the state is kept before entries expire is taken on trust, and it was lost.
    SnapshotNotReadBack,
    /// Entries are deleted before the room has said that they expired.
    DeletedBeforeFloor,
    /// No node sends beacons.
    NoBeacons,
    /// Beacons do not say how far rooms are.
    BeaconsNameNoHeads,
    /// A node that takes a room over does not say so in the log.
    TakeoversNotNoted,
    /// What a replica misses is never read from the log.
    GapsNotRepaired,
    /// A replica shows what an owner sends as it comes.
    BufferDeliversOutOfOrder,
    /// A node that says that it does not own a room is not listened to.
    NotOwnerIgnored,
    /// What an owner commits is shown though it was released.
    ReleasedOwnerShown,
    /// A write that is forwarded again is taken for another one.
    ForwardedAgainIsNew,
    /// Who resumes gets what comes after the head.
    ResumeAtHead,
    /// The same frame is sent twice.
    PushedTwice,
}

impl Sabotage {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::AckBeforeCommit,
        Self::PushBeforeCommit,
        Self::UnresolvedBatchForgotten,
        Self::UnknownToldAsFailed,
        Self::NoFenceOnAppend,
        Self::NoSequenceCondition,
        Self::NoOwnerNonce,
        Self::RedisEpochTrusted,
        Self::TornAppend,
        Self::NoDedupe,
        Self::SnapshotTrustedBeyondItsPrefix,
        Self::StaleSnapshotPreferred,
        Self::SnapshotNotReadBack,
        Self::DeletedBeforeFloor,
        Self::NoBeacons,
        Self::BeaconsNameNoHeads,
        Self::TakeoversNotNoted,
        Self::GapsNotRepaired,
        Self::BufferDeliversOutOfOrder,
        Self::NotOwnerIgnored,
        Self::ReleasedOwnerShown,
        Self::ForwardedAgainIsNew,
        Self::ResumeAtHead,
        Self::PushedTwice,
    ];
}

impl fmt::Display for Sabotage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
