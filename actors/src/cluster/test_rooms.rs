//! Rooms and nodes for the tests: logs whose entries carry true hashes.

use rollcall_protocol::{Body, DeviceId, Entry, Epoch, Hash, Kind, OwnerId, RoomId, Salt, Seq, UserId, hash};

use super::node::{Incarnation, NodeRef, parse_node_id};
use crate::ports::Fence;

/// A node in its first life.
pub fn node(name: &str) -> NodeRef {
    NodeRef::new(parse_node_id(name).unwrap(), Incarnation(1))
}

pub fn room(name: &str) -> RoomId {
    RoomId::parse(name).unwrap()
}

/// The fence of an epoch's one owner.
pub fn fence(epoch: u64) -> Fence {
    Fence { epoch: Epoch::new(epoch), owner: OwnerId(u128::from(epoch)) }
}

/// A room's log.
#[derive(Debug, Clone)]
pub struct TestRoom {
    pub room: RoomId,
    pub entries: Vec<Entry>,
}

impl TestRoom {
    pub fn new(room: RoomId) -> Self {
        Self { room, entries: Vec::new() }
    }

    pub fn head(&self) -> Seq {
        self.entries.last().map_or(Seq::ZERO, |entry| entry.seq)
    }

    pub fn hash(&self) -> Hash {
        self.entries.last().map_or_else(|| hash::genesis(&self.room), |entry| entry.hash)
    }

    /// Commits the next `count` messages.
    pub fn append(&mut self, fence: Fence, count: usize) -> Vec<Entry> {
        let first = self.entries.len();
        for _ in 0..count {
            let entry = self.next(fence);
            self.entries.push(entry);
        }
        self.entries[first..].to_vec()
    }

    fn next(&self, fence: Fence) -> Entry {
        let seq = self.head().next();
        let body = Body::text(&seq.to_string()).unwrap();
        let salt = Salt([u8::try_from(seq.get() % 251).unwrap(); 16]);
        let content_hash = hash::content(&salt, Some(body.as_str()));
        let mut entry = Entry {
            seq,
            kind: Kind::Message,
            created_at_ms: 1_790_000_000_000,
            sender: UserId::parse("ann").unwrap(),
            device: Some(DeviceId::parse("phone").unwrap()),
            n: seq.get(),
            target: None,
            body: Some(body),
            salt: Some(salt),
            content_hash,
            hash: content_hash,
            epoch: fence.epoch,
            owner: fence.owner,
        };
        entry.hash = entry.expected_hash(self.hash());
        entry
    }
}
