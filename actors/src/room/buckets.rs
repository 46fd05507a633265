//! Which partition of the log a number lies in.

use rollcall_protocol::{NUMBER_MAX, Seq};

/// Entries in a bucket, as they are stored. To change it would be to move every row.
pub const BUCKET_ENTRIES: u64 = 4096;

/// How a room's log is cut into partitions: numbers from 1 on, so many to a bucket, buckets from 0 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Buckets {
    entries: u64,
}

impl Buckets {
    /// As they are stored.
    pub const STORED: Self = Self { entries: BUCKET_ENTRIES };

    /// Makes buckets of another size, which a model explores faster.
    ///
    /// # Panics
    /// At 0.
    pub const fn of_entries(entries: u64) -> Self {
        assert!(entries > 0, "a bucket holds an entry");
        Self { entries }
    }

    /// Returns the bucket of an entry.
    ///
    /// # Panics
    /// At 0, which is no entry's number.
    pub fn of(self, seq: Seq) -> u64 {
        assert!(seq > Seq::ZERO, "numbers start with 1");
        (seq.get() - 1) / self.entries
    }

    /// Returns the number before the bucket's first.
    pub fn before(self, bucket: u64) -> Seq {
        Seq::new(bucket * self.entries)
    }

    /// Returns the bucket's last number: that of its last entry once it is full.
    pub fn last(self, bucket: u64) -> Seq {
        self.before(bucket).plus(self.entries)
    }

    /// Returns the last number of the last bucket that ends at this number or before it; 0 where none does.
    pub fn last_ended(self, seq: Seq) -> Seq {
        Seq::new(seq.get() / self.entries * self.entries)
    }

    /// Returns the last bucket that numbers reach.
    pub fn greatest(self) -> u64 {
        NUMBER_MAX / self.entries - 1
    }

    /// Tells whether a last number is one that the bucket can have.
    pub(crate) fn can_end_at(self, bucket: u64, last_seq: Seq) -> bool {
        (self.before(bucket)..=self.last(bucket)).contains(&last_seq)
    }
}
