//! How much may happen.

use rollcall_actors::fencing::Buckets;

use crate::weakening::Weakening;

/// Bounds of an exploration: so many of each in all, over both nodes.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Entries in a bucket.
    pub buckets: Buckets,
    /// Different writes; each may be tried any number of times until it is acked.
    pub writes: u8,
    /// Times that a node begins to activate the room.
    pub activations: u8,
    /// Times that a node dies.
    pub crashes: u8,
    /// Times that a node gives a statement up that is carried out later, or never.
    pub timeouts: u8,
    /// Times that a statement is carried out and its answer lost.
    pub lost_replies: u8,
    /// Snapshots that are stored.
    pub snapshots: u8,
    /// What Redis tells an activation: an epoch, and in which bucket to begin. It may tell the same twice, or fall back.
    pub told_by_redis: Vec<(u64, u64)>,
}

impl Limits {
    /// What is explored within every test run.
    pub fn bounded() -> Self {
        Self { snapshots: 0, told_by_redis: vec![(1, 0)], ..Self::full() }
    }

    /// What is explored before a release.
    pub fn full() -> Self {
        Self {
            buckets: Buckets::of_entries(2),
            writes: 3,
            activations: 2,
            crashes: 1,
            timeouts: 1,
            lost_replies: 1,
            snapshots: 1,
            told_by_redis: vec![(1, 0), (2, 1)],
        }
    }

    /// As little as shows that a weakening breaks a promise.
    pub fn of_weakening(weakening: Weakening) -> Self {
        let bounded = Self::bounded();
        match weakening {
            Weakening::SnapshotTrustedBeyondItsPrefix => Self { snapshots: 1, ..bounded },
            Weakening::NextBucketOpenedByHint => Self { told_by_redis: Self::full().told_by_redis, ..bounded },
            _ => bounded,
        }
    }
}
