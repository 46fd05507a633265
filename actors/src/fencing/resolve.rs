//! What became of an append that was not applied: read off the fence that is there, and off who wrote its numbers.
//!
//! "Not applied" may be said of a copy of the statement while an earlier copy was applied, so it settles nothing by itself. A
//! fence does: under our own nobody else appends, and once another is there no copy of ours is applied any more.

use super::batch::Batch;
use super::io::Writer;
use crate::ports::LogTail;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// An earlier copy was applied.
    Committed,
    /// An earlier copy was applied, and then another owner came.
    CommittedAndFenced,
    /// Another owner is there, and nothing of the batch is, nor ever will be.
    Fenced,
    /// Another owner is there, and so are the batch's numbers.
    AskWriters,
    /// The numbers were written and have expired since: nobody can tell any more.
    Expired,
    /// What is there was never written.
    Damaged(String),
}

/// Judges by the fence that is there.
pub(super) fn verdict_of_fence(batch: &Batch, found: Option<LogTail>) -> Verdict {
    let Some(found) = found else {
        return Verdict::Damaged("the fence of a bucket is gone".to_owned());
    };
    if found.fence == batch.fence() {
        if found.last_seq == batch.last() {
            return Verdict::Committed;
        }
        return Verdict::Damaged(format!(
            "after {} the bucket ends with {} under our own fence",
            batch.before(),
            found.last_seq
        ));
    }
    // Numbers beyond the last one are not there: both are written together.
    if found.last_seq <= batch.before() { Verdict::Fenced } else { Verdict::AskWriters }
}

/// Judges by who wrote the batch's numbers, which are at or below the bucket's last number.
pub(super) fn verdict_of_writers(batch: &Batch, writers: &[Writer]) -> Verdict {
    let own = writers.iter().filter(|writer| writer.fence == batch.fence()).count();
    let first_is_there = writers.first().is_some_and(|writer| writer.seq == batch.before().next());
    if own == batch.entries.len() {
        Verdict::CommittedAndFenced
    } else if own > 0 {
        Verdict::Damaged(format!("{own} of {} entries after {} are there", batch.entries.len(), batch.before()))
    } else if first_is_there {
        Verdict::Fenced
    } else {
        Verdict::Expired
    }
}
