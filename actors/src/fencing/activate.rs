//! Activation: takes the fence of a room's last bucket, and finishes what earlier owners began.

use std::cmp::max;
use std::collections::VecDeque;

use rollcall_protocol::limits::BATCH_ENTRIES_MAX;
use rollcall_protocol::{Epoch, OwnerId, Seq};

use super::Buckets;
use super::io::{Answer, FloorRow, Mark, Row, Stop};
use super::redact::{Finishing, Progress};
use super::statement::Statement;
use super::tip::{Tip, TipSearch};
use crate::ports::{Activated, Fence, LogTail, Replaced};

/// A machine that does not own its room yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Activation {
    buckets: Buckets,
    owner: OwnerId,
    /// The epoch to take: above every one that was read.
    epoch: Epoch,
    /// The first epoch that this activation asked for; none before. A row of this owner with a lower one is an earlier
    /// activation's.
    asked: Option<Epoch>,
    /// The fence that the last F asked to replace. A fence never comes back once it was replaced, so a fence of our own is in
    /// the place of this one. Of several buckets the last one's: who has only a full one, and not the next, is no owner.
    replaced: Replaced,
    /// Redactions and edits up to this number are finished.
    snapshot: Seq,
    step: Step,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step {
    /// Looking for the last bucket.
    Searching(TipSearch),
    /// R: whose is it?
    Reading { bucket: u64, place: Place },
    /// F.
    Fencing { bucket: u64 },
    /// R again, after F was applied: `last_seq` may have moved until then, and moves no more without us.
    Confirming { bucket: u64 },
    /// C.
    Creating { bucket: u64 },
    /// Reading the last batch, or what of it follows the snapshot, for what may not be finished.
    Gathering { tail: LogTail, after: Seq, through: Seq, marks: VecDeque<Mark> },
    /// An entry is not there: has it expired meanwhile?
    ReadingFloor { tail: LogTail, missing: Seq, marks: VecDeque<Mark> },
    /// Finishing what may not be finished.
    Finishing { tail: LogTail, finishing: Finishing },
}

/// What is known of a bucket that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    /// It was there before, and stays.
    Exists,
    /// It follows one that is ours and full.
    Next,
}

/// What an activation does after an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Activating {
    Run(Statement),
    /// Run the same once more.
    RunAgain,
    /// The room is owned, or was never written to: then the fence is stored with the first write.
    Owner(Activated),
    Stop(Stop),
}

impl Activation {
    pub fn new(buckets: Buckets, owner: OwnerId, epoch: Epoch, snapshot: Seq, hint: u64) -> Self {
        let step = Step::Searching(TipSearch::new(buckets, hint));
        let epoch = max(epoch, Epoch::new(1));
        Self { buckets, owner, epoch, asked: None, replaced: Replaced::Nothing, snapshot, step }
    }

    /// Returns the first statement.
    pub fn statement(&self) -> Statement {
        match &self.step {
            Step::Searching(search) => search.statement(),
            _ => unreachable!("an activation starts with a search"),
        }
    }

    /// Takes the answer to the last statement.
    pub fn take(&mut self, answer: Answer) -> Activating {
        match answer {
            Answer::Unknown(_) => match self.step {
                // Read what became of it: a fence of our own is as good as an applied statement.
                Step::Fencing { bucket } => self.read(bucket, Place::Exists),
                Step::Creating { bucket } => self.read(bucket, Place::Next),
                _ => Activating::RunAgain,
            },
            Answer::Refused(reason) => Activating::Stop(Stop::Unavailable(reason)),
            Answer::Garbled(reason) => Activating::Stop(Stop::Damaged(reason)),
            answer => self.take_definite(answer),
        }
    }

    fn take_definite(&mut self, answer: Answer) -> Activating {
        match (&mut self.step, answer) {
            (Step::Searching(search), Answer::Fence(read)) => {
                let tip = search.take(read);
                let (greatest, next) = (search.greatest_epoch(), search.statement());
                match tip {
                    None => Activating::Run(next),
                    Some(Tip::Empty) => self.confirm_empty(),
                    Some(Tip::Bucket { bucket, tail }) => {
                        self.rise_above(greatest);
                        self.fence(bucket, tail.fence)
                    }
                }
            }
            (&mut Step::Reading { bucket, place }, Answer::Fence(read)) => match (read, place) {
                (Some(tail), _) if self.is_own(tail.fence) => self.confirm(bucket, tail),
                (Some(tail), _) => self.fence(bucket, tail.fence),
                (None, Place::Next) => self.create(bucket),
                (None, Place::Exists) => damaged(format!("bucket {bucket} was there and is gone")),
            },
            (&mut Step::Fencing { bucket }, Answer::Applied) => {
                self.step = Step::Confirming { bucket };
                Activating::Run(Statement::ReadFence { bucket })
            }
            (&mut Step::Fencing { bucket }, Answer::NotApplied(_)) => self.read(bucket, Place::Exists),
            (&mut Step::Confirming { bucket }, Answer::Fence(read)) => match read {
                Some(tail) if self.is_own(tail.fence) => self.confirm(bucket, tail),
                // Somebody came after us. To fence them in turn would go on for ever.
                Some(_) => Activating::Stop(Stop::Fenced),
                None => damaged(format!("bucket {bucket} was there and is gone")),
            },
            (&mut Step::Creating { bucket }, Answer::Applied) => {
                let tail = LogTail { fence: self.asked_for_fence(), last_seq: self.buckets.before(bucket) };
                self.gather(tail)
            }
            (&mut Step::Creating { bucket }, Answer::NotApplied(_)) => self.read(bucket, Place::Next),
            (Step::Gathering { .. }, Answer::Rows(rows)) => self.take_rows(&rows),
            (Step::ReadingFloor { .. }, Answer::Floor(row)) => self.take_floor(row),
            (Step::Finishing { tail, finishing }, answer) => match finishing.take(answer) {
                Progress::Run(statement) => Activating::Run(statement),
                Progress::Finished => Activating::Owner(Activated { tail: *tail, replaced: self.replaced }),
            },
            (step, answer) => panic!("{answer:?} is no answer to {step:?}"),
        }
    }

    fn rise_above(&mut self, read: Epoch) {
        self.epoch = max(self.epoch, read.next());
    }

    fn is_own(&self, fence: Fence) -> bool {
        fence.owner == self.owner && self.asked.is_some_and(|first| fence.epoch >= first)
    }

    /// Returns the fence to ask for now.
    fn asked_for_fence(&mut self) -> Fence {
        self.asked.get_or_insert(self.epoch);
        Fence { epoch: self.epoch, owner: self.owner }
    }

    fn read(&mut self, bucket: u64, place: Place) -> Activating {
        self.step = Step::Reading { bucket, place };
        Activating::Run(Statement::ReadFence { bucket })
    }

    fn fence(&mut self, bucket: u64, expected: Fence) -> Activating {
        self.rise_above(expected.epoch);
        self.replaced = Replaced::Fence(expected);
        self.step = Step::Fencing { bucket };
        Activating::Run(Statement::TakeFence { bucket, expected, fence: self.asked_for_fence() })
    }

    fn create(&mut self, bucket: u64) -> Activating {
        self.step = Step::Creating { bucket };
        let last_seq = self.buckets.before(bucket);
        Activating::Run(Statement::CreateBucket { bucket, fence: self.asked_for_fence(), last_seq })
    }

    /// The bucket is ours: the log ends here, or goes on in the next one.
    fn confirm(&mut self, bucket: u64, tail: LogTail) -> Activating {
        if !self.buckets.can_end_at(bucket, tail.last_seq) {
            return damaged(format!("bucket {bucket} cannot end with {}", tail.last_seq));
        }
        if tail.last_seq == self.buckets.last(bucket) { self.read(bucket + 1, Place::Next) } else { self.gather(tail) }
    }

    fn confirm_empty(&mut self) -> Activating {
        if self.snapshot > Seq::ZERO {
            return damaged(format!("there is a snapshot at {}, but no entry", self.snapshot));
        }
        let fence = self.asked_for_fence();
        self.own(LogTail { fence, last_seq: Seq::ZERO })
    }

    fn own(&self, tail: LogTail) -> Activating {
        Activating::Owner(Activated { tail, replaced: self.replaced })
    }

    /// Reads the entries that may not be finished, bucket by bucket: those of the last batch. An owner appends only after it has
    /// finished all before, and becomes one only after that, so that an activation is short however long ago a snapshot was.
    fn gather(&mut self, tail: LogTail) -> Activating {
        if self.snapshot > tail.last_seq {
            return damaged(format!(
                "there is a snapshot at {}, but the log ends with {}",
                self.snapshot, tail.last_seq
            ));
        }
        let before_last_batch = tail.last_seq.get().saturating_sub(BATCH_ENTRIES_MAX as u64);
        self.gather_after(max(self.snapshot, Seq::new(before_last_batch)), tail, VecDeque::new())
    }

    fn gather_after(&mut self, after: Seq, tail: LogTail, marks: VecDeque<Mark>) -> Activating {
        if after == tail.last_seq {
            let (finishing, first) = Finishing::start(self.buckets, marks);
            self.step = Step::Finishing { tail, finishing };
            return first.map_or(self.own(tail), Activating::Run);
        }
        let bucket = self.buckets.of(after.next());
        let through = tail.last_seq.min(self.buckets.last(bucket));
        self.step = Step::Gathering { tail, after, through, marks };
        Activating::Run(Statement::ReadRows { bucket, after, through })
    }

    fn take_rows(&mut self, rows: &[Row]) -> Activating {
        let Step::Gathering { tail, after, through, marks } = &mut self.step else {
            unreachable!("rows were asked for");
        };
        let (tail, mut after, through) = (*tail, *after, *through);
        for row in rows {
            if row.seq != after.next() {
                break;
            }
            after = row.seq;
            marks.extend(row.mark);
        }
        let marks = std::mem::take(marks);
        if after == through {
            return self.gather_after(through, tail, marks);
        }
        self.step = Step::ReadingFloor { tail, missing: after.next(), marks };
        Activating::Run(Statement::ReadFloor)
    }

    /// Entries expire only below a newer snapshot than the one that we know, up to which all is finished.
    fn take_floor(&mut self, row: Option<FloorRow>) -> Activating {
        let Step::ReadingFloor { tail, missing, marks } = &mut self.step else {
            unreachable!("the floor was asked for");
        };
        let (tail, missing, marks) = (*tail, *missing, std::mem::take(marks));
        match row {
            Some(FloorRow { floor, .. }) if floor > tail.last_seq.next() => Activating::Stop(Stop::Fenced),
            Some(FloorRow { floor, .. }) if floor > missing => self.gather_after(floor.previous(), tail, marks),
            _ => damaged(format!("entry {missing} is missing")),
        }
    }
}

fn damaged(reason: String) -> Activating {
    Activating::Stop(Stop::Damaged(reason))
}
