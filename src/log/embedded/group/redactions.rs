//! How bodies are taken away: slice by slice, since a target may have any number of edits.
//!
//! ```text
//! redact committed, with a redaction row ──▶ slice ──▶ slice ──▶ … ──▶ last slice, without the row
//!                                    reads hide what the row covers
//! ```
//! The row is stored with the redact entry, so that no read that sees the entry shows a body; a crash between slices leaves the
//! row, and the next opening goes on from it.

use rollcall_actors::ports::LogError;
use rollcall_protocol::{RoomId, Seq};

use super::{Group, RoomPlan, Slice, plan_of};
use crate::log::embedded::codec::{self, Redaction, RoomRow};
use crate::log::embedded::keys::RoomNumber;
use crate::log::embedded::store::Store;

impl RoomPlan {
    /// Finds what a redact entry, numbered `by`, begins on what was committed before the group; none where nothing of it has a
    /// body left, or nothing but new entries of the group.
    pub(super) fn redaction(
        &self,
        store: &Store,
        row: &RoomRow,
        target: Seq,
        by: Seq,
    ) -> Result<Option<Redaction>, LogError> {
        if let Some(begun) = self.begun(store, row.number, target)? {
            return Ok(Some(Redaction { before: by, ..begun }));
        }
        let has_bodies = if target >= row.floor {
            !self.redacted.contains_key(&target) && store.is_redacted(row.number, target)? == Some(false)
        } else {
            // Expired itself, but edits of it may not be.
            store.next_edit(row.number, target, row.floor..by)?.is_some()
        };
        Ok(has_bodies.then(|| Redaction::new(by)))
    }

    /// Tells whether an earlier entry has lost its body, or is about to.
    pub(super) fn is_redacted(&self, store: &Store, room: RoomNumber, target: Seq) -> Result<bool, LogError> {
        Ok(self.redacted.contains_key(&target)
            || self.begun(store, room, target)?.is_some()
            || store.is_redacted(room, target)? == Some(true))
    }

    fn begun(&self, store: &Store, room: RoomNumber, target: Seq) -> Result<Option<Redaction>, LogError> {
        match self.redactions.get(&target) {
            Some(planned) => Ok(*planned),
            None => store.redaction(room, target),
        }
    }
}

impl Group<'_> {
    /// Plans the end of some more bodies of redacted entries, and says in `redacting` whether any are left.
    pub fn redact_more(&mut self) -> Result<(), LogError> {
        let store = self.store;
        let mut left = self.slice;
        // What this group begins is not stored yet, so it is not among these.
        let mut is_done = self.planned.redacting.is_none();
        for stored in store.redactions() {
            let stored = stored?;
            if !self.redact_some(&stored.room, stored.target, &mut left)? {
                is_done = false;
                break;
            }
        }
        self.planned.redacting = Some(!is_done);
        Ok(())
    }

    /// Takes bodies of one target and its edits away as long as the slice lasts; true where none is left.
    fn redact_some(&mut self, room: &RoomId, target: Seq, left: &mut Slice) -> Result<bool, LogError> {
        let store = self.store;
        let plan = plan_of(&mut self.rooms, store, room)?;
        let Some(row) = plan.row else {
            return Err(LogError::Damaged(format!("room {room} has a redaction and no row")));
        };
        let Some(mut redaction) = plan.begun(store, row.number, target)? else { return Ok(true) };

        let mut redacted = Vec::new();
        let mut is_done = false;
        loop {
            let seq = match redaction.next {
                Seq::ZERO => target,
                next => {
                    let rest = next.max(row.floor)..redaction.before;
                    let Some(edit) = store.next_edit(row.number, target, rest)? else {
                        is_done = true;
                        break;
                    };
                    edit
                }
            };
            // What lies below the floor is swept, with its body.
            if seq >= row.floor
                && let Some(value) = store.entry(row.number, seq)?
            {
                if !left.take(value.len()) {
                    break;
                }
                if !codec::is_redacted(&value) {
                    let mut entry = store.decode(room, seq, &value)?;
                    entry.redact();
                    redacted.push(entry);
                }
            }
            redaction.next = if redaction.next == Seq::ZERO { Seq::FIRST } else { seq.next() };
        }
        self.planned.redacted += redacted.len() as u64;
        plan.redacted.extend(redacted.into_iter().map(|entry| (entry.seq, entry)));
        plan.redactions.insert(target, (!is_done).then_some(redaction));
        Ok(is_done)
    }
}
