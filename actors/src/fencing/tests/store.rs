//! A store as Paxos makes it: every statement takes effect at one moment, or not at all. It watches over what must never happen.

use std::collections::{BTreeMap, BTreeSet};

use rollcall_protocol::{Entry, Kind, Seq};

use crate::fencing::{Answer, Buckets, FloorRow, Looked, Mark, Row, Statement, Writer};
use crate::ports::{Fence, LogTail};

#[derive(Debug, Default)]
struct Partition {
    fence: Option<LogTail>,
    rows: BTreeMap<Seq, Entry>,
}

#[derive(Debug)]
pub struct Store {
    buckets: Buckets,
    partitions: BTreeMap<u64, Partition>,
    edits: BTreeSet<(Seq, Seq)>,
    floor: Option<FloorRow>,
}

impl Store {
    pub fn new(buckets: Buckets) -> Self {
        Self { buckets, partitions: BTreeMap::new(), edits: BTreeSet::new(), floor: None }
    }

    /// The entries that are there, in order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.partitions.values().flat_map(|partition| partition.rows.values())
    }

    pub fn entry(&self, seq: Seq) -> Option<&Entry> {
        self.partitions.get(&self.buckets.of(seq))?.rows.get(&seq)
    }

    /// The last number of the last bucket.
    pub fn last_seq(&self) -> Seq {
        let mut fences = self.partitions.values().filter_map(|partition| partition.fence);
        fences.next_back().map_or(Seq::ZERO, |tail| tail.last_seq)
    }

    pub fn fence(&self) -> Option<Fence> {
        Some(self.partitions.values().last()?.fence?.fence)
    }

    pub fn floor(&self) -> Seq {
        self.floor.map_or(Seq::FIRST, |row| row.floor)
    }

    pub fn run(&mut self, statement: &Statement) -> Answer {
        match statement {
            Statement::ReadFence { bucket } => Answer::Fence(self.fence_of(*bucket)),
            &Statement::CreateBucket { bucket, fence, last_seq } => self.create(bucket, LogTail { fence, last_seq }),
            &Statement::TakeFence { bucket, expected, fence } => self.take_fence(bucket, expected, fence),
            Statement::Append { bucket, fence, last_seq, entries } => {
                self.append(*bucket, LogTail { fence: *fence, last_seq: *last_seq }, entries)
            }
            &Statement::ReadWriters { bucket, after, through } => {
                let writer =
                    |entry: &Entry| Writer { seq: entry.seq, fence: Fence { epoch: entry.epoch, owner: entry.owner } };
                Answer::Writers(self.range(bucket, after, through).map(writer).collect())
            }
            &Statement::ReadRows { bucket, after, through } => {
                let row = |entry: &Entry| Row { seq: entry.seq, mark: Mark::of(entry) };
                Answer::Rows(self.range(bucket, after, through).map(row).collect())
            }
            &Statement::LookAt { bucket, seq } => {
                Answer::Looked(match self.range(bucket, seq.previous(), seq).next() {
                    None => Looked::Absent,
                    Some(entry) if entry.is_redacted() => Looked::Redacted,
                    Some(_) => Looked::Whole,
                })
            }
            &Statement::NoteEdit { target, seq } => {
                self.edits.insert((target, seq));
                Answer::Done
            }
            &Statement::ReadEdits { target } => {
                let edits = self.edits.range((target, Seq::ZERO)..(target.next(), Seq::ZERO));
                Answer::Edits(edits.map(|&(_, edit)| edit).collect())
            }
            &Statement::Redact { bucket, seq } => self.redact(bucket, seq, |_| true),
            &Statement::RedactEdit { bucket, seq, target } => {
                self.redact(bucket, seq, |entry| entry.kind == Kind::Edit && entry.target == Some(target))
            }
            Statement::ReadFloor => Answer::Floor(self.floor),
            &Statement::RaiseFloor { expected, floor } => self.raise_floor(expected, floor),
            Statement::ForgetEdits { edits } => {
                for edit in edits {
                    self.edits.remove(edit);
                }
                Answer::Done
            }
            &Statement::ExpireBucket { bucket, last_seq } => self.expire(bucket, last_seq),
            &Statement::NoteSwept { bucket } => {
                let Some(row) = &mut self.floor else { return Answer::NotApplied(None) };
                row.swept = bucket;
                Answer::Applied
            }
        }
    }

    fn fence_of(&self, bucket: u64) -> Option<LogTail> {
        self.partitions.get(&bucket)?.fence
    }

    fn range(&self, bucket: u64, after: Seq, through: Seq) -> impl Iterator<Item = &Entry> {
        let rows = self.partitions.get(&bucket).map(|partition| partition.rows.range(after.next()..=through));
        rows.into_iter().flatten().map(|(_, entry)| entry)
    }

    fn create(&mut self, bucket: u64, tail: LogTail) -> Answer {
        let there = self.fence_of(bucket);
        if there.is_some() {
            return Answer::NotApplied(there);
        }
        if let Some(before) = bucket.checked_sub(1) {
            let before = self.fence_of(before).expect("the bucket before is there");
            assert_eq!(before.last_seq, tail.last_seq, "the bucket before is full");
        }
        self.partitions.entry(bucket).or_default().fence = Some(tail);
        Answer::Applied
    }

    fn take_fence(&mut self, bucket: u64, expected: Fence, fence: Fence) -> Answer {
        let there = self.partitions.get_mut(&bucket).and_then(|partition| partition.fence.as_mut());
        match there {
            Some(tail) if tail.fence == expected => {
                assert!(fence.epoch > expected.epoch, "a partition's epochs grow");
                tail.fence = fence;
                Answer::Applied
            }
            there => Answer::NotApplied(there.copied()),
        }
    }

    fn append(&mut self, bucket: u64, expected: LogTail, entries: &[Entry]) -> Answer {
        let greatest_epoch = self.entries().last().map(|entry| entry.epoch);
        let Some(partition) = self.partitions.get_mut(&bucket) else { return Answer::NotApplied(None) };
        if partition.fence != Some(expected) {
            return Answer::NotApplied(partition.fence);
        }
        for entry in entries {
            assert!(greatest_epoch.is_none_or(|greatest| entry.epoch >= greatest), "an entry's epoch never falls");
            let other = partition.rows.insert(entry.seq, entry.clone());
            assert!(other.is_none(), "an entry was overwritten");
        }
        let last_seq = entries.last().unwrap().seq;
        partition.fence = Some(LogTail { last_seq, ..expected });
        Answer::Applied
    }

    fn redact(&mut self, bucket: u64, seq: Seq, is_meant: impl Fn(&Entry) -> bool) -> Answer {
        let row = self.partitions.get_mut(&bucket).and_then(|partition| partition.rows.get_mut(&seq));
        match row {
            Some(entry) if is_meant(entry) => {
                entry.redact();
                Answer::Applied
            }
            _ => Answer::NotApplied(None),
        }
    }

    fn raise_floor(&mut self, expected: Option<Seq>, floor: Seq) -> Answer {
        if self.floor.map(|row| row.floor) != expected {
            return Answer::NotApplied(None);
        }
        assert!(floor > self.floor(), "a floor never falls");
        self.floor = Some(FloorRow { floor, swept: self.floor.map_or(0, |row| row.swept) });
        Answer::Applied
    }

    fn expire(&mut self, bucket: u64, last_seq: Seq) -> Answer {
        let floor = self.floor();
        match self.partitions.get_mut(&bucket) {
            Some(partition) if partition.fence.is_some_and(|tail| tail.last_seq == last_seq) => {
                assert!(last_seq < floor, "what is deleted lies below the floor");
                partition.rows = partition.rows.split_off(&last_seq.next());
                Answer::Applied
            }
            _ => Answer::NotApplied(self.fence_of(bucket)),
        }
    }
}
