//! Who wrote what lately: the table that makes a write tried again get the number of its first success.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

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

    /// Returns what it gave a new body to.
    fn edited(&self) -> Option<Seq> {
        self.target.filter(|_| self.kind == Kind::Edit)
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

    /// Keeps a write, and drops the oldest one if there are too many: that one is returned.
    fn push(&mut self, record: Record) -> Option<Record> {
        self.last_n = record.n;
        self.last_seq = record.seq;
        self.records.push_back(record);
        if self.records.len() <= UNANSWERED_WRITES_MAX {
            return None;
        }
        let dropped = self.records.pop_front()?;
        self.forgotten_n = dropped.n;
        Some(dropped)
    }
}

/// The devices that wrote to a room last: by the numbers of their last entries and nothing else, so that replaying the log
/// gives the same table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct SenderTable {
    senders: BTreeMap<Arc<SenderKey>, Sender>,
    by_last_seq: BTreeMap<Seq, Arc<SenderKey>>,
    /// Who wrote each write that is kept.
    by_seq: BTreeMap<Seq, Arc<SenderKey>>,
    /// Each edit among them, after the number of what it edits.
    edits: BTreeSet<(Seq, Seq)>,
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
        let known = self.senders.get_key_value(&key).map(|(key, _)| Arc::clone(key));
        let key = known.unwrap_or_else(|| Arc::new(key));
        self.index(&record, &key);
        if let Some(sender) = self.senders.get_mut(&key) {
            self.by_last_seq.remove(&sender.last_seq);
            let dropped = sender.push(record);
            self.by_last_seq.insert(entry.seq, key);
            dropped.iter().for_each(|dropped| self.take_out_of_index(dropped));
            return;
        }
        let sender = Sender { last_n: entry.n, last_seq: entry.seq, forgotten_n: 0, records: VecDeque::from([record]) };
        self.by_last_seq.insert(entry.seq, Arc::clone(&key));
        self.senders.insert(key, sender);
        if self.senders.len() > SENDERS_MAX
            && let Some((seq, key)) = self.by_last_seq.pop_first()
        {
            self.forgotten = seq;
            self.remove(&key);
        }
    }

    /// Forgets what a redacted entry and its edits said, so that the tags do not give it away. Looks at these alone.
    pub fn clear_tags_of(&mut self, target: Seq) {
        for seq in self.about(target) {
            let Some(sender) = self.by_seq.get(&seq).and_then(|key| self.senders.get_mut(key)) else { continue };
            if let Ok(at) = sender.records.binary_search_by_key(&seq, |record| record.seq) {
                sender.records[at].tag = None;
            }
        }
    }

    /// Returns the numbers of the writes whose tags a redaction of the target clears, as far as they are kept.
    fn about(&self, target: Seq) -> Vec<Seq> {
        let edits = self.edits.range((target, Seq::ZERO)..).take_while(|(edited, _)| *edited == target);
        edits.map(|&(_, edit)| edit).chain(self.by_seq.contains_key(&target).then_some(target)).collect()
    }

    /// Becomes `base` again, to which entries were applied that did not come about: by devices `wrote`, and redactions of
    /// `redacted`. Costs as much as what they changed, not as much as the table holds.
    pub fn take_back(
        &mut self,
        base: &Self,
        wrote: impl IntoIterator<Item = SenderKey>,
        redacted: impl IntoIterator<Item = Seq>,
    ) {
        let cleared =
            redacted.into_iter().flat_map(|target| base.about(target)).filter_map(|seq| base.by_seq.get(&seq));
        let pushed_out = base.by_last_seq.range(..=self.forgotten).map(|(_, key)| key);
        let changed: BTreeSet<SenderKey> =
            cleared.chain(pushed_out).map(|key| SenderKey::clone(key)).chain(wrote).collect();
        for key in changed {
            self.remove(&key);
            if let Some((key, sender)) = base.senders.get_key_value(&key) {
                self.insert(Arc::clone(key), sender.clone());
            }
        }
        self.forgotten = base.forgotten;
    }

    fn insert(&mut self, key: Arc<SenderKey>, sender: Sender) {
        self.by_last_seq.insert(sender.last_seq, Arc::clone(&key));
        sender.records.iter().for_each(|record| self.index(record, &key));
        self.senders.insert(key, sender);
    }

    fn remove(&mut self, key: &SenderKey) {
        let Some(sender) = self.senders.remove(key) else { return };
        self.by_last_seq.remove(&sender.last_seq);
        sender.records.iter().for_each(|record| self.take_out_of_index(record));
    }

    fn index(&mut self, record: &Record, key: &Arc<SenderKey>) {
        self.by_seq.insert(record.seq, Arc::clone(key));
        self.edits.extend(record.edited().map(|edited| (edited, record.seq)));
    }

    fn take_out_of_index(&mut self, record: &Record) {
        self.by_seq.remove(&record.seq);
        if let Some(edited) = record.edited() {
            self.edits.remove(&(edited, record.seq));
        }
    }

    /// Returns how many writes the table keeps.
    pub fn records(&self) -> usize {
        self.by_seq.len()
    }

    /// Returns the table as a snapshot keeps it.
    pub fn to_snapshot(&self) -> SenderTableSnapshot {
        let senders = self.senders.iter().map(|(key, sender)| (SenderKey::clone(key), sender.clone())).collect();
        SenderTableSnapshot { senders, forgotten: self.forgotten }
    }

    /// Rebuilds the table from a snapshot.
    pub fn from_snapshot(snapshot: SenderTableSnapshot) -> Self {
        let mut table = Self { forgotten: snapshot.forgotten, ..Self::default() };
        snapshot.senders.into_iter().for_each(|(key, sender)| table.insert(Arc::new(key), sender));
        table
    }
}

/// A [`SenderTable`] in a snapshot: devices in the order of their names.
#[derive(Debug, Serialize, Deserialize)]
pub struct SenderTableSnapshot {
    senders: Vec<(SenderKey, Sender)>,
    forgotten: Seq,
}
