//! Retention: raises a room's floor and deletes the full buckets below it. It needs no ownership, since full buckets never
//! change; whoever runs it, and however many at once, the floor never falls, and what is deleted lies below it.
//!
//! First the floor, so that readers say that entries have expired, and then bucket by bucket: the edits in it are forgotten, and
//! its rows deleted in one conditional batch. An interrupted run is finished by the next one, with whatever floor it wants.

use rollcall_protocol::Seq;

use super::Buckets;
use super::io::{Answer, FloorRow, MarkKind, Row, Stop};
use super::statement::Statement;

/// One run of a room's retention.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Retention {
    buckets: Buckets,
    /// The floor that is wanted, at most what a snapshot and the log's end allow.
    wanted: Seq,
    step: Step,
    running: Statement,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    ReadingFloor,
    RaisingFloor,
    /// Looking for edits in a bucket that is to be deleted.
    Reading {
        bucket: u64,
        floor: Seq,
    },
    Forgetting {
        bucket: u64,
        floor: Seq,
    },
    Expiring {
        bucket: u64,
        floor: Seq,
    },
    NotingSwept {
        floor: Seq,
    },
}

/// What a retention does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetentionStep {
    /// Run this statement, and give one answer. It may be the last one again: wait a little first where that was unknown.
    Run(Statement),
    /// All is deleted that lies in full buckets below this floor; none where the room never had one.
    Finished(Option<Seq>),
    /// It cannot be done now, or not at all.
    Failed(Stop),
}

impl Retention {
    /// Starts a run with its first statement.
    ///
    /// `wanted` is lowered to what can be rebuilt: one above `snapshot`, the number of a snapshot that is whole and was read back,
    /// and one above `last_seq`, the log's last number. With 0 an earlier run is finished and nothing else.
    pub fn start(buckets: Buckets, wanted: Seq, snapshot: Seq, last_seq: Seq) -> (Self, Statement) {
        let wanted = wanted.min(snapshot.next()).min(last_seq.next());
        let retention = Self { buckets, wanted, step: Step::ReadingFloor, running: Statement::ReadFloor };
        (retention, Statement::ReadFloor)
    }

    /// Takes the answer to the last statement.
    ///
    /// # Panics
    /// Where the answer does not fit the statement.
    pub fn take(&mut self, answer: Answer) -> RetentionStep {
        match (self.step, answer) {
            (_, Answer::Refused(reason)) => RetentionStep::Failed(Stop::Unavailable(reason)),
            (_, Answer::Garbled(reason)) => RetentionStep::Failed(Stop::Damaged(reason)),
            (Step::RaisingFloor, Answer::Unknown(_) | Answer::Applied | Answer::NotApplied(_)) => {
                self.run(Step::ReadingFloor, Statement::ReadFloor)
            }
            (_, Answer::Unknown(_)) => RetentionStep::Run(self.running.clone()),
            (Step::ReadingFloor, Answer::Floor(row)) => self.take_floor(row),
            (Step::Reading { bucket, floor }, Answer::Rows(rows)) => self.forget_edits(bucket, floor, &rows),
            (Step::Forgetting { bucket, floor }, Answer::Done) => self.expire(bucket, floor),
            (Step::Expiring { bucket, floor }, Answer::Applied) => self.sweep_from(bucket + 1, floor, true),
            (Step::Expiring { bucket, .. }, Answer::NotApplied(found)) => {
                let reason = format!("bucket {bucket} lies below the floor and is not full: {found:?}");
                RetentionStep::Failed(Stop::Damaged(reason))
            }
            (Step::NotingSwept { floor }, Answer::Applied | Answer::NotApplied(_)) => {
                RetentionStep::Finished(Some(floor))
            }
            (step, answer) => panic!("{answer:?} is no answer to {step:?}"),
        }
    }

    fn run(&mut self, step: Step, statement: Statement) -> RetentionStep {
        self.step = step;
        self.running = statement.clone();
        RetentionStep::Run(statement)
    }

    fn take_floor(&mut self, row: Option<FloorRow>) -> RetentionStep {
        let floor = row.map_or(Seq::FIRST, |row| row.floor);
        if self.wanted > floor {
            let statement = Statement::RaiseFloor { expected: row.map(|row| row.floor), floor: self.wanted };
            return self.run(Step::RaisingFloor, statement);
        }
        match row {
            Some(FloorRow { floor, swept }) => self.sweep_from(swept, floor, false),
            None => RetentionStep::Finished(None),
        }
    }

    /// Deletes the next bucket, if all of it lies below the floor. `deleted` tells whether this run has deleted one.
    fn sweep_from(&mut self, bucket: u64, floor: Seq, deleted: bool) -> RetentionStep {
        if bucket <= self.buckets.greatest() && self.buckets.last(bucket) < floor {
            let (after, through) = (self.buckets.before(bucket), self.buckets.last(bucket));
            return self.run(Step::Reading { bucket, floor }, Statement::ReadRows { bucket, after, through });
        }
        if deleted {
            return self.run(Step::NotingSwept { floor }, Statement::NoteSwept { bucket });
        }
        RetentionStep::Finished(Some(floor))
    }

    fn forget_edits(&mut self, bucket: u64, floor: Seq, rows: &[Row]) -> RetentionStep {
        let marks = rows.iter().filter_map(|row| row.mark);
        let edits: Vec<_> =
            marks.filter(|mark| mark.kind == MarkKind::Edit).map(|mark| (mark.target, mark.seq)).collect();
        if edits.is_empty() {
            return self.expire(bucket, floor);
        }
        self.run(Step::Forgetting { bucket, floor }, Statement::ForgetEdits { edits })
    }

    fn expire(&mut self, bucket: u64, floor: Seq) -> RetentionStep {
        let last_seq = self.buckets.last(bucket);
        self.run(Step::Expiring { bucket, floor }, Statement::ExpireBucket { bucket, last_seq })
    }
}
