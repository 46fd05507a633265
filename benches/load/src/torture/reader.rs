//! What a client is shown, handed to the judge.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use rollcall_checker::NO_BODY;
use rollcall_client::{Batch, RoomEvent, RoomEvents};
use rollcall_protocol::Epoch;

use super::talker::Talker;
use crate::history::{Place, Push, Shown};
use crate::payload::{body_hash, due_us};
use crate::run::Run;

/// Reads a room for one life of a client. Across all its connections, entries must come in one row: the judge is told of each
/// entry, and of a new connection only that it goes on where the reader is.
pub struct Reader {
    run: Rc<Run>,
    place: Place,
    /// Where the client is, through all its lives.
    cursor: Rc<Cell<u64>>,
    talker: Rc<RefCell<Talker>>,
    /// Whether this life has joined the room before.
    has_joined: bool,
    /// Entries that were fetched to close a gap come without their epoch. From the first of them on, all that is shown is kept back
    /// until the log has told their epochs, so that it stays in its order.
    keeps_back: bool,
}

impl Reader {
    /// Begins a life's reading where the client is.
    pub fn new(run: Rc<Run>, place: Place, cursor: Rc<Cell<u64>>, talker: Rc<RefCell<Talker>>) -> Self {
        let keeps_back = run.history.borrow().keeps_back();
        Self { run, place, cursor, talker, has_joined: false, keeps_back }
    }

    /// Reads until the client is closed.
    ///
    /// # Errors
    /// Where the outcome of an earlier life's write cannot be told.
    pub async fn run(mut self, mut events: RoomEvents) -> anyhow::Result<()> {
        while let Some(event) = events.next().await {
            match event {
                RoomEvent::Joined { after, joined } => self.joined(after.get(), joined.head.get()),
                RoomEvent::Entries(batch) => self.take(&batch),
                RoomEvent::Signal(_) => {}
                RoomEvent::Recovered { write, outcome } => self.talker.borrow_mut().recovered(&write, outcome)?,
                RoomEvent::Expired { from, to } => self.complain(&format!("was told that {from} to {to} are gone")),
                RoomEvent::Diverged { at } => {
                    self.complain(&format!("was told that its place {} is in no history", at.seq));
                }
                RoomEvent::Refused(error) => self.complain(&format!("was thrown out: {error}")),
            }
        }
        Ok(())
    }

    /// Goes on where it was. A new life may have kept an earlier place, never a later one; a new connection goes on exactly.
    fn joined(&mut self, after: u64, head: u64) {
        let cursor = self.cursor.get();
        let may_go_back = !std::mem::replace(&mut self.has_joined, true);
        if after > cursor || (after < cursor && !may_go_back) {
            self.complain(&format!("joined after {after}, but has got everything up to {cursor}"));
        }
        self.cursor.set(after);
        self.show(Shown::Joined { t: self.run.clock.now_us(), after, head });
    }

    fn take(&mut self, batch: &Batch) {
        let t = self.run.clock.now_us();
        for entry in &batch.entries {
            let seq = entry.seq.get();
            let body_hash = entry.body.as_ref().map_or(NO_BODY, |body| body_hash(body.as_str()));
            self.cursor.set(seq);
            let tally = &self.run.tally;
            if let Some(due_us) = entry.body.as_ref().and_then(due_us) {
                tally.delivery.borrow_mut().record_us(t.saturating_sub(due_us));
            }
            tally.deliveries_all.set(tally.deliveries_all.get() + 1);
            let push = Push { seq, epoch: batch.epoch.map_or(0, Epoch::get), body_hash, t };
            self.keeps_back |= batch.epoch.is_none();
            self.show(Shown::Entry(push));
        }
    }

    fn show(&self, shown: Shown) {
        self.run.history.borrow_mut().show(&self.place, shown, self.keeps_back);
    }

    fn complain(&self, words: &str) {
        self.run.complain(format!("{} in {}: {words}", self.place.conn, self.place.room));
    }
}
