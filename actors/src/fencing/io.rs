//! What goes into the machine and what comes out: plain data.

use std::sync::Arc;

use rollcall_protocol::{Entry, Seq};

use super::statement::Statement;
use crate::ports::{Activated, AppendOutcome, Fence, LogTail};

/// Names an append to whoever waits for its outcome.
pub type Ticket = u64;

/// What happens to a room's log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Input {
    /// Entries are to be committed together: contiguous, numbered under the machine's fence, all of one bucket.
    Append {
        /// Whose outcome this will be.
        ticket: Ticket,
        /// What is appended.
        entries: Arc<[Entry]>,
    },
    /// What became of the statement that was run last.
    Answer(Answer),
    /// Ten seconds have passed since the append was given: whoever waits for it is told what is known.
    Deadline {
        /// Which append.
        ticket: Ticket,
    },
}

/// What became of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Answer {
    /// To R: the fence columns; none where the partition has no row.
    Fence(Option<LogTail>),
    /// To a conditional write: it was carried out.
    Applied,
    /// To a conditional write: it was not, for these are the fence columns; none where the answer has none or nulls.
    NotApplied(Option<LogTail>),
    /// To a plain write: it was carried out.
    Done,
    /// Who wrote the entries of a range, those that are there, in order.
    Writers(Vec<Writer>),
    /// What the entries of a range are, those that are there, in order.
    Rows(Vec<Row>),
    /// What became of an entry's body.
    Looked(Looked),
    /// The edits of an entry.
    Edits(Vec<Seq>),
    /// Where the room's floor is; none before it first rose.
    Floor(Option<FloorRow>),
    /// It may have been carried out or not, and may be still: every error but the following ones.
    Unknown(String),
    /// It was not carried out and never will be: a syntax error, an invalid query, a missing permission.
    Refused(String),
    /// What came back is not what was ever written, so the log is damaged.
    Garbled(String),
}

/// Who wrote an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Writer {
    /// The entry's number.
    pub seq: Seq,
    /// The fence under which it was appended.
    pub fence: Fence,
}

/// What an entry is, as far as redaction is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Row {
    /// The entry's number.
    pub seq: Seq,
    /// What is to be finished for it; none for most.
    pub mark: Option<Mark>,
}

/// An entry that changes what others show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark {
    /// The entry's number.
    pub seq: Seq,
    /// What it is.
    pub kind: MarkKind,
    /// The entry that it is about.
    pub target: Seq,
}

/// The kinds of entries that change what others show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MarkKind {
    /// An edit: a later redaction of its target must find it.
    Edit,
    /// A redaction: it takes the bodies of its target and of its target's edits.
    Redact,
}

/// What became of an entry's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Looked {
    /// The entry is not there: it has expired.
    Absent,
    /// It has its body.
    Whole,
    /// Its body was taken away.
    Redacted,
}

/// Where a room's floor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FloorRow {
    /// The first number that is still kept.
    pub floor: Seq,
    /// The first bucket whose entries were not deleted yet.
    pub swept: u64,
}

/// What the machine wants to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Run this statement, and give one answer. No further statement is run before that.
    Run {
        /// What to run.
        statement: Statement,
        /// How often it was tried in vain; wait a little longer each time.
        attempt: u32,
    },
    /// This machine owns the room from here on.
    Activated(Activated),
    /// Tell whoever waits for this append.
    Settled {
        /// Which append.
        ticket: Ticket,
        /// What became of it.
        outcome: AppendOutcome,
    },
    /// This ownership is over; every append was settled. What is asked afterwards is answered as fenced.
    Stop(Stop),
}

/// Why an ownership is over.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Stop {
    /// Another owner has fenced the room.
    Fenced,
    /// The store did not say what became of an append in time; the next activation finds out.
    OutcomeUnknown,
    /// The store refuses what an activation asks.
    Unavailable(String),
    /// What is stored cannot be what was written. Nothing is numbered over that.
    Damaged(String),
}
