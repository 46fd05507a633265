//! What a log counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the histogram of commits, in microseconds; what lies above the last is in a bucket of its own.
pub const COMMIT_BUCKETS_US: [u64; 14] =
    [50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 102_400, 409_600, 1_638_400];

/// What the log has done since it was opened. A commit is a group with its sync in the embedded log, and an append in the CQL log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Commits: in the embedded log as many data syncs were asked of the disk.
    pub syncs: u64,
    /// Entries that were committed.
    pub entries: u64,
    /// Appends that were committed.
    pub appends: u64,
    /// Activations that were committed.
    pub activations: u64,
    /// Bytes of bodies and snapshots that were committed.
    pub bytes: u64,
    /// Entries whose bodies were taken off after they had been committed, because of a redaction.
    pub redacted: u64,
    /// Commits that failed; the outcome of their appends is unknown.
    pub failures: u64,
    /// Times that the log was reopened after a failure.
    pub reopens: u64,
    /// Appends that were refused: for lack of space, or by the servers.
    pub refused: u64,
    /// Appends whose outcome was unknown for a while, of the CQL log, and that proved to be applied.
    pub settled_applied: u64,
    /// Appends whose outcome was unknown for a while, of the CQL log, and that proved not to be applied.
    pub settled_not_applied: u64,
    /// Time that commits took (write, sync, apply; in the CQL log all that the append's caller waited for), in microseconds.
    pub commit_us: u64,
    /// Commits by their time: one count for each bound of [`COMMIT_BUCKETS_US`], and one for the rest.
    pub commits_by_time: [u64; COMMIT_BUCKETS_US.len() + 1],
}

impl LogStats {
    /// Returns the mean number of entries in a sync; 0 before the first.
    pub fn entries_per_sync(&self) -> f64 {
        if self.syncs == 0 { 0.0 } else { self.entries as f64 / self.syncs as f64 }
    }
}

/// The counters.
#[derive(Debug, Default)]
pub(in crate::log) struct Counters {
    pub syncs: AtomicU64,
    pub entries: AtomicU64,
    pub appends: AtomicU64,
    pub activations: AtomicU64,
    pub bytes: AtomicU64,
    pub redacted: AtomicU64,
    pub failures: AtomicU64,
    pub reopens: AtomicU64,
    pub refused: AtomicU64,
    pub settled_applied: AtomicU64,
    pub settled_not_applied: AtomicU64,
    commit_us: AtomicU64,
    commits_by_time: [AtomicU64; COMMIT_BUCKETS_US.len() + 1],
}

impl Counters {
    /// Counts one commit.
    pub fn committed(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = COMMIT_BUCKETS_US.partition_point(|&bound| bound < us);
        self.syncs.fetch_add(1, Relaxed);
        self.commit_us.fetch_add(us, Relaxed);
        self.commits_by_time[bucket].fetch_add(1, Relaxed);
    }

    /// Returns the counts as they stand.
    pub fn snapshot(&self) -> LogStats {
        LogStats {
            syncs: self.syncs.load(Relaxed),
            entries: self.entries.load(Relaxed),
            appends: self.appends.load(Relaxed),
            activations: self.activations.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            redacted: self.redacted.load(Relaxed),
            failures: self.failures.load(Relaxed),
            reopens: self.reopens.load(Relaxed),
            refused: self.refused.load(Relaxed),
            settled_applied: self.settled_applied.load(Relaxed),
            settled_not_applied: self.settled_not_applied.load(Relaxed),
            commit_us: self.commit_us.load(Relaxed),
            commits_by_time: std::array::from_fn(|bucket| self.commits_by_time[bucket].load(Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_counted_in_the_bucket_of_their_bound() {
        let counters = Counters::default();
        for us in [1, 50, 51, 1_638_400, 1_638_401] {
            counters.committed(Duration::from_micros(us));
        }
        let stats = counters.snapshot();
        assert_eq!((stats.syncs, stats.commit_us), (5, 1 + 50 + 51 + 1_638_400 + 1_638_401));
        let mut expected = [0; 15];
        (expected[0], expected[1], expected[13], expected[14]) = (2, 1, 1, 1);
        assert_eq!(stats.commits_by_time, expected);
    }
}
