//! What a node counts of its life in a cluster.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::cluster::Payload;

/// The kinds of payloads, by the names that metrics give them.
pub const SENT_KINDS: [&str; 14] = [
    "submit",
    "submit_reply",
    "watch",
    "watch_confirmed",
    "not_owner",
    "unwatch",
    "batch",
    "beacon",
    "activate",
    "question",
    "told",
    "hand_over",
    "signal",
    "damaged",
];

/// A payload's place in [`SENT_KINDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind(usize);

impl Kind {
    /// That of a batch, which gives its name to the envelope that it is in.
    pub const BATCH: Self = Self(6);

    pub fn of(payload: &Payload) -> Self {
        Self(match payload {
            Payload::Submit(_) => 0,
            Payload::SubmitReply(_) => 1,
            Payload::Watch(_) => 2,
            Payload::WatchConfirmed(_) => 3,
            Payload::NotOwner { .. } => 4,
            Payload::Unwatch(_) => 5,
            Payload::Batch(_) => Self::BATCH.0,
            Payload::Beacon(_) => 7,
            Payload::Activate(_) => 8,
            Payload::Question(_) => 9,
            Payload::Told(_) => 10,
            Payload::HandOver { .. } => 11,
            Payload::Signal(_) => 12,
            Payload::Damaged { .. } => 13,
        })
    }
}

/// Counters of a node, each from its start.
#[derive(Debug, Default)]
pub struct ClusterStats {
    /// What was said, each payload by itself.
    pub sent: ByKind,
    /// Envelopes, each by the batch in it, or else by what is first in it: together they are all that were sent.
    pub envelopes_sent: ByKind,
    /// What was said in an envelope that a batch needed anyway.
    pub sent_with_batches: ByKind,
    /// Watches among what was said that renew one.
    pub watches_renewed: Counter,
    /// Envelopes that were received and read.
    pub envelopes_received: Counter,
    /// What came and is no envelope.
    pub envelopes_malformed: Counter,
    /// Envelopes of another format, by a node of another version.
    pub envelopes_of_other_formats: Counter,
    /// Owners here that another activation has fenced.
    pub rooms_fenced: Counter,
    /// Owners here of which the log did not say what became of an append.
    pub outcomes_unknown: Counter,
    /// Owners here that gave up since the log did not say whether they own their rooms still.
    pub rooms_yielded: Counter,
    /// Owners here that ended without a word.
    pub rooms_lost: Counter,
    /// Rooms that were activated over the fence of an owner who had not given them up, and answer since.
    pub takeovers: Counter,
    /// Rooms that were given up in favour of another node.
    pub rooms_released: Counter,
    /// Reads of the log by which rooms that are shown here were brought up to date.
    pub repair_reads: Counter,
    /// Rooms shown here whose history was found to be another than the log's.
    pub rooms_diverged: Counter,
    /// Hints in Redis where a room's log ends that lay beyond it.
    pub hints_corrected: Counter,
    /// Answers that fit nothing that was asked.
    pub strays: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Returns the number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A number for each of [`SENT_KINDS`].
#[derive(Debug, Default)]
pub struct ByKind([Counter; SENT_KINDS.len()]);

impl ByKind {
    /// Returns the numbers, in the order of [`SENT_KINDS`].
    pub fn get(&self) -> [u64; SENT_KINDS.len()] {
        std::array::from_fn(|kind| self.0[kind].get())
    }

    pub(super) fn count(&self, kind: Kind) {
        self.0[kind.0].count();
    }
}
