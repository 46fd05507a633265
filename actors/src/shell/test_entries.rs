//! Entries for the tests of the shells: contiguous, of one room, each with a hash of its own.

use rollcall_protocol::{Body, DeviceId, Entry, Epoch, Hash, Kind, OwnerId, RoomId, Salt, Seq, UserId};

/// Writes one room's entries.
#[derive(Debug)]
pub struct TestEntries {
    pub room: RoomId,
    pub head: Seq,
    pub epoch: Epoch,
}

impl TestEntries {
    pub fn new() -> Self {
        Self { room: RoomId::parse("room").unwrap(), head: Seq::ZERO, epoch: Epoch::new(1) }
    }

    pub fn entry(&mut self, kind: Kind, target: Option<u64>, text: Option<&str>) -> Entry {
        self.head = self.head.next();
        let mark = u8::try_from(self.head.get() % 251).unwrap();
        Entry {
            seq: self.head,
            kind,
            created_at_ms: 1_790_000_000_000 + i64::from(mark),
            sender: UserId::parse("ann").unwrap(),
            device: Some(DeviceId::parse("phone").unwrap()),
            n: self.head.get(),
            target: target.map(Seq::new),
            body: text.map(|text| Body::text(text).unwrap()),
            salt: Some(Salt([mark; 16])),
            content_hash: Hash([mark; 32]),
            hash: Hash([!mark; 32]),
            epoch: self.epoch,
            owner: OwnerId(7),
        }
    }

    pub fn message(&mut self, text: &str) -> Entry {
        self.entry(Kind::Message, None, Some(text))
    }

    /// The next `count` messages, each with its number as its text.
    pub fn messages(&mut self, count: usize) -> Vec<Entry> {
        (0..count).map(|_| self.message(&self.head.next().to_string())).collect()
    }

    pub fn edit(&mut self, target: u64, text: &str) -> Entry {
        self.entry(Kind::Edit, Some(target), Some(text))
    }

    pub fn redact(&mut self, target: u64) -> Entry {
        self.entry(Kind::Redact, Some(target), None)
    }
}
