//! `rollcall doctor`: looks at everything that a server needs, and says what to do where something is missing.
//!
//! ```text
//! configuration ─▶ machine: data folder, free space, open files ─┐
//!               ─▶ log::cql::examine, where the log is there ────┼─▶ findings, each ok, a warning or a failure
//!               ─▶ cluster::redis::examine, in a cluster ────────┘
//! ```
//! It may be run beside a server that serves. What it writes, it writes under names that no room or node can have, and takes away
//! again.

mod finding;
mod machine;

pub use finding::{Finding, Status, clock};
pub use machine::examine as examine_machine;
