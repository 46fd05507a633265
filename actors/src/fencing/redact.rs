//! What committed edits and redactions do to other rows, wherever they are: finished in the order of their numbers, before
//! their senders hear of them. All of it may be done twice.
//!
//! A redaction finds the edits of its target through a table of their own, so each edit is noted there before it is acked, and
//! before the next append; an edit that comes after the redaction is appended without its body (see `late.rs`). A row that is
//! not there any more has expired.

use std::collections::VecDeque;

use rollcall_protocol::{Entry, Kind, Seq};

use super::Buckets;
use super::io::{Answer, Mark, MarkKind};
use super::statement::Statement;

/// Committed edits and redactions that are being finished.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Finishing {
    buckets: Buckets,
    /// In the order of their numbers; the first is under way.
    marks: VecDeque<Mark>,
    step: Step,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step {
    /// The first mark is an edit that is being noted, or a redaction whose target loses its body.
    First,
    /// The edits of its target are read.
    Edits,
    /// They lose their bodies, the first of them now.
    RedactEdits(VecDeque<Seq>),
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    Run(Statement),
    Finished,
}

impl Mark {
    /// Returns what is to be finished for an entry, if anything.
    pub fn of(entry: &Entry) -> Option<Self> {
        let kind = match entry.kind {
            Kind::Edit => MarkKind::Edit,
            Kind::Redact => MarkKind::Redact,
            Kind::Message | Kind::React | Kind::Member | Kind::Room => return None,
        };
        entry.target.filter(|&target| target > Seq::ZERO).map(|target| Self { seq: entry.seq, kind, target })
    }
}

impl Finishing {
    /// Starts, with the first statement; there is none where there is nothing to finish.
    pub fn start(buckets: Buckets, marks: VecDeque<Mark>) -> (Self, Option<Statement>) {
        let finishing = Self { buckets, marks, step: Step::First };
        let first = finishing.first_statement();
        (finishing, first)
    }

    /// Takes the answer to the last statement; that is neither unknown nor refused.
    pub fn take(&mut self, answer: Answer) -> Progress {
        let mark = *self.marks.front().expect("an answer is to a mark's statement");
        match (&mut self.step, mark.kind, answer) {
            (Step::First, MarkKind::Edit, Answer::Done) => self.next_mark(),
            (Step::First, MarkKind::Redact, Answer::Applied | Answer::NotApplied(_)) => {
                self.step = Step::Edits;
                Progress::Run(Statement::ReadEdits { target: mark.target })
            }
            (Step::Edits, _, Answer::Edits(edits)) => self.redact_edits(mark, edits.into()),
            (Step::RedactEdits(edits), _, Answer::Applied | Answer::NotApplied(_)) => {
                edits.pop_front();
                let edits = std::mem::take(edits);
                self.redact_edits(mark, edits)
            }
            (step, _, answer) => panic!("{answer:?} is no answer to {step:?} of {mark:?}"),
        }
    }

    fn first_statement(&self) -> Option<Statement> {
        let &Mark { seq, kind, target } = self.marks.front()?;
        Some(match kind {
            MarkKind::Edit => Statement::NoteEdit { target, seq },
            MarkKind::Redact => Statement::Redact { bucket: self.buckets.of(target), seq: target },
        })
    }

    fn redact_edits(&mut self, mark: Mark, edits: VecDeque<Seq>) -> Progress {
        let Some(&seq) = edits.front() else { return self.next_mark() };
        self.step = Step::RedactEdits(edits);
        Progress::Run(Statement::RedactEdit { bucket: self.buckets.of(seq), seq, target: mark.target })
    }

    fn next_mark(&mut self) -> Progress {
        self.marks.pop_front();
        self.step = Step::First;
        self.first_statement().map_or(Progress::Finished, Progress::Run)
    }
}
