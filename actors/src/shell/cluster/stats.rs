//! What a node counts of its life in a cluster.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::cluster::Payload;

/// The kinds of payloads, by the names that metrics give them.
pub const SENT_KINDS: [&str; 13] = [
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
];

/// Counters of a node, each from its start.
#[derive(Debug, Default)]
pub struct ClusterStats {
    sent: [AtomicU64; SENT_KINDS.len()],
    /// Envelopes that were sent; what goes to one node at one moment shares one.
    pub envelopes_sent: Counter,
    /// Envelopes that carry a batch.
    pub batch_envelopes_sent: Counter,
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
    /// Rooms that were activated over the fence of an owner who had not given them up.
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

impl ClusterStats {
    /// Returns how many payloads of each of [`SENT_KINDS`] were sent.
    pub fn sent(&self) -> [u64; SENT_KINDS.len()] {
        std::array::from_fn(|kind| self.sent[kind].load(Ordering::Relaxed))
    }

    pub(super) fn count_sent(&self, payload: &Payload) {
        let kind = match payload {
            Payload::Submit(_) => 0,
            Payload::SubmitReply(_) => 1,
            Payload::Watch(_) => 2,
            Payload::WatchConfirmed(_) => 3,
            Payload::NotOwner { .. } => 4,
            Payload::Unwatch(_) => 5,
            Payload::Batch(_) => 6,
            Payload::Beacon(_) => 7,
            Payload::Activate(_) => 8,
            Payload::Question(_) => 9,
            Payload::Told(_) => 10,
            Payload::HandOver { .. } => 11,
            Payload::Signal(_) => 12,
        };
        self.sent[kind].fetch_add(1, Ordering::Relaxed);
    }
}
