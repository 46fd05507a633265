//! Adapters of the `Log` port: where a room's entries are kept.
//!
//! [`MemoryLog`] keeps them in the process and forgets them with it. The port's contract stands in `rollcall_actors::ports`;
//! the suite in `tests/it` shows it of every adapter here.

mod memory;

pub use memory::MemoryLog;
