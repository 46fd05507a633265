//! A batch of entries.

use std::sync::Arc;

use rollcall_protocol::{Entry, Seq};

use super::Buckets;
use super::io::Ticket;
use crate::ports::Fence;

/// Entries that wait for their commit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Batch {
    pub ticket: Ticket,
    pub entries: Arc<[Entry]>,
}

impl Batch {
    /// Asserts that the batch has an entry, and numbers without a gap in one bucket.
    pub fn assert_well_formed(&self, buckets: Buckets) {
        let numbers = self.entries.iter().map(|entry| entry.seq);
        let expected = (1..=self.entries.len() as u64).map(|at| self.before().plus(at));
        assert!(numbers.eq(expected), "an append has no gap");
        assert_eq!(buckets.of(self.first().seq), buckets.of(self.last()), "an append is of one bucket");
    }

    /// Returns the number on which the batch builds.
    pub fn before(&self) -> Seq {
        self.first().seq.previous()
    }

    pub fn last(&self) -> Seq {
        self.entries.last().expect("an append has at least one entry").seq
    }

    pub fn fence(&self) -> Fence {
        let first = self.first();
        Fence { epoch: first.epoch, owner: first.owner }
    }

    fn first(&self) -> &Entry {
        self.entries.first().expect("an append has at least one entry")
    }
}
