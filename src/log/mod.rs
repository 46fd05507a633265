//! Adapters of the `Log` port: where a room's entries are kept.
//!
//! [`MemoryLog`] keeps them in the process and forgets them with it. [`EmbeddedLog`] keeps them in a folder of this machine; it
//! is the default. The port's contract stands in `rollcall_actors::ports`; the suite in `tests/it` shows it of every adapter.

pub mod embedded;
mod memory;

pub use embedded::{COMMIT_BUCKETS_US, EmbeddedLog, EmbeddedOptions, LogStats, OpenError};
pub use memory::MemoryLog;
