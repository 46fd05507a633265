//! The protocol of the CQL log, pure: who may number a room, how entries are appended, what becomes of an append whose outcome
//! nobody knows. A machine emits [`Statement`]s and takes their [`Answer`]s; of drivers, clocks and retries in time it knows
//! nothing.
//!
//! A room's log is cut into buckets, each a partition of the table `messages`. A partition's static columns are its *fence*: the
//! epoch and the owner who may append, and the last number. Every write is conditional on them, so a late copy of a statement
//! finds them changed and does nothing, however long it was under way.
//!
//! ```text
//!             Append, Deadline                     Run(statement) ──▶ the store
//! the log ─────────────────────▶ Fencing::handle   Activated, Settled ─▶ who waits
//! the store ───────────────────▶                   Stop: this ownership is over
//!             Answer: one for each statement
//!
//!   Searching ─▶ Fencing ─▶ Confirming ─▶ (full: the next bucket) ─▶ Finishing ─▶ owner:
//!                                Looking ─▶ Appending ─▶ Finishing ─▶ settled ─▶ (full: Creating the next bucket)
//!                                               └─ unknown: the same again ─▶ Resolving
//! ```
//!
//! Beside it stand two smaller machines that need no ownership: [`TipSearch`] finds where a room's log ends, and [`Retention`]
//! deletes what lies below a floor.

mod activate;
mod append;
mod batch;
mod io;
mod late;
mod machine;
mod redact;
mod resolve;
mod retention;
mod statement;
#[cfg(test)]
mod tests;
mod tip;
mod turn;

pub use crate::room::{BUCKET_ENTRIES, Buckets};
pub use io::{Answer, Effect, FloorRow, Input, Looked, Mark, MarkKind, Row, Stop, Ticket, Writer};
pub use machine::{Fencing, Start};
pub use retention::{Retention, RetentionStep};
pub use statement::Statement;
pub use tip::{Tip, TipSearch};
