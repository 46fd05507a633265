//! Writes a room's entries as an owner would number them: contiguous, chained, under its fence.

use std::sync::Arc;

use rollcall_actors::ports::{Activate, Append, AppendOutcome, Fence, Log, LogError, LogTail, ReadRange};
use rollcall_protocol::{Body, DeviceId, Entry, Hash, Kind, OwnerId, RoomId, Salt, Seq, UserId, hash};

/// An owner of one room, without any of its rules.
#[derive(Debug, Clone)]
pub struct Scribe {
    /// The room.
    pub room: RoomId,
    /// The owner's fence.
    pub fence: Fence,
    /// The last entry that it wrote.
    pub last_seq: Seq,
    hash: Hash,
}

impl Scribe {
    /// Activates a room and goes on where it stands.
    pub async fn activate(log: &dyn Log, room: &str, owner: u128) -> Self {
        let room = RoomId::parse(room).unwrap();
        let tail = log.activate(&room, Activate::by(OwnerId(owner))).await.unwrap().tail;
        Self::resume(log, room, tail).await.unwrap()
    }

    /// Goes on from a tail that an activation returned.
    ///
    /// # Errors
    /// Where the last entry cannot be read.
    pub async fn resume(log: &dyn Log, room: RoomId, tail: LogTail) -> Result<Self, LogError> {
        let last = log.read(&room, last_entry(tail.last_seq)).await?;
        let hash = last.last().map_or_else(|| hash::genesis(&room), |entry| entry.hash);
        Ok(Self { room, fence: tail.fence, last_seq: tail.last_seq, hash })
    }

    /// Goes on from a tail without knowing the hash of the last entry.
    pub fn unchained(room: RoomId, tail: LogTail) -> Self {
        Self { hash: hash::genesis(&room), room, fence: tail.fence, last_seq: tail.last_seq }
    }

    /// Writes the next entry.
    pub fn entry(&mut self, kind: Kind, target: Option<u64>, text: Option<&str>) -> Entry {
        self.changed_entry(kind, target, text, |_| {})
    }

    /// Writes the next entry with other fields than most have; its hash is over these.
    pub fn changed_entry(
        &mut self,
        kind: Kind,
        target: Option<u64>,
        text: Option<&str>,
        change: impl FnOnce(&mut Entry),
    ) -> Entry {
        let seq = self.last_seq.next();
        let salt = Salt([seq.get().to_le_bytes()[0]; 16]);
        let body = text.map(|text| Body::text(text).unwrap());
        let mut entry = Entry {
            seq,
            kind,
            created_at_ms: 1_790_000_000_000 + i64::try_from(seq.get()).unwrap(),
            sender: UserId::parse("alice").unwrap(),
            device: Some(DeviceId::parse("phone").unwrap()),
            n: seq.get(),
            target: target.map(Seq::new),
            content_hash: hash::content(&salt, body.as_ref().map(Body::as_str)),
            body,
            salt: Some(salt),
            hash: self.hash,
            epoch: self.fence.epoch,
            owner: self.fence.owner,
        };
        change(&mut entry);
        entry.hash = entry.expected_hash(self.hash);
        self.hash = entry.hash;
        self.last_seq = seq;
        entry
    }

    /// Writes a message.
    pub fn message(&mut self, text: &str) -> Entry {
        self.entry(Kind::Message, None, Some(text))
    }

    /// Writes an edit.
    pub fn edit(&mut self, target: u64, text: &str) -> Entry {
        self.entry(Kind::Edit, Some(target), Some(text))
    }

    /// Writes a redaction.
    pub fn redact(&mut self, target: u64) -> Entry {
        self.entry(Kind::Redact, Some(target), None)
    }

    /// Writes `count` messages, each with its number as its text.
    pub fn messages(&mut self, count: usize) -> Vec<Entry> {
        (0..count).map(|_| self.message(&format!("message {}", self.last_seq.next()))).collect()
    }

    /// Makes an append of entries that this scribe wrote.
    pub fn append(&self, entries: Vec<Entry>) -> Append {
        Append { room: self.room.clone(), fence: self.fence, entries: Arc::from(entries) }
    }

    /// Writes `count` messages and commits them.
    pub async fn commit_messages(&mut self, log: &dyn Log, count: usize) -> Vec<Entry> {
        let entries = self.messages(count);
        self.commit(log, entries).await
    }

    /// Commits entries that this scribe wrote.
    pub async fn commit(&self, log: &dyn Log, entries: Vec<Entry>) -> Vec<Entry> {
        assert_eq!(log.append(self.append(entries.clone())).await, AppendOutcome::Committed);
        entries
    }
}

/// Reads a whole room.
pub async fn read_all(log: &dyn Log, room: &RoomId) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let after = entries.last().map_or(Seq::ZERO, |entry| entry.seq);
        let page = log.read(room, after_up_to(after, u64::MAX >> 11, 500)).await.unwrap();
        if page.is_empty() {
            return entries;
        }
        entries.extend(page);
    }
}

/// Asserts that a room's entries are contiguous from 1 and that their hash chain holds.
pub fn assert_chained(room: &RoomId, entries: &[Entry]) {
    let mut before = hash::genesis(room);
    for (entry, expected) in entries.iter().zip(1..) {
        assert_eq!(entry.seq, Seq::new(expected), "room {room} has a gap");
        assert_eq!(entry.hash, entry.expected_hash(before), "the chain of room {room} breaks at {expected}");
        before = entry.hash;
    }
}

/// The range after a number, through another, without a limit of bytes.
pub fn after_up_to(after: Seq, through: u64, entries_max: usize) -> ReadRange {
    ReadRange { after, through: Seq::new(through), entries_max, bytes_max: usize::MAX }
}

fn last_entry(last_seq: Seq) -> ReadRange {
    after_up_to(last_seq.previous(), last_seq.get(), 1)
}
