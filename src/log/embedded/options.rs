//! What can be set on an embedded log.

use std::time::Duration;

use super::fault::FaultPoints;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// The settings of an [`EmbeddedLog`](super::EmbeddedLog).
///
/// The memory that the log takes is about the cache plus twice the memtables (one is filled while another is written out),
/// whatever the number of rooms.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// Most entries in one commit, over all rooms; one append is never split.
    pub group_entries_max: usize,
    /// Most bytes of entries and snapshots in one commit, over all rooms; one append is never split.
    pub group_bytes_max: usize,
    /// Most entries that one commit deletes below a floor, and most that it takes bodies from.
    pub tidied_entries_max: usize,
    /// Most bytes of entries that are read for that in one commit, but at least one entry.
    pub tidied_bytes_max: usize,
    /// How long the committer waits for more once it has something to commit, while several write at a time; one that writes
    /// alone never waits.
    pub gather: Duration,
    /// Free space of the disk below which writes are refused, in bytes: what the log needs to tidy itself up.
    pub disk_reserve_bytes: u64,
    /// Blocks of tables that are kept in memory, in bytes.
    pub cache_bytes: u64,
    /// Size at which recent entries are written out to a table, in bytes; recent snapshots get a quarter of it, and
    /// room rows and edits an eighth each.
    pub memtable_bytes: u64,
    /// Size of all journals together at which what holds them back is written out, in bytes, at least 64 MiB.
    pub journals_bytes_max: u64,
    /// Files of tables that are kept open.
    pub open_files_max: usize,
    /// Threads that read. The disk's own queue is short on the machines that this log is for, and a page is read in a fraction
    /// of a millisecond.
    pub reader_threads: usize,
    /// Threads that write tables out and merge them, at least 2, so that a long merge never keeps a memtable waiting.
    pub worker_threads: usize,
    /// The first and the longest pause between attempts to reopen the log after a failure.
    pub reopen_pause: (Duration, Duration),
    /// Where tests make it fail; inert by default.
    pub faults: FaultPoints,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            group_entries_max: 4_096,
            group_bytes_max: 4 * 1024 * 1024,
            tidied_entries_max: 1_024,
            tidied_bytes_max: 1024 * 1024,
            gather: Duration::from_millis(1),
            disk_reserve_bytes: 256 * MIB,
            cache_bytes: 8 * MIB,
            memtable_bytes: 8 * MIB,
            journals_bytes_max: 64 * MIB,
            open_files_max: 64,
            reader_threads: 2,
            worker_threads: 2,
            reopen_pause: (Duration::from_millis(50), Duration::from_secs(5)),
            faults: FaultPoints::default(),
        }
    }
}
