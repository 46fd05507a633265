//! The store: each statement is carried out at one moment. What consensus makes of several servers is not modelled.

use std::collections::BTreeMap;

use rollcall_actors::fencing::{Answer, Buckets, Mark, Row, Statement, Writer};
use rollcall_actors::ports::{Fence, LogTail};
use rollcall_actors::room::RoomState;
use rollcall_protocol::{Entry, Seq};

use crate::weakening::Weakening;

/// A room's rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Store {
    buckets: Buckets,
    fences: BTreeMap<u64, LogTail>,
    rows: BTreeMap<Seq, Entry>,
    /// Whether an entry took the place of another.
    pub overwritten: bool,
    /// The newest last.
    pub snapshots: Vec<RoomState>,
}

impl Store {
    /// Makes an empty store.
    pub fn new(buckets: Buckets) -> Self {
        Self { buckets, fences: BTreeMap::new(), rows: BTreeMap::new(), overwritten: false, snapshots: Vec::new() }
    }

    /// Returns the entries, in order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.rows.values()
    }

    /// Returns an entry.
    pub fn entry(&self, seq: Seq) -> Option<&Entry> {
        self.rows.get(&seq)
    }

    /// Returns the buckets with their fences, in order.
    pub fn fences(&self) -> impl Iterator<Item = (u64, &LogTail)> {
        self.fences.iter().map(|(&bucket, tail)| (bucket, tail))
    }

    /// Answers a statement that only reads.
    pub fn read(&self, statement: &Statement) -> Option<Answer> {
        Some(match statement {
            Statement::ReadFence { bucket } => Answer::Fence(self.fences.get(bucket).copied()),
            &Statement::ReadWriters { after, through, .. } => {
                let writer =
                    |entry: &Entry| Writer { seq: entry.seq, fence: Fence { epoch: entry.epoch, owner: entry.owner } };
                Answer::Writers(self.rows.range(after.next()..=through).map(|(_, entry)| writer(entry)).collect())
            }
            &Statement::ReadRows { after, through, .. } => {
                let row = |entry: &Entry| Row { seq: entry.seq, mark: Mark::of(entry) };
                Answer::Rows(self.rows.range(after.next()..=through).map(|(_, entry)| row(entry)).collect())
            }
            Statement::ReadFloor => Answer::Floor(None),
            _ => return None,
        })
    }

    /// Carries a write out, its condition as strong as the weakening leaves it.
    pub fn write(&mut self, statement: &Statement, weakening: Option<Weakening>) -> Answer {
        match statement {
            &Statement::CreateBucket { bucket, fence, last_seq } => self.create(bucket, LogTail { fence, last_seq }),
            &Statement::TakeFence { bucket, expected, fence } => self.take_fence(bucket, expected, fence, weakening),
            Statement::Append { bucket, fence, last_seq, entries } => {
                self.append(*bucket, LogTail { fence: *fence, last_seq: *last_seq }, entries, weakening)
            }
            other => unreachable!("the model has no edits, redactions or floors: {other:?}"),
        }
    }

    fn create(&mut self, bucket: u64, tail: LogTail) -> Answer {
        match self.fences.get(&bucket) {
            Some(&there) => Answer::NotApplied(Some(there)),
            None => {
                self.fences.insert(bucket, tail);
                Answer::Applied
            }
        }
    }

    fn take_fence(&mut self, bucket: u64, expected: Fence, fence: Fence, weakening: Option<Weakening>) -> Answer {
        let is_full_and_skipped = weakening == Some(Weakening::FullBucketNotFenced);
        match self.fences.get_mut(&bucket) {
            Some(tail) if is_full_and_skipped && tail.last_seq == self.buckets.last(bucket) => Answer::Applied,
            Some(tail) if weakening == Some(Weakening::RedisEpochTrusted) => {
                if tail.fence.epoch > fence.epoch {
                    return Answer::NotApplied(Some(*tail));
                }
                tail.fence = fence;
                Answer::Applied
            }
            Some(tail) if tail.fence == expected => {
                tail.fence = fence;
                Answer::Applied
            }
            there => Answer::NotApplied(there.copied()),
        }
    }

    fn append(&mut self, bucket: u64, expected: LogTail, entries: &[Entry], weakening: Option<Weakening>) -> Answer {
        let Some(&there) = self.fences.get(&bucket) else { return Answer::NotApplied(None) };
        let fence_holds = there.fence == expected.fence || weakening == Some(Weakening::NoFenceOnAppend);
        let sequence_holds = there.last_seq == expected.last_seq || weakening == Some(Weakening::NoSequenceCondition);
        if !fence_holds || !sequence_holds {
            return Answer::NotApplied(Some(there));
        }
        for entry in entries {
            let before = self.rows.insert(entry.seq, entry.clone());
            self.overwritten |= before.is_some_and(|before| before != *entry);
        }
        let last_seq = entries.last().expect("an append has at least one entry").seq;
        self.fences.insert(bucket, LogTail { last_seq, ..there });
        Answer::Applied
    }
}
