//! Who wrote what lately: the table that makes a write tried again get the number of its first success.

use std::collections::{BTreeMap, VecDeque};

use rollcall_protocol::limits::UNANSWERED_WRITES_MAX;
use rollcall_protocol::{DeviceId, Entry, Kind, Seq, UserId};
use serde::{Deserialize, Serialize};

use super::tag::Tag;

/// Devices that a room remembers, and idempotency keys too, each in a table of its own.
pub const SENDERS_MAX: usize = 10_000;

/// A device's name, unique in the whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SenderKey {
    /// Whose device.
    pub user: UserId,
    /// Which of the user's devices.
    pub device: DeviceId,
}

/// What is kept of one write.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// The device's number for it.
    pub n: u64,
    /// The room's number for it.
    pub seq: Seq,
    kind: Kind,
    target: Option<Seq>,
    /// Names its content; none where that was taken away, and then any content is taken for it.
    pub tag: Option<Tag>,
}

impl Record {
    /// Tells whether a write of this content is this one again.
    pub fn matches(&self, tag: Tag) -> bool {
        self.tag.is_none_or(|own| own == tag)
    }
}

/// One device's last writes to a room.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sender {
    /// The last accepted n.
    pub last_n: u64,
    /// The room's number for that write.
    pub last_seq: Seq,
    /// Every n up to this one is no longer known.
    forgotten_n: u64,
    /// The last writes, by rising n.
    records: VecDeque<Record>,
}

/// What the table knows of a device's n.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known<'a> {
    /// It was given to this write.
    Written(&'a Record),
    /// It lies below the last accepted n and was given to none.
    Skipped,
    /// It lies below what is kept.
    TooOld,
    /// It lies above the last accepted n, which is this one.
    New(u64),
    /// The table does not know the device.
    UnknownDevice,
}

impl Sender {
    fn know(&self, n: u64) -> Known<'_> {
        if n > self.last_n {
            Known::New(self.last_n)
        } else if n <= self.forgotten_n {
            Known::TooOld
        } else {
            match self.records.binary_search_by_key(&n, |record| record.n) {
                Ok(at) => Known::Written(&self.records[at]),
                Err(_) => Known::Skipped,
            }
        }
    }

    /// Keeps a write, and drops the oldest one if there are too many.
    fn push(&mut self, record: Record) {
        self.last_n = record.n;
        self.last_seq = record.seq;
        self.records.push_back(record);
        if self.records.len() > UNANSWERED_WRITES_MAX
            && let Some(dropped) = self.records.pop_front()
        {
            self.forgotten_n = dropped.n;
        }
    }
}

/// The devices that wrote to a room last: by the numbers of their last entries and nothing else, so that replaying the log
/// gives the same table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct SenderTable {
    senders: BTreeMap<SenderKey, Sender>,
    by_last_seq: BTreeMap<Seq, SenderKey>,
    /// The highest last number of any device that was dropped: who saw a later head before it first wrote was never in the table.
    forgotten: Seq,
}

impl SenderTable {
    /// Says what is known of a device's n, which counts from 1. `since` is a head of the room that the device saw before it
    /// first wrote there: it shows that an unknown device never wrote, if it is not below what was dropped.
    pub fn know(&self, key: &SenderKey, n: u64, since: Seq) -> Known<'_> {
        match self.senders.get(key) {
            Some(sender) => sender.know(n),
            None if n == 0 => Known::TooOld,
            None if since >= self.forgotten => Known::New(0),
            None => Known::UnknownDevice,
        }
    }

    /// Returns the device's last accepted n, or 0.
    pub fn last_n(&self, key: &SenderKey) -> u64 {
        self.senders.get(key).map_or(0, |sender| sender.last_n)
    }

    /// Takes in an entry that the device wrote.
    pub fn apply(&mut self, key: SenderKey, entry: &Entry, tag: Option<Tag>) {
        let record = Record { n: entry.n, seq: entry.seq, kind: entry.kind, target: entry.target, tag };
        if let Some(sender) = self.senders.get_mut(&key) {
            self.by_last_seq.remove(&sender.last_seq);
            sender.push(record);
            self.by_last_seq.insert(entry.seq, key);
            return;
        }
        let sender = Sender { last_n: entry.n, last_seq: entry.seq, forgotten_n: 0, records: VecDeque::from([record]) };
        self.by_last_seq.insert(entry.seq, key.clone());
        self.senders.insert(key, sender);
        if self.senders.len() > SENDERS_MAX
            && let Some((seq, key)) = self.by_last_seq.pop_first()
        {
            self.forgotten = seq;
            self.senders.remove(&key);
        }
    }

    /// Forgets what a redacted entry and its edits said, so that the tags do not give it away. Looks at what was written since
    /// the target alone.
    pub fn clear_tags_of(&mut self, target: Seq) {
        for sender in self.senders.values_mut().filter(|sender| sender.last_seq >= target) {
            for record in sender.records.iter_mut().rev().take_while(|record| record.seq >= target) {
                if record.seq == target || record.kind == Kind::Edit && record.target == Some(target) {
                    record.tag = None;
                }
            }
        }
    }

    /// Returns how many writes the table keeps.
    pub fn records(&self) -> usize {
        self.senders.values().map(|sender| sender.records.len()).sum()
    }

    /// Returns the table as a snapshot keeps it.
    pub fn to_snapshot(&self) -> SenderTableSnapshot {
        let senders = self.senders.iter().map(|(key, sender)| (key.clone(), sender.clone())).collect();
        SenderTableSnapshot { senders, forgotten: self.forgotten }
    }

    /// Rebuilds the table from a snapshot.
    pub fn from_snapshot(snapshot: SenderTableSnapshot) -> Self {
        let senders: BTreeMap<_, _> = snapshot.senders.into_iter().collect();
        let by_last_seq = senders.iter().map(|(key, sender)| (sender.last_seq, key.clone())).collect();
        Self { senders, by_last_seq, forgotten: snapshot.forgotten }
    }
}

/// A [`SenderTable`] in a snapshot: devices in the order of their names.
#[derive(Debug, Serialize, Deserialize)]
pub struct SenderTableSnapshot {
    senders: Vec<(SenderKey, Sender)>,
    forgotten: Seq,
}
