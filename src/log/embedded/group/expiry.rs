//! How a group raises floors and deletes what lies below them.

use rollcall_actors::ports::LogError;
use rollcall_protocol::{Kind, RoomId, Seq};

use super::{Group, plan_of};
use crate::log::embedded::keys;

impl Group<'_> {
    /// Plans a higher floor, as far as a snapshot allows it.
    pub fn expire(&mut self, room: &RoomId, floor: Seq) -> Result<(), LogError> {
        let plan = plan_of(&mut self.rooms, self.store, room)?;
        let Some(row) = &mut plan.row else { return Ok(()) };
        let last = Seq::new(rollcall_protocol::NUMBER_MAX);
        let newest_snapshot = self.store.newest_snapshot(row.number, last)?.unwrap_or_default();
        let floor = floor.min(newest_snapshot.next()).min(row.last_seq.next());
        if floor > row.floor {
            row.floor = floor;
            plan.row_changed = true;
        }
        if row.swept < row.floor {
            self.planned.to_sweep.insert(room.clone());
        }
        Ok(())
    }

    /// Plans the deletion of some more of what lies below the floor.
    pub fn sweep(&mut self, room: &RoomId) -> Result<(), LogError> {
        let plan = plan_of(&mut self.rooms, self.store, room)?;
        let Some(row) = &mut plan.row else { return Ok(()) };
        if row.swept >= row.floor {
            return Ok(());
        }
        let number = row.number;
        let mut removed = Vec::new();
        let mut left = self.slice;
        let mut swept = row.floor;
        for entry in self.store.entries_between(room, number, (row.swept, row.floor.previous())) {
            let (entry, bytes) = entry?;
            if !left.take(bytes) {
                swept = entry.seq;
                break;
            }
            let edit_of = entry.target.filter(|_| entry.kind == Kind::Edit);
            removed.push((entry.seq, edit_of));
        }
        row.swept = swept;
        plan.row_changed = true;
        if row.swept < row.floor {
            self.planned.to_sweep.insert(room.clone());
        }
        for (seq, edit_of) in removed {
            self.removed_entries.push(keys::entry(number, seq));
            self.removed_edits.extend(edit_of.map(|target| keys::edit(number, target, seq)));
        }
        Ok(())
    }
}
