//! The owner of a room: appends one batch at a time, and opens the next bucket when one is full.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use rollcall_protocol::{Entry, Seq};

use super::Buckets;
use super::batch::Batch;
use super::io::{Answer, Looked, Mark, Stop, Ticket};
use super::late::{targets_to_look_at, without_late_bodies};
use super::redact::{Finishing, Progress};
use super::resolve::{Verdict, verdict_of_fence, verdict_of_writers};
use super::statement::Statement;
use super::turn::{Running, Turn};
use crate::ports::{AppendOutcome, Fence, LogTail, NotCommitted};

/// A machine that owns its room, as far as it knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Owner {
    buckets: Buckets,
    fence: Fence,
    /// Where the next entry goes.
    bucket: u64,
    /// Whether that bucket is there. Bucket 0 is made by the first write, every other one when the one before is full.
    exists: bool,
    /// The last committed number.
    last_seq: Seq,
    /// The last number that was given to us.
    given: Seq,
    queue: VecDeque<Batch>,
    work: Option<Work>,
}

/// What the statement under way is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Work {
    /// C.
    Creating,
    /// Looking at the targets of a batch's edits, the last of `targets` now. Nothing of the batch was sent yet.
    Looking { batch: Batch, targets: Vec<Seq>, redacted: BTreeSet<Seq> },
    /// A. `unknown` has the first attempt's error once nobody knew what became of it.
    Appending { batch: Batch, unknown: Option<String> },
    /// Another owner is there: reading who wrote the batch's numbers.
    Resolving { batch: Batch },
    /// The batch is committed; `fenced` tells that another owner is there.
    Finishing { batch: Batch, finishing: Finishing, fenced: bool },
    /// Its answer does not matter any more.
    Abandoned,
}

impl Owner {
    pub fn new(buckets: Buckets, tail: LogTail) -> Self {
        let LogTail { fence, last_seq } = tail;
        let bucket = buckets.of(last_seq.next());
        let exists = last_seq > Seq::ZERO;
        Self { buckets, fence, bucket, exists, last_seq, given: last_seq, queue: VecDeque::new(), work: None }
    }

    /// Returns the appends that were not sent.
    pub fn into_waiting(self) -> impl Iterator<Item = Ticket> {
        self.queue.into_iter().map(|batch| batch.ticket)
    }

    pub fn append(&mut self, ticket: Ticket, entries: Arc<[Entry]>, turn: &mut Turn<'_>) {
        let batch = Batch { ticket, entries };
        batch.assert_well_formed(self.buckets);
        if batch.fence() != self.fence || batch.before() != self.given {
            return turn.settle(ticket, AppendOutcome::NotCommitted(NotCommitted::Fenced));
        }
        self.given = batch.last();
        self.queue.push_back(batch);
        self.go_on(turn);
    }

    /// Takes the answer to the statement under way; a reason ends the ownership.
    pub fn answer(&mut self, answered: Running, answer: Answer, turn: &mut Turn<'_>) -> Option<Stop> {
        let work = self.work.take().expect("an answer is to some work");
        match (work, answer) {
            (Work::Abandoned, _) => self.go_on(turn),
            (work, Answer::Garbled(reason)) => return self.end(work, Stop::Damaged(reason), turn),
            (Work::Appending { batch, unknown }, answer) => {
                return self.take_append(answered, batch, unknown, answer, turn);
            }
            (work @ (Work::Creating | Work::Looking { .. }), Answer::Refused(reason)) => {
                self.refuse(work, &reason, turn);
            }
            // What follows an append that is committed or unknown is asked until it is answered, or the deadline comes.
            (work, Answer::Unknown(_) | Answer::Refused(_)) => {
                self.work = Some(work);
                turn.run_again(answered);
            }
            (Work::Creating, answer) => return self.take_create(answer, turn),
            (Work::Looking { batch, targets, redacted }, Answer::Looked(looked)) => {
                self.take_look(batch, targets, redacted, looked, turn);
            }
            (Work::Resolving { batch }, Answer::Writers(writers)) => {
                let verdict = verdict_of_writers(&batch, &writers);
                return self.take_verdict(batch, verdict, turn);
            }
            (Work::Finishing { batch, mut finishing, fenced }, answer) => match finishing.take(answer) {
                Progress::Run(statement) => {
                    turn.run(statement);
                    self.work = Some(Work::Finishing { batch, finishing, fenced });
                }
                Progress::Finished => return self.commit(&batch, fenced, turn),
            },
            (work, answer) => panic!("{answer:?} is no answer to {work:?}"),
        }
        None
    }

    /// Tells an append's waiter what is known now. What was not sent is refused, with all that builds on it; what was sent
    /// stays unknown, and its numbers must never be used again, so the ownership ends.
    pub fn give_up(&mut self, ticket: Ticket, turn: &mut Turn<'_>) -> Option<Stop> {
        const LATE: &str = "the store did not answer in time";
        match &self.work {
            Some(Work::Looking { batch, .. }) if batch.ticket == ticket => {
                let work = self.work.replace(Work::Abandoned).expect("it was just seen");
                self.refuse(work, LATE, turn);
            }
            Some(Work::Appending { batch, .. } | Work::Resolving { batch } | Work::Finishing { batch, .. })
                if batch.ticket == ticket =>
            {
                let work = self.work.take().expect("it was just seen");
                return self.end(work, Stop::OutcomeUnknown, turn);
            }
            _ => {
                let at = self.queue.iter().position(|batch| batch.ticket == ticket)?;
                self.given = self.queue[at].before();
                let refused = self.queue.split_off(at);
                refuse_all(refused, LATE, turn);
            }
        }
        None
    }

    /// Starts the next batch, where nothing is under way.
    fn go_on(&mut self, turn: &mut Turn<'_>) {
        if self.work.is_some() || self.queue.is_empty() {
            return;
        }
        if !self.exists {
            return self.create(turn);
        }
        let batch = self.queue.pop_front().expect("it is not empty");
        let targets = targets_to_look_at(&batch.entries);
        self.look_or_send(batch, targets, BTreeSet::new(), turn);
    }

    fn create(&mut self, turn: &mut Turn<'_>) {
        let (bucket, fence) = (self.bucket, self.fence);
        turn.run(Statement::CreateBucket { bucket, fence, last_seq: self.buckets.before(bucket) });
        self.work = Some(Work::Creating);
    }

    fn take_create(&mut self, answer: Answer, turn: &mut Turn<'_>) -> Option<Stop> {
        let own = LogTail { fence: self.fence, last_seq: self.buckets.before(self.bucket) };
        match answer {
            Answer::Applied => {}
            // A first attempt, whose outcome nobody knew.
            Answer::NotApplied(Some(found)) if found == own => {}
            Answer::NotApplied(Some(found)) if found.fence != self.fence => return Some(Stop::Fenced),
            Answer::NotApplied(found) => {
                return Some(Stop::Damaged(format!("bucket {} is there as {found:?}", self.bucket)));
            }
            answer => panic!("{answer:?} is no answer to the creation of a bucket"),
        }
        self.exists = true;
        self.go_on(turn);
        None
    }

    fn look_or_send(&mut self, batch: Batch, targets: Vec<Seq>, redacted: BTreeSet<Seq>, turn: &mut Turn<'_>) {
        if let Some(&seq) = targets.last() {
            turn.run(Statement::LookAt { bucket: self.buckets.of(seq), seq });
            self.work = Some(Work::Looking { batch, targets, redacted });
            return;
        }
        let batch = Batch { entries: without_late_bodies(batch.entries, redacted), ..batch };
        let (bucket, fence, last_seq) = (self.bucket, self.fence, self.last_seq);
        assert_eq!(batch.before(), last_seq, "an append builds on the last committed number");
        turn.run(Statement::Append { bucket, fence, last_seq, entries: Arc::clone(&batch.entries) });
        self.work = Some(Work::Appending { batch, unknown: None });
    }

    fn take_look(
        &mut self,
        batch: Batch,
        mut targets: Vec<Seq>,
        mut redacted: BTreeSet<Seq>,
        looked: Looked,
        turn: &mut Turn<'_>,
    ) {
        let target = targets.pop().expect("it was looked at");
        if looked == Looked::Redacted {
            redacted.insert(target);
        }
        self.look_or_send(batch, targets, redacted, turn);
    }

    fn take_append(
        &mut self,
        answered: Running,
        batch: Batch,
        unknown: Option<String>,
        answer: Answer,
        turn: &mut Turn<'_>,
    ) -> Option<Stop> {
        match (answer, unknown) {
            (Answer::Applied, _) => self.finish(batch, false, turn),
            (Answer::NotApplied(found), _) => {
                let verdict = verdict_of_fence(&batch, found);
                self.take_verdict(batch, verdict, turn)
            }
            (Answer::Refused(reason), None) => {
                self.refuse(Work::Appending { batch, unknown: None }, &reason, turn);
                None
            }
            // The identical batch again, until a conditional answer says what became of it.
            (Answer::Unknown(reason) | Answer::Refused(reason), unknown) => {
                self.work = Some(Work::Appending { batch, unknown: Some(unknown.unwrap_or(reason)) });
                turn.run_again(answered);
                None
            }
            (answer, _) => panic!("{answer:?} is no answer to an append"),
        }
    }

    fn take_verdict(&mut self, batch: Batch, verdict: Verdict, turn: &mut Turn<'_>) -> Option<Stop> {
        match verdict {
            Verdict::Committed => self.finish(batch, false, turn),
            Verdict::CommittedAndFenced => self.finish(batch, true, turn),
            Verdict::Fenced => {
                turn.settle(batch.ticket, AppendOutcome::NotCommitted(NotCommitted::Fenced));
                Some(Stop::Fenced)
            }
            Verdict::AskWriters => {
                let (after, through) = (batch.before(), batch.last());
                turn.run(Statement::ReadWriters { bucket: self.bucket, after, through });
                self.work = Some(Work::Resolving { batch });
                None
            }
            Verdict::Expired => self.end(Work::Resolving { batch }, Stop::OutcomeUnknown, turn),
            Verdict::Damaged(reason) => self.end(Work::Resolving { batch }, Stop::Damaged(reason), turn),
        }
    }

    /// The batch is there: finishes what it changes elsewhere before anybody hears of it.
    fn finish(&mut self, batch: Batch, fenced: bool, turn: &mut Turn<'_>) -> Option<Stop> {
        self.last_seq = batch.last();
        let marks = batch.entries.iter().filter_map(Mark::of).collect();
        let (finishing, first) = Finishing::start(self.buckets, marks);
        let Some(first) = first else { return self.commit(&batch, fenced, turn) };
        turn.run(first);
        self.work = Some(Work::Finishing { batch, finishing, fenced });
        None
    }

    fn commit(&mut self, batch: &Batch, fenced: bool, turn: &mut Turn<'_>) -> Option<Stop> {
        turn.settle(batch.ticket, AppendOutcome::Committed);
        if fenced {
            return Some(Stop::Fenced);
        }
        if self.last_seq == self.buckets.last(self.bucket) {
            self.bucket += 1;
            self.exists = false;
            self.create(turn);
        } else {
            self.go_on(turn);
        }
        None
    }

    /// Nothing of the batch was stored, nor of those that build on it: they are refused, and the next one may have their
    /// numbers.
    fn refuse(&mut self, work: Work, reason: &str, turn: &mut Turn<'_>) {
        self.given = self.last_seq;
        let first = match work {
            Work::Looking { batch, .. } | Work::Appending { batch, .. } => Some(batch),
            _ => None,
        };
        refuse_all(first.into_iter().chain(std::mem::take(&mut self.queue)), reason, turn);
    }

    /// Ends the ownership over what it was doing.
    fn end(&mut self, work: Work, stop: Stop, turn: &mut Turn<'_>) -> Option<Stop> {
        let why = match (&stop, &work) {
            (Stop::Damaged(reason), _) => format!("the log is damaged: {reason}"),
            (_, Work::Appending { unknown: Some(reason), .. }) => reason.clone(),
            _ => "the store did not answer in time".to_owned(),
        };
        match work {
            Work::Appending { batch, .. } | Work::Resolving { batch } | Work::Finishing { batch, .. } => {
                turn.settle(batch.ticket, AppendOutcome::Unknown(why));
            }
            // Nothing of it was sent.
            Work::Looking { batch, .. } => {
                turn.settle(batch.ticket, AppendOutcome::NotCommitted(NotCommitted::Fenced));
            }
            Work::Creating | Work::Abandoned => {}
        }
        Some(stop)
    }
}

fn refuse_all(batches: impl IntoIterator<Item = Batch>, reason: &str, turn: &mut Turn<'_>) {
    for Batch { ticket, .. } in batches {
        turn.settle(ticket, AppendOutcome::NotCommitted(NotCommitted::Refused(reason.to_owned())));
    }
}
