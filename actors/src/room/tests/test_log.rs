//! A log as the port promises it, without durability: what is appended stays, bodies that were redacted are gone.

use rollcall_protocol::{Entry, Epoch, Kind, OwnerId, RoomId, Seq};

use crate::ports::{Fence, StoredSnapshot};
use crate::room::{RoomState, Target, snapshot};

/// A room's committed entries, and the snapshots that were taken of it.
#[derive(Debug)]
pub struct TestLog {
    pub room: RoomId,
    pub entries: Vec<Entry>,
    pub snapshots: Vec<StoredSnapshot>,
    fence: Fence,
}

impl TestLog {
    pub fn new() -> Self {
        Self {
            room: RoomId::parse("general").unwrap(),
            entries: Vec::new(),
            snapshots: Vec::new(),
            fence: Fence { epoch: Epoch::ZERO, owner: OwnerId(0) },
        }
    }

    /// Fences the room for a new owner.
    pub fn activate(&mut self) -> Fence {
        let epoch = self.fence.epoch.next();
        self.fence = Fence { epoch, owner: OwnerId(u128::from(epoch.get()) + 1_000) };
        self.fence
    }

    pub fn head(&self) -> Seq {
        Seq::new(self.entries.len() as u64)
    }

    pub fn entry(&self, seq: Seq) -> Option<&Entry> {
        self.entries.get(usize::try_from(seq.get()).unwrap().checked_sub(1)?)
    }

    /// Stores a batch, which must follow on what is there and prove itself.
    pub fn append(&mut self, batch: &[Entry]) {
        for entry in batch {
            let before = self.entries.last();
            let state = before.map_or_else(|| RoomState::empty(&self.room).hash, |before| before.hash);
            assert_eq!(entry.seq, self.head().next(), "numbers have no gap");
            assert_eq!(entry.hash, entry.expected_hash(state), "the hash chain holds");
            assert_eq!(Some(entry.content_hash), entry.expected_content_hash(), "the content hash holds");
            assert!(before.is_none_or(|before| before.created_at_ms <= entry.created_at_ms), "time never falls");
            assert_eq!(Fence { epoch: entry.epoch, owner: entry.owner }, self.fence, "only the owner appends");
            self.store(entry.clone());
        }
    }

    fn store(&mut self, mut entry: Entry) {
        let target = entry.target.filter(|_| matches!(entry.kind, Kind::Edit | Kind::Redact));
        if entry.kind == Kind::Edit && target.and_then(|target| self.entry(target)).is_some_and(Entry::is_redacted) {
            entry.redact();
        }
        let redacts = target.filter(|_| entry.kind == Kind::Redact);
        self.entries.push(entry);
        let Some(target) = redacts else { return };
        for entry in &mut self.entries {
            if entry.seq == target || entry.kind == Kind::Edit && entry.target == Some(target) {
                entry.redact();
            }
        }
    }

    /// Looks at an entry as the shell does before it submits a write about it.
    pub fn look_at(&self, seq: Seq) -> Target {
        self.entry(seq).map_or(Target::Absent(seq), |entry| Target::Found {
            seq,
            kind: entry.kind,
            sender: entry.sender.clone(),
            redacted: entry.is_redacted(),
        })
    }

    /// Rebuilds the state from the first entry on.
    pub fn replay(&self) -> RoomState {
        self.replay_on(RoomState::empty(&self.room))
    }

    /// Rebuilds the state from a snapshot and what follows it.
    pub fn replay_from(&self, stored: &StoredSnapshot) -> RoomState {
        self.replay_on(snapshot::decode(stored).unwrap())
    }

    fn replay_on(&self, mut state: RoomState) -> RoomState {
        for entry in self.entries.iter().filter(|entry| entry.seq > state.head).cloned().collect::<Vec<_>>() {
            state.apply(&entry);
        }
        state
    }
}
