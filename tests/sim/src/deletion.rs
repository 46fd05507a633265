//! The deletion of what has expired: the shipped machine, as the CQL log runs it for a room's owner. It ends with its owner, half-way
//! or not.

use rollcall_actors::fencing::{Answer, Retention, RetentionStep, Statement, Stop};
use rollcall_protocol::Seq;

use crate::owner::{Around, Want};
use crate::sabotage::Sabotage;
use crate::store::{BUCKETS, RoomStore};

/// Added to the numbers of its statements, which are counted apart from those of the owner.
const NUMBERS: u64 = 1 << 62;

/// After so many answers in a row that are unknown it is left to the next owner.
const ATTEMPTS_MAX: u32 = 8;

/// What an owner deletes.
#[derive(Debug, Default)]
pub struct Deletion {
    machine: Option<Retention>,
    statements: u64,
    attempts: u32,
}

impl Deletion {
    /// Tells whether a statement of this number is a deletion's.
    pub fn has_asked(number: u64) -> bool {
        number >= NUMBERS
    }

    /// Begins to delete what lies before a number.
    pub fn begin(&mut self, floor: Seq, around: &Around<'_>, wants: &mut Vec<Want>) {
        let newest = around.rows.and_then(|rows| rows.snapshots.keys().last().copied()).unwrap_or_default();
        let is_trusted = matches!(around.sabotage, Some(Sabotage::SnapshotNotReadBack | Sabotage::DeletedBeforeFloor));
        let snapshot = if is_trusted { floor } else { newest };
        let last_seq = around.rows.map_or(Seq::ZERO, RoomStore::head);
        let (machine, statement) = Retention::start(BUCKETS, floor, snapshot, last_seq);
        self.machine = Some(machine);
        self.attempts = 0;
        self.run(statement, wants);
    }

    /// Takes the answer to a statement.
    pub fn take(&mut self, number: u64, answer: Answer, wants: &mut Vec<Want>) {
        // Of a deletion before.
        if number != NUMBERS + self.statements {
            return;
        }
        self.attempts = if matches!(answer, Answer::Unknown(_)) { self.attempts + 1 } else { 0 };
        let Some(machine) = self.machine.as_mut().filter(|_| self.attempts < ATTEMPTS_MAX) else { return };
        match machine.take(answer) {
            RetentionStep::Run(statement) => self.run(statement, wants),
            RetentionStep::Finished(_) | RetentionStep::Failed(Stop::Unavailable(_)) => self.machine = None,
            RetentionStep::Failed(stop) => wants.push(Want::Damaged(format!("a deletion failed: {stop:?}"))),
        }
    }

    fn run(&mut self, statement: Statement, wants: &mut Vec<Want>) {
        self.statements += 1;
        wants.push(Want::Run(NUMBERS + self.statements, statement, self.attempts));
    }
}
