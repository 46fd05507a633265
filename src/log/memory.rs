//! The log in memory: for tests and trials, gone with the process.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::ready;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rollcall_actors::cluster::TAKEOVERS_READ_MS;
use rollcall_actors::ports::{
    Activate, Activated, Append, AppendOutcome, Fence, Log, LogError, LogTail, NotCommitted, PortFuture, ReadRange,
    Replaced, StoredSnapshot, Takeover, Takeovers,
};
use rollcall_protocol::{Entry, Epoch, Kind, RoomId, Seq};

/// How many snapshots of a room are kept: the newest, and the one before for a reader that does not know its format.
const SNAPSHOTS_KEPT: usize = 2;

/// The full contract of the `Log` port, but durability ends with the process.
///
/// Every call does its work at once, under one lock, so its future is ready when it is returned.
#[derive(Debug, Default)]
pub struct MemoryLog {
    rooms: Mutex<HashMap<RoomId, Room>>,
    /// With the time of each, in order.
    takeovers: Mutex<Vec<(Instant, Takeover)>>,
}

/// A room that somebody wrote to.
#[derive(Debug)]
struct Room {
    fence: Fence,
    /// Whether the fence's owner has released it.
    is_released: bool,
    /// The first number that is still kept.
    floor: Seq,
    /// The entries from the floor on.
    entries: Vec<Entry>,
    /// The numbers of the edits of each target.
    edits: BTreeMap<Seq, BTreeSet<Seq>>,
    /// The last redact entry; a snapshot older than it may hold traces of what was redacted.
    last_redact: Seq,
    snapshots: BTreeMap<Seq, Vec<Vec<u8>>>,
}

impl MemoryLog {
    /// Makes a log without rooms.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns every room that was written to with where it stands, ordered by name.
    pub fn rooms(&self) -> Vec<(RoomId, LogTail)> {
        let mut rooms: Vec<_> = self.lock().iter().map(|(name, room)| (name.clone(), room.tail())).collect();
        rooms.sort_by(|(a, _), (b, _)| a.cmp(b));
        rooms
    }

    /// Takes the lock. A panic under it can only be an assert that came before any change, so what it guards is whole.
    fn lock(&self) -> MutexGuard<'_, HashMap<RoomId, Room>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent_at(&self, now: Instant) -> Vec<Takeover> {
        let mut takeovers = self.takeovers.lock().unwrap_or_else(PoisonError::into_inner);
        takeovers.retain(|(at, _)| now.saturating_duration_since(*at) <= Duration::from_millis(TAKEOVERS_READ_MS));
        takeovers.iter().map(|(_, takeover)| takeover.clone()).collect()
    }

    fn append_now(&self, append: &Append) -> AppendOutcome {
        append.assert_well_formed();
        let mut rooms = self.lock();
        let room = match rooms.get_mut(&append.room) {
            Some(room) if room.is_owned_by(append.fence) && room.last_seq() == append.builds_on() => room,
            None if append.builds_on() == Seq::ZERO => {
                rooms.entry(append.room.clone()).or_insert_with(|| Room::new(append.fence))
            }
            Some(_) | None => return AppendOutcome::NotCommitted(NotCommitted::Fenced),
        };
        for entry in append.entries.iter() {
            room.push(entry.clone());
        }
        AppendOutcome::Committed
    }

    fn read_now(&self, room: &RoomId, range: ReadRange) -> Result<Vec<Entry>, LogError> {
        let rooms = self.lock();
        let Some(room) = rooms.get(room) else { return Ok(Vec::new()) };
        let first = range.after.next();
        if first > range.through {
            return Ok(Vec::new());
        }
        if first < room.floor {
            return Err(LogError::Expired { floor: room.floor });
        }
        let skip = usize::try_from(first.since(room.floor)).unwrap_or(usize::MAX);
        let mut page = Vec::new();
        let mut bytes = 0;
        for entry in room.entries.iter().skip(skip).take(range.entries_max) {
            if entry.seq > range.through || !page.is_empty() && bytes >= range.bytes_max {
                break;
            }
            bytes += entry.weight_bytes();
            page.push(entry.clone());
        }
        Ok(page)
    }

    fn read_snapshot_now(&self, room: &RoomId, at_most: Seq) -> Option<StoredSnapshot> {
        let rooms = self.lock();
        let (&seq, parts) = rooms.get(room)?.snapshots.range(..=at_most).next_back()?;
        Some(StoredSnapshot { seq, parts: parts.clone() })
    }
}

impl Room {
    fn new(fence: Fence) -> Self {
        Self {
            fence,
            is_released: false,
            floor: Seq::FIRST,
            entries: Vec::new(),
            edits: BTreeMap::new(),
            last_redact: Seq::ZERO,
            snapshots: BTreeMap::new(),
        }
    }

    /// Takes the place of the fence before, which is returned.
    fn activate(&mut self, with: Activate) -> Fence {
        let epoch = with.epoch.max(self.fence.epoch.next());
        self.is_released = false;
        std::mem::replace(&mut self.fence, Fence { epoch, owner: with.owner })
    }

    fn is_owned_by(&self, fence: Fence) -> bool {
        self.fence == fence && !self.is_released
    }

    fn last_seq(&self) -> Seq {
        self.floor.previous().plus(self.entries.len() as u64)
    }

    fn tail(&self) -> LogTail {
        LogTail { fence: self.fence, last_seq: self.last_seq() }
    }

    fn entry_mut(&mut self, seq: Seq) -> Option<&mut Entry> {
        if seq < self.floor {
            return None;
        }
        self.entries.get_mut(usize::try_from(seq.since(self.floor)).ok()?)
    }

    /// Stores an entry, and takes away the bodies that are no more once it is there.
    fn push(&mut self, mut entry: Entry) {
        let seq = entry.seq;
        let about = entry.target.map(|target| (entry.kind, target));
        if let Some((Kind::Edit, target)) = about {
            self.edits.entry(target).or_default().insert(seq);
            if self.entry_mut(target).is_some_and(|target| target.is_redacted()) {
                entry.redact();
            }
        }
        self.entries.push(entry);
        if let Some((Kind::Redact, target)) = about {
            self.last_redact = seq;
            let edits = self.edits.get(&target).into_iter().flatten().copied().collect::<Vec<_>>();
            for seq in edits.into_iter().chain([target]) {
                if let Some(entry) = self.entry_mut(seq) {
                    entry.redact();
                }
            }
        }
    }

    fn write_snapshot(&mut self, snapshot: StoredSnapshot) {
        self.snapshots.insert(snapshot.seq, snapshot.parts);
        if self.last_redact <= snapshot.seq {
            self.snapshots = self.snapshots.split_off(&self.last_redact);
        }
        while self.snapshots.len() > SNAPSHOTS_KEPT {
            self.snapshots.pop_first();
        }
    }

    fn expire_before(&mut self, floor: Seq) {
        let newest_snapshot = self.snapshots.last_key_value().map_or(Seq::ZERO, |(&seq, _)| seq);
        let floor = floor.min(newest_snapshot.next()).min(self.last_seq().next());
        if floor <= self.floor {
            return;
        }
        let expired = usize::try_from(floor.since(self.floor)).expect("the entries are in memory");
        self.entries.drain(..expired);
        self.floor = floor;
        for edits in self.edits.values_mut() {
            *edits = edits.split_off(&floor);
        }
        self.edits.retain(|_, edits| !edits.is_empty());
    }
}

impl Log for MemoryLog {
    fn activate<'a>(&'a self, room: &'a RoomId, with: Activate) -> PortFuture<'a, Result<Activated, LogError>> {
        let activated = match self.lock().get_mut(room) {
            Some(room) => {
                let replaced = Replaced::Fence(room.activate(with));
                Activated { tail: room.tail(), replaced }
            }
            None => {
                let fence = Fence { epoch: with.epoch.max(Epoch::new(1)), owner: with.owner };
                Activated { tail: LogTail { fence, last_seq: Seq::ZERO }, replaced: Replaced::Nothing }
            }
        };
        Box::pin(ready(Ok(activated)))
    }

    fn release(&self, room: &RoomId, fence: Fence) {
        if let Some(room) = self.lock().get_mut(room)
            && room.fence == fence
        {
            room.is_released = true;
        }
    }

    fn append(&self, append: Append) -> PortFuture<'static, AppendOutcome> {
        let outcome = self.append_now(&append);
        Box::pin(ready(outcome))
    }

    fn read<'a>(&'a self, room: &'a RoomId, range: ReadRange) -> PortFuture<'a, Result<Vec<Entry>, LogError>> {
        Box::pin(ready(self.read_now(room, range)))
    }

    fn tail<'a>(&'a self, room: &'a RoomId) -> PortFuture<'a, Result<Option<LogTail>, LogError>> {
        let tail = self.lock().get(room).map(Room::tail);
        Box::pin(ready(Ok(tail)))
    }

    fn write_snapshot<'a>(
        &'a self,
        room: &'a RoomId,
        snapshot: StoredSnapshot,
    ) -> PortFuture<'a, Result<(), LogError>> {
        if let Some(room) = self.lock().get_mut(room) {
            room.write_snapshot(snapshot);
        }
        Box::pin(ready(Ok(())))
    }

    fn read_snapshot<'a>(
        &'a self,
        room: &'a RoomId,
        at_most: Seq,
    ) -> PortFuture<'a, Result<Option<StoredSnapshot>, LogError>> {
        Box::pin(ready(Ok(self.read_snapshot_now(room, at_most))))
    }

    fn expire_before<'a>(&'a self, room: &'a RoomId, floor: Seq) -> PortFuture<'a, Result<(), LogError>> {
        if let Some(room) = self.lock().get_mut(room) {
            room.expire_before(floor);
        }
        Box::pin(ready(Ok(())))
    }
}

/// Nodes of one process that share the log tell one another.
impl Takeovers for MemoryLog {
    fn insert<'a>(&'a self, takeover: &'a Takeover) -> PortFuture<'a, Result<(), LogError>> {
        let mut takeovers = self.takeovers.lock().unwrap_or_else(PoisonError::into_inner);
        takeovers.push((Instant::now(), takeover.clone()));
        Box::pin(ready(Ok(())))
    }

    fn recent(&self) -> PortFuture<'_, Result<Vec<Takeover>, LogError>> {
        Box::pin(ready(Ok(self.recent_at(Instant::now()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn takeovers_are_forgotten_after_a_minute_and_not_before() {
        let log = MemoryLog::new();
        let takeover = Takeover { room: RoomId::parse("r").unwrap(), epoch: Epoch::new(3) };
        let before = Instant::now();
        log.insert(&takeover).await.unwrap();
        assert_eq!(log.recent_at(before + Duration::from_secs(60)), [takeover]);
        assert_eq!(log.recent_at(Instant::now() + Duration::from_millis(60_001)), []);
    }
}
