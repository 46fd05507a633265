//! The room, pure: its state as a function of its log, and the core that numbers, checks and answers. No clock, no randomness,
//! no I/O and nothing asynchronous happens here; the shell gives it those.
//!
//! ```text
//!            Submit, Change, Retain, Drain             Append ──▶ the log
//! callers ─────────────────────────▶ RoomCore::handle  Deliver ─▶ everybody in the room
//! the log ─────────────────────────▶                   Reply ───▶ whoever asked
//!            Committed, NotCommitted, Unknown,         Snapshot, Stop, LookAgain,
//!            ExpirableFound, SnapshotKept, Dropped     FindExpirable, KeepSnapshot, DropExpired
//! ```

mod buckets;
mod core;
mod io;
mod redactions;
mod refusal;
mod senders;
pub mod snapshot;
mod state;
mod tag;
#[cfg(test)]
mod tests;

pub use self::core::RoomCore;
pub use buckets::{BUCKET_ENTRIES, Buckets};
pub use io::{
    Answer, Change, ChangeKind, Effect, Expirable, Input, LastExpired, Retention, Rights, StopReason, Submit, Target,
};
pub use redactions::RecentRedactions;
pub use refusal::Refusal;
pub use senders::{SENDERS_MAX, SenderKey};
pub use state::{MemberChange, REDACTIONS_REMEMBERED_ENTRIES, Role, RoomChange, RoomState};
