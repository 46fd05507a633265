//! What a client is shown, handed to the judge.

use std::cell::Cell;
use std::rc::Rc;

use rollcall_checker::NO_BODY;
use rollcall_client::{Batch, RoomEvent, RoomEvents};
use rollcall_protocol::Epoch;

use crate::history::{Place, Push};
use crate::payload::body_hash;
use crate::run::Run;

/// Reads a room for a client. Across all its connections, entries must come in one row: the judge is told of each entry, and
/// of a new connection only that it goes on where the reader is.
pub struct Reader {
    run: Rc<Run>,
    place: Place,
    cursor: Rc<Cell<u64>>,
    /// Entries that were fetched to close a gap come without their epoch. From the first of them on, all are kept back until
    /// the log has told their epochs, so that they stay in their order.
    keeps_back: bool,
}

impl Reader {
    /// Begins before the first entry.
    pub fn new(run: Rc<Run>, place: Place, cursor: Rc<Cell<u64>>) -> Self {
        Self { run, place, cursor, keeps_back: false }
    }

    /// Reads until the client is closed.
    pub async fn run(mut self, mut events: RoomEvents) {
        while let Some(event) = events.next().await {
            match event {
                RoomEvent::Joined { after, joined } => self.joined(after.get(), joined.head.get()),
                RoomEvent::Entries(batch) => self.take(&batch),
                RoomEvent::Signal(_) | RoomEvent::Recovered { .. } => {}
                RoomEvent::Expired { from, to } => self.complain(&format!("was told that {from} to {to} are gone")),
                RoomEvent::Diverged { at } => {
                    self.complain(&format!("was told that its place {at:?} is in no history"));
                }
                RoomEvent::Refused(error) => self.complain(&format!("was thrown out: {error}")),
            }
        }
    }

    fn joined(&self, after: u64, head: u64) {
        let cursor = self.cursor.get();
        if after != cursor {
            self.complain(&format!("joined after {after}, but has got everything up to {cursor}"));
        }
        self.run.history.borrow_mut().joined(&self.place, self.run.clock.now_us(), cursor, head);
    }

    fn take(&mut self, batch: &Batch) {
        let t = self.run.clock.now_us();
        for entry in &batch.entries {
            let seq = entry.seq.get();
            let body_hash = entry.body.as_ref().map_or(NO_BODY, |body| body_hash(body.as_str()));
            self.cursor.set(seq);
            let tally = &self.run.tally;
            tally.deliveries_all.set(tally.deliveries_all.get() + 1);
            let push = Push { seq, epoch: batch.epoch.map_or(0, Epoch::get), body_hash, t };
            self.keeps_back |= batch.epoch.is_none();
            if self.keeps_back {
                self.run.kept_back.borrow_mut().push((self.place.clone(), push));
            } else {
                self.run.history.borrow_mut().push(&self.place, &push);
            }
        }
    }

    fn complain(&self, words: &str) {
        self.run.complain(format!("{} in {}: {words}", self.place.conn, self.place.room));
    }
}
