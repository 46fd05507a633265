//! The CQL log: the `Log` port in ScyllaDB or Apache Cassandra, shared by many nodes.
//!
//! ```text
//! append ─▶ ownerships ─▶ ownership: the machine of `rollcall_actors::fencing`, and who waits ──┐
//! activate ─────────────▶ a machine, from its start to its ownership ───────────────────────────┤ one statement,
//! tail, expire_before ──▶ smaller machines ─────────────────────────────────────────────────────┤ one answer
//!                                                                                               ▼
//! read ─▶ history ─┐                                                                          store ─▶ the driver
//! snapshots ───────┤  plain quorum reads and writes ──────────────────────────────────────────▶
//! takeovers ───────┘
//! ```
//!
//! - What is decided, the machine decides; here is a driver, time, and who waits. A statement is sent once: the driver never
//!   repeats a write, never runs two of one, and its errors are told apart in one place (`answers.rs`).
//! - Read entries are checked against the chain of hashes. What does not fit is never shown, nor anything numbered after it;
//!   what comes before it stays readable.
//! - An append is one conditional batch of one partition. Servers' thresholds for batches (Cassandra's
//!   `batch_size_fail_threshold`, 50 KiB) do not hold for such; `max_mutation_size` does, and is looked at when the log is opened.
//! - `schema.cql` is the one DDL; [`schema`] applies it. Nothing here makes or changes a table when a server starts.

mod answers;
mod connection;
mod entry_row;
mod error;
mod examine;
mod health;
mod history;
mod log;
mod options;
mod ownership;
mod ownerships;
mod pause;
mod rooms;
pub mod schema;
mod snapshots;
mod statements;
mod store;
mod takeovers;

pub use error::CqlError;
pub use examine::examine;
pub use log::CqlLog;
pub use options::{CqlConsistency, CqlCredentials, CqlOptions};
