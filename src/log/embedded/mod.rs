//! The embedded log: the `Log` port in a folder of this machine, on fjall, a log-structured store.
//!
//! ```text
//! append, activate,      ┌──────────┐   groups   ┌───────────┐  one batch, one sync  ┌───────┐
//! snapshot, expire ────▶ │  queue   │ ─────────▶ │ committer │ ────────────────────▶ │ store │
//!                        └──────────┘            └───────────┘                       └───────┘
//! read, tail,            ┌──────────┐                                                    ▲
//! read_snapshot ───────▶ │ readers  │ ───────────────────────────────────────────────────┘
//!                        └──────────┘
//! ```
//!
//! - Only the committer writes. It checks each append's fence and number against the room's row, so that two owners can never
//!   both number a room, and a read sees a group once it is synced, never before.
//! - A failed write or sync makes its group's outcome unknown. The store is closed and reopened; what its journals hold is
//!   brought into new, synced files before anything is answered from it, since after a failed sync the system may show, and
//!   sync without an error, what is not on the disk.
//! - fjall is never trusted to wait: its own back-pressure waits for workers that a full disk may have ended.

mod codec;
mod command;
mod committer;
mod error;
mod fault;
mod folder;
mod gather;
mod group;
mod journal;
mod keys;
mod log;
mod options;
mod queue;
mod reader;
mod space;
mod store;

pub use command::Compacted;
pub use error::OpenError;
pub use fault::FaultPoints;
pub use log::EmbeddedLog;
pub use options::EmbeddedOptions;
pub use store::RoomInfo;
