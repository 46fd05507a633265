//! The deletion of what has expired: the shipped machine, as the CQL log runs it for a room's owner. It ends with its owner, half-way
//! or not; one that fails is reported, and the room core has it tried again.

use rollcall_actors::fencing::{Answer, Retention, RetentionStep, Statement, Stop};
use rollcall_protocol::Seq;

use crate::owner::{Around, Want};
use crate::sabotage::Sabotage;
use crate::store::{BUCKETS, RoomStore};

/// Added to the numbers of its statements, which are counted apart from those of the owner.
const NUMBERS: u64 = 1 << 62;

/// After so many answers in a row that are unknown it has failed.
const ATTEMPTS_MAX: u32 = 8;

/// What an owner deletes.
#[derive(Debug, Default)]
pub struct Deletion {
    machine: Option<Retention>,
    /// What is deleted lies before this number.
    floor: Seq,
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
        self.floor = floor;
        self.attempts = 0;
        self.run(statement, wants);
    }

    /// Takes the answer to a statement, and returns what lies before which number was deleted or could not be, where it has ended.
    pub fn take(&mut self, number: u64, answer: Answer, wants: &mut Vec<Want>) -> Option<(Seq, bool)> {
        // Of a deletion before.
        if number != NUMBERS + self.statements {
            return None;
        }
        self.attempts = if matches!(answer, Answer::Unknown(_)) { self.attempts + 1 } else { 0 };
        let machine = self.machine.as_mut()?;
        let step = if self.attempts < ATTEMPTS_MAX {
            machine.take(answer)
        } else {
            RetentionStep::Failed(Stop::OutcomeUnknown)
        };
        let is_done = match step {
            RetentionStep::Run(statement) => {
                self.run(statement, wants);
                return None;
            }
            RetentionStep::Finished(_) => true,
            RetentionStep::Failed(Stop::Unavailable(_) | Stop::OutcomeUnknown) => false,
            RetentionStep::Failed(stop) => {
                wants.push(Want::Damaged(format!("a deletion failed: {stop:?}")));
                false
            }
        };
        self.machine = None;
        Some((self.floor, is_done))
    }

    fn run(&mut self, statement: Statement, wants: &mut Vec<Want>) {
        self.statements += 1;
        wants.push(Want::Run(NUMBERS + self.statements, statement, self.attempts));
    }
}
