//! Protocols that are weaker than ours in one place.

/// What is left out. Each is done to the statements and answers between the machines, never in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Weakening {
    /// An append is conditional on the last number alone.
    NoFenceOnAppend,
    /// An append is conditional on the fence alone.
    NoSequenceCondition,
    /// The epoch that Redis tells is taken, however low, and is all that a fence consists of.
    RedisEpochTrusted,
    /// All activations have one name.
    NoOwnerNonce,
    /// An append that timed out counts as failed, and its numbers are used again.
    TimeoutForgotten,
    /// An append that timed out counts as done.
    TimeoutTakenForDone,
    /// An unknown append counts as failed when another owner is seen, without asking who wrote its numbers.
    WritersNotAsked,
    /// Senders are answered when the append is sent.
    AckBeforeCommit,
    /// A write that is tried again after a fail-over is not recognised.
    NoDedupe,
    /// A snapshot's senders are taken for those at the log's end.
    SnapshotTrustedBeyondItsPrefix,
    /// A full bucket is not fenced on the way to the next one.
    FullBucketNotFenced,
    /// Who is told by Redis that the log has a bucket opens that one, without looking whether the one before is full.
    NextBucketOpenedByHint,
}

impl Weakening {
    /// Every weakening.
    pub const ALL: [Self; 12] = [
        Self::NoFenceOnAppend,
        Self::NoSequenceCondition,
        Self::RedisEpochTrusted,
        Self::NoOwnerNonce,
        Self::TimeoutForgotten,
        Self::TimeoutTakenForDone,
        Self::WritersNotAsked,
        Self::AckBeforeCommit,
        Self::NoDedupe,
        Self::SnapshotTrustedBeyondItsPrefix,
        Self::FullBucketNotFenced,
        Self::NextBucketOpenedByHint,
    ];

    /// Tells whether it does no harm, as far as is known: a full bucket takes no append whoever's it is, because of its last
    /// number, and of two who open the next one the second is told that it is there. So it is explored to the end too. What the roll
    /// rests on is that the bucket was seen to be full: without that, even one that was fenced leaves a gap, as
    /// [`Weakening::NextBucketOpenedByHint`] shows.
    pub fn is_harmless(self) -> bool {
        self == Self::FullBucketNotFenced
    }

    /// Tells whether all activations have one name, so that nobody can tell who wrote an entry.
    pub fn is_nameless(self) -> bool {
        matches!(self, Self::NoOwnerNonce | Self::RedisEpochTrusted)
    }
}
