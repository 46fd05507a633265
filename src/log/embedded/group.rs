//! A group: what is committed in one atomic batch with one sync.

mod expiry;
mod redactions;
mod slice;

use std::collections::{BTreeMap, HashMap, HashSet};

use fjall::OwnedWriteBatch;
use rollcall_actors::ports::{
    Activate, Activated, Append, AppendOutcome, Fence, LogError, LogTail, NotCommitted, Replaced,
};
use rollcall_protocol::{Entry, Epoch, Kind, RoomId, Seq};

use super::codec::{self, Redaction, RoomRow};
use super::command::{Answer, SnapshotPart};
use super::keys::{self, RoomNumber};
use super::store::Store;

pub(super) use slice::Slice;

/// Snapshots of a room that are kept: the newest, and the one before for a reader that does not know the newest one's format.
const SNAPSHOTS_KEPT: usize = 2;

/// Plans a batch: checks each command against the store and what was planned before it in the group.
///
/// A command is planned as a whole or, where the store cannot be read, not at all.
pub(super) struct Group<'a> {
    store: &'a Store,
    /// How much one command may tidy up.
    slice: Slice,
    rooms: HashMap<RoomId, RoomPlan>,
    /// Writes (some) and removals (none) besides rows of rooms and entries, each key once.
    snapshots: HashMap<Vec<u8>, Option<Vec<u8>>>,
    removed_entries: Vec<[u8; 12]>,
    removed_edits: Vec<[u8; 20]>,
    /// The number that the next new room gets; none before the first one.
    next_room: Option<RoomNumber>,
    planned: Planned,
}

/// What follows once the batch was committed, or was not.
#[derive(Debug, Default)]
pub(super) struct Planned {
    /// In the order of the commands.
    pub answers: Vec<Answer>,
    /// The rooms that get entries.
    pub appended: HashSet<RoomId>,
    /// The rooms that were activated.
    pub activated: HashSet<RoomId>,
    /// The rooms with more to delete below their floors.
    pub to_sweep: HashSet<RoomId>,
    /// Whether bodies are still to be taken away once the group has committed; none where the group did not look.
    pub redacting: Option<bool>,
    /// Entries that lost their bodies after they were committed.
    pub redacted: u64,
    pub appends: u64,
    pub entries: u64,
    pub bytes: u64,
}

/// What a group does to one room.
#[derive(Debug)]
struct RoomPlan {
    row: Option<RoomRow>,
    row_changed: bool,
    /// New entries, contiguous.
    fresh: Vec<Entry>,
    /// New edits, as (target, edit).
    edits: Vec<(Seq, Seq)>,
    /// Earlier entries, which have lost their bodies.
    redacted: BTreeMap<Seq, Entry>,
    /// Redactions of earlier entries, by their targets: as they stand now, or done (none).
    redactions: BTreeMap<Seq, Option<Redaction>>,
}

impl RoomPlan {
    fn new(row: Option<RoomRow>) -> Self {
        Self {
            row,
            row_changed: false,
            fresh: Vec::new(),
            edits: Vec::new(),
            redacted: BTreeMap::new(),
            redactions: BTreeMap::new(),
        }
    }

    fn fresh_mut(&mut self, seq: Seq) -> Option<&mut Entry> {
        let first = self.fresh.first()?.seq;
        if seq < first {
            return None;
        }
        self.fresh.get_mut(usize::try_from(seq.since(first)).ok()?)
    }
}

impl<'a> Group<'a> {
    /// Starts an empty group.
    pub fn new(store: &'a Store, slice: Slice) -> Self {
        Self {
            store,
            slice,
            rooms: HashMap::new(),
            snapshots: HashMap::new(),
            removed_entries: Vec::new(),
            removed_edits: Vec::new(),
            next_room: None,
            planned: Planned::default(),
        }
    }

    /// Adds an answer that waits for the commit.
    pub fn answer(&mut self, answer: Answer) {
        self.planned.answers.push(answer);
    }

    /// Plans an append, and says what became of it if the group commits.
    pub fn append(&mut self, append: &Append) -> AppendOutcome {
        match self.try_append(append) {
            Ok(outcome) => outcome,
            Err(LogError::Damaged(reason)) => AppendOutcome::NotCommitted(NotCommitted::Damaged(reason)),
            Err(error) => AppendOutcome::NotCommitted(NotCommitted::Refused(error.to_string())),
        }
    }

    fn try_append(&mut self, append: &Append) -> Result<AppendOutcome, LogError> {
        const FENCED: AppendOutcome = AppendOutcome::NotCommitted(NotCommitted::Fenced);
        let (store, room) = (self.store, &append.room);
        let plan = plan_of(&mut self.rooms, store, room)?;
        let mut row = match plan.row {
            Some(row) if row.fence == append.fence && row.last_seq == append.builds_on() => row,
            None if append.builds_on() == Seq::ZERO => {
                let number = self.next_room.map_or_else(|| store.next_room(), Ok)?;
                RoomRow::new(number, append.fence)
            }
            Some(_) | None => return Ok(FENCED),
        };

        // All that may fail comes first: which redactions it begins, and whether its edits come too late.
        let mut redactions = BTreeMap::new();
        let mut late = HashSet::new();
        for entry in append.entries.iter() {
            let Some(target) = entry.target else { continue };
            match entry.kind {
                Kind::Redact => {
                    row.last_redact = entry.seq;
                    if let Some(redaction) = plan.redaction(store, &row, target, entry.seq)? {
                        redactions.insert(target, Some(redaction));
                    }
                }
                // What lies below the floor is gone, though it may not be swept yet.
                Kind::Edit if target >= row.floor => {
                    let is_late = redactions.contains_key(&target) || plan.is_redacted(store, row.number, target)?;
                    late.extend(is_late.then_some(entry.seq));
                }
                _ => {}
            }
        }

        if !redactions.is_empty() {
            plan.redactions.extend(redactions);
            self.planned.redacting = Some(true);
        }
        for entry in append.entries.iter() {
            plan.push(entry, late.contains(&entry.seq));
            row.last_seq = entry.seq;
            self.planned.bytes += entry.weight_bytes() as u64;
        }
        if plan.row.is_none() {
            let next = row.number.0.checked_add(1).expect("there are fewer than 2^32 rooms");
            self.next_room = Some(RoomNumber(next));
        }
        plan.row = Some(row);
        plan.row_changed = true;
        self.planned.appended.insert(room.clone());
        self.planned.appends += 1;
        self.planned.entries += append.entries.len() as u64;
        Ok(AppendOutcome::Committed)
    }

    /// Plans an activation.
    pub fn activate(&mut self, room: &RoomId, with: Activate) -> Result<Activated, LogError> {
        let plan = plan_of(&mut self.rooms, self.store, room)?;
        self.planned.activated.insert(room.clone());
        let Some(row) = &mut plan.row else {
            let fence = Fence { epoch: with.epoch.max(Epoch::new(1)), owner: with.owner };
            return Ok(Activated { tail: LogTail { fence, last_seq: Seq::ZERO }, replaced: Replaced::Nothing });
        };
        let fence = Fence { epoch: with.epoch.max(row.fence.epoch.next()), owner: with.owner };
        let replaced = Replaced::Fence(std::mem::replace(&mut row.fence, fence));
        plan.row_changed = true;
        Ok(Activated { tail: row.tail(), replaced })
    }

    /// Plans a part of a snapshot; of a room that nobody wrote to there is nothing to keep. The only part of a snapshot drops
    /// the older ones with it.
    pub fn snapshot_part(&mut self, part: &SnapshotPart) -> Result<(), LogError> {
        let SnapshotPart { room, seq, .. } = part;
        let Some(row) = plan_of(&mut self.rooms, self.store, room)?.row else { return Ok(()) };
        if part.part == 0 {
            // Another snapshot of the same number may have had more parts.
            self.remove_snapshot(row.number, *seq)?;
        }
        let key = keys::snapshot_part(row.number, *seq, part.part).to_vec();
        self.planned.bytes += part.bytes.len() as u64;
        self.snapshots.insert(key, Some(codec::encode_snapshot_part(&part.bytes)));
        if part.parts == 1 { self.prune_snapshots(room, *seq) } else { Ok(()) }
    }

    /// Plans the end of snapshots, given that `newest` is durable or in this group: all but the newest ones, and all older than
    /// the last redaction, since they may hold traces of what was redacted.
    pub fn prune_snapshots(&mut self, room: &RoomId, newest: Seq) -> Result<(), LogError> {
        let Some(row) = plan_of(&mut self.rooms, self.store, room)?.row else { return Ok(()) };
        let mut seqs = self.store.snapshot_seqs(row.number)?;
        if !seqs.contains(&newest) {
            seqs.push(newest);
            seqs.sort_by(|a, b| b.cmp(a));
        }
        let is_stale = |seq: Seq| seq < row.last_redact && row.last_redact <= newest;
        for (_, seq) in seqs.into_iter().enumerate().filter(|&(at, seq)| at >= SNAPSHOTS_KEPT || is_stale(seq)) {
            self.remove_snapshot(row.number, seq)?;
        }
        Ok(())
    }

    /// Plans the end of a snapshot, stored or planned.
    fn remove_snapshot(&mut self, room: RoomNumber, seq: Seq) -> Result<(), LogError> {
        let prefix = keys::snapshot(room, seq);
        let planned = self.snapshots.iter_mut().filter(|(key, _)| key.starts_with(&prefix));
        planned.for_each(|(_, part)| *part = None);
        self.snapshots.extend(self.store.snapshot_keys(room, seq)?.into_iter().map(|key| (key, None)));
        Ok(())
    }

    /// Writes the batch down; it is empty where nothing is to be stored.
    pub fn finish(mut self) -> (OwnedWriteBatch, Planned) {
        let store = self.store;
        let mut batch = store.db.batch();
        for (room, plan) in &self.rooms {
            let Some(row) = plan.row else { continue };
            if plan.row_changed {
                batch.insert(&store.rooms, keys::room(room), row.encode());
            }
            for (&target, redaction) in &plan.redactions {
                let key = keys::redaction(row.number, target);
                match redaction {
                    Some(redaction) => batch.insert(&store.rooms, key, redaction.encode(room)),
                    None => batch.remove(&store.rooms, key),
                }
            }
            let kept = plan.redacted.range(row.floor..).map(|(_, entry)| entry);
            for entry in plan.fresh.iter().chain(kept) {
                batch.insert(&store.entries, keys::entry(row.number, entry.seq), codec::encode_entry(entry));
            }
            for &(target, edit) in &plan.edits {
                batch.insert(&store.edits, keys::edit(row.number, target, edit), []);
            }
        }
        if let Some(next) = self.next_room {
            batch.insert(&store.rooms, keys::NEXT_ROOM, codec::encode_next_room(next));
        }
        for (key, part) in self.snapshots.drain() {
            match part {
                Some(part) => batch.insert(&store.snapshots, key, part),
                None => batch.remove(&store.snapshots, key),
            }
        }
        for key in self.removed_entries.drain(..) {
            batch.remove(&store.entries, key);
        }
        for key in self.removed_edits.drain(..) {
            batch.remove(&store.edits, key);
        }
        (batch, self.planned)
    }
}

impl RoomPlan {
    /// Adds a new entry, and takes away the bodies of new ones that are no more once it is there. `late` tells that it edits
    /// what was redacted before.
    fn push(&mut self, entry: &Entry, late: bool) {
        let mut entry = entry.clone();
        let seq = entry.seq;
        let about = entry.target.map(|target| (entry.kind, target));
        if let Some((Kind::Edit, target)) = about {
            let is_late = late || self.fresh_mut(target).is_some_and(|target| target.is_redacted());
            if is_late {
                entry.redact();
            }
            self.edits.push((target, seq));
        }
        self.fresh.push(entry);
        if let Some((Kind::Redact, target)) = about {
            let edits = self.edits.iter().filter(|&&(of, _)| of == target).map(|&(_, edit)| edit);
            let doomed = edits.chain([target]).collect::<Vec<_>>();
            for seq in doomed {
                if let Some(entry) = self.fresh_mut(seq) {
                    entry.redact();
                }
            }
        }
    }
}

/// Finds what the group does to a room so far; it starts from what is stored.
fn plan_of<'r>(
    rooms: &'r mut HashMap<RoomId, RoomPlan>,
    store: &Store,
    room: &RoomId,
) -> Result<&'r mut RoomPlan, LogError> {
    if !rooms.contains_key(room) {
        let row = store.room(room)?;
        rooms.insert(room.clone(), RoomPlan::new(row));
    }
    Ok(rooms.get_mut(room).expect("it was just inserted"))
}
