//! The CQL store: each statement takes effect at one moment, or not at all, as Paxos makes it. It watches over what must never
//! happen.

use std::collections::{BTreeMap, BTreeSet};

use rollcall_actors::cluster::Takeover;
use rollcall_actors::fencing::{Answer, Buckets, FloorRow, Looked, Mark, Row, Statement, Writer};
use rollcall_actors::ports::{Fence, LogTail, StoredSnapshot};
use rollcall_actors::room::RoomChange;
use rollcall_protocol::{Entry, Hash, Kind, RoomId, Seq};

use crate::sabotage::Sabotage;

/// Entries in a bucket: few, so that rooms roll often.
pub const BUCKETS: Buckets = Buckets::of_entries(16);

/// How long a takeover is found, in milliseconds.
const TAKEOVERS_FOUND_MS: u64 = 60_000;

/// What the servers of the store hold.
#[derive(Debug, Default)]
pub struct Store {
    rooms: BTreeMap<RoomId, RoomStore>,
    takeovers: Vec<(u64, Takeover)>,
    /// What must never happen and did.
    pub damages: Vec<String>,
}

/// The rows of one room.
#[derive(Debug, Default)]
pub struct RoomStore {
    fences: BTreeMap<u64, LogTail>,
    rows: BTreeMap<Seq, Entry>,
    edits: BTreeSet<(Seq, Seq)>,
    floor: Option<FloorRow>,
    /// The hashes of entries that are gone: those that ended their buckets.
    gone: BTreeMap<Seq, Hash>,
    /// When an owner knew that each entry is stored, in milliseconds.
    known_at_ms: Vec<u64>,
    /// By their numbers.
    pub snapshots: BTreeMap<Seq, StoredSnapshot>,
}

impl Store {
    /// Returns a room's rows.
    pub fn room(&mut self, room: &RoomId) -> &mut RoomStore {
        self.rooms.entry(room.clone()).or_default()
    }

    /// Returns a room's rows, if there are any.
    pub fn get(&self, room: &RoomId) -> Option<&RoomStore> {
        self.rooms.get(room)
    }

    /// Returns all rooms.
    pub fn rooms(&self) -> impl Iterator<Item = (&RoomId, &RoomStore)> {
        self.rooms.iter()
    }

    /// Carries a statement out.
    pub fn run(&mut self, room: &RoomId, statement: &Statement, sabotage: Option<Sabotage>) -> Answer {
        let rows = self.rooms.entry(room.clone()).or_default();
        let answer = rows.run(room, statement, sabotage, &mut self.damages);
        let last = rows.rows.last_key_value().map_or(0, |(seq, _)| seq.get());
        let count = rows.known_at_ms.len().max(usize::try_from(last).unwrap_or(usize::MAX));
        rows.known_at_ms.resize(count, u64::MAX);
        answer
    }

    /// Notes that an owner knows that all up to this number is stored: where answers are lost, that may be long after it was.
    pub fn known(&mut self, now_ms: u64, room: &RoomId, head: Seq) {
        let Some(rows) = self.rooms.get_mut(room) else { return };
        let count = usize::try_from(head.get()).unwrap_or(usize::MAX);
        for at_ms in rows.known_at_ms.iter_mut().take(count).rev().take_while(|at_ms| **at_ms > now_ms) {
            *at_ms = now_ms;
        }
    }

    /// Inserts a takeover.
    pub fn insert_takeover(&mut self, now_ms: u64, takeover: Takeover) {
        self.takeovers.push((now_ms, takeover));
    }

    /// Returns the takeovers of the last minute.
    pub fn takeovers(&self, now_ms: u64) -> Vec<Takeover> {
        let recent = self.takeovers.iter().filter(|(at_ms, _)| at_ms + TAKEOVERS_FOUND_MS >= now_ms);
        recent.map(|(_, takeover)| takeover.clone()).collect()
    }
}

impl RoomStore {
    /// Returns the entries after a number, in order.
    pub fn after(&self, after: Seq) -> impl Iterator<Item = &Entry> {
        self.rows.range(after.next()..).map(|(_, entry)| entry)
    }

    /// Returns an entry.
    pub fn entry(&self, seq: Seq) -> Option<&Entry> {
        self.rows.get(&seq)
    }

    /// Returns the first number that is read; what lies before it has expired.
    pub fn floor(&self) -> Seq {
        self.floor.map_or(Seq::FIRST, |row| row.floor)
    }

    /// Returns the number from where on the room's own entries say that it is kept.
    pub fn floor_said(&self) -> Seq {
        self.rows.values().filter_map(floor_of).max().unwrap_or(Seq::FIRST)
    }

    /// Returns the hash of an entry, be it gone or not.
    pub fn hash_at(&self, seq: Seq) -> Option<Hash> {
        self.rows.get(&seq).map(|entry| entry.hash).or_else(|| self.gone.get(&seq).copied())
    }

    /// Returns the last number.
    pub fn head(&self) -> Seq {
        self.tail().map_or(Seq::ZERO, |tail| tail.last_seq)
    }

    /// Returns the last number that an owner knew by then to be stored.
    pub fn head_at(&self, at_ms: u64) -> Seq {
        Seq::new(self.known_at_ms.partition_point(|known| *known <= at_ms) as u64)
    }

    /// Returns the last bucket's fence.
    pub fn tail(&self) -> Option<LogTail> {
        self.fences.values().last().copied()
    }

    fn run(
        &mut self,
        room: &RoomId,
        statement: &Statement,
        sabotage: Option<Sabotage>,
        damages: &mut Vec<String>,
    ) -> Answer {
        match statement {
            Statement::ReadFence { bucket } => Answer::Fence(self.fences.get(bucket).copied()),
            &Statement::CreateBucket { bucket, fence, last_seq } => {
                if let Some(&there) = self.fences.get(&bucket) {
                    return Answer::NotApplied(Some(there));
                }
                let before = bucket.checked_sub(1).map(|before| self.fences.get(&before).map(|tail| tail.last_seq));
                if before.is_some_and(|before| before != Some(last_seq)) {
                    damages.push(format!("bucket {bucket} of {room} was opened before the one below it was full"));
                }
                self.fences.insert(bucket, LogTail { fence, last_seq });
                Answer::Applied
            }
            &Statement::TakeFence { bucket, expected, fence } => match self.fences.get_mut(&bucket) {
                Some(tail) if tail.fence == expected => {
                    tail.fence = fence;
                    Answer::Applied
                }
                there => Answer::NotApplied(there.copied()),
            },
            Statement::Append { bucket, fence, last_seq, entries } => {
                let expected = LogTail { fence: *fence, last_seq: *last_seq };
                self.append(room, *bucket, expected, entries, sabotage, damages)
            }
            &Statement::ReadWriters { after, through, .. } => {
                let writer =
                    |entry: &Entry| Writer { seq: entry.seq, fence: Fence { epoch: entry.epoch, owner: entry.owner } };
                Answer::Writers(self.range(after, through).map(writer).collect())
            }
            &Statement::ReadRows { after, through, .. } => {
                let row = |entry: &Entry| Row { seq: entry.seq, mark: Mark::of(entry) };
                Answer::Rows(self.range(after, through).map(row).collect())
            }
            &Statement::LookAt { seq, .. } => Answer::Looked(match self.rows.get(&seq) {
                None => Looked::Absent,
                Some(entry) if entry.is_redacted() => Looked::Redacted,
                Some(_) => Looked::Whole,
            }),
            &Statement::NoteEdit { target, seq } => {
                self.edits.insert((target, seq));
                Answer::Done
            }
            &Statement::ReadEdits { target } => {
                let edits = self.edits.range((target, Seq::ZERO)..(target.next(), Seq::ZERO));
                Answer::Edits(edits.map(|&(_, edit)| edit).collect())
            }
            &Statement::Redact { seq, .. } => self.redact(seq, |_| true),
            &Statement::RedactEdit { seq, target, .. } => {
                self.redact(seq, |entry| entry.kind == Kind::Edit && entry.target == Some(target))
            }
            Statement::ReadFloor => Answer::Floor(self.floor),
            &Statement::RaiseFloor { expected, floor } => {
                if self.floor.map(|row| row.floor) != expected {
                    return Answer::NotApplied(None);
                }
                if floor > self.floor_said() {
                    damages.push(format!("what lies before {floor} of {room} is deleted, and no entry says so"));
                }
                self.floor = Some(FloorRow { floor, swept: self.floor.map_or(0, |row| row.swept) });
                Answer::Applied
            }
            Statement::ForgetEdits { edits } => {
                self.edits.retain(|edit| !edits.contains(edit));
                Answer::Done
            }
            &Statement::ExpireBucket { bucket, last_seq } => self.expire(room, bucket, last_seq, damages),
            &Statement::NoteSwept { bucket } => match &mut self.floor {
                Some(row) => {
                    row.swept = bucket;
                    Answer::Applied
                }
                None => Answer::NotApplied(None),
            },
        }
    }

    fn range(&self, after: Seq, through: Seq) -> impl Iterator<Item = &Entry> {
        self.rows.range(after.next()..=through).map(|(_, entry)| entry)
    }

    fn append(
        &mut self,
        room: &RoomId,
        bucket: u64,
        expected: LogTail,
        entries: &[Entry],
        sabotage: Option<Sabotage>,
        damages: &mut Vec<String>,
    ) -> Answer {
        let Some(&there) = self.fences.get(&bucket) else { return Answer::NotApplied(None) };
        let is_met = match sabotage {
            Some(Sabotage::NoFenceOnAppend) => there.last_seq == expected.last_seq,
            Some(Sabotage::NoSequenceCondition) => there.fence == expected.fence,
            _ => there == expected,
        };
        if !is_met {
            return Answer::NotApplied(Some(there));
        }
        for entry in entries {
            if self.rows.insert(entry.seq, entry.clone()).is_some_and(|there| there.hash != entry.hash) {
                damages.push(format!("entry {} of {room} was overwritten", entry.seq));
            }
        }
        let last_seq = entries.last().expect("an append has at least one entry").seq;
        if last_seq <= there.last_seq {
            damages.push(format!("the end of {room} was {} and is {last_seq} after an append", there.last_seq));
        }
        self.fences.insert(bucket, LogTail { last_seq, ..there });
        Answer::Applied
    }

    fn expire(&mut self, room: &RoomId, bucket: u64, last_seq: Seq, damages: &mut Vec<String>) -> Answer {
        let there = self.fences.get(&bucket).copied();
        if there.is_none_or(|tail| tail.last_seq != last_seq) {
            return Answer::NotApplied(there);
        }
        if last_seq >= self.floor() {
            damages.push(format!("bucket {bucket} of {room} is deleted above the floor"));
        }
        if let Some(last) = self.rows.get(&last_seq) {
            self.gone.insert(last_seq, last.hash);
        }
        self.rows.retain(|seq, _| *seq > last_seq || *seq <= BUCKETS.before(bucket));
        Answer::Applied
    }

    fn redact(&mut self, seq: Seq, is_meant: impl Fn(&Entry) -> bool) -> Answer {
        match self.rows.get_mut(&seq) {
            Some(entry) if is_meant(entry) => {
                entry.redact();
                Answer::Applied
            }
            _ => Answer::NotApplied(None),
        }
    }
}

/// Returns the number from where on a room's entry says that the room is kept.
fn floor_of(entry: &Entry) -> Option<Seq> {
    let body = entry.body.as_ref().filter(|_| entry.kind == Kind::Room)?;
    body.parse::<RoomChange>().ok()?.floor
}
