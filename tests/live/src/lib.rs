//! Real servers, real clients, and every fault that we know of, by seed.
//!
//! ```text
//!             Plan ─ faults by seed ─▶ Nemesis ─ kill, stop, cut, hold, empty, rewind ─┐
//!                                                                                      ▼
//! clients (rollcall-client) ─▶ proxy ─▶ rollcall × 3 ─▶ proxy ─▶ Redis       each client, and each node, has proxies of its own
//!        │ all they did and saw              └────────▶ proxy ─▶ Cassandra × 1 or 3
//!        ▼
//!     checker ◀─ the whole log, once all is healed ─▶ Report: JSON, Markdown, the exit code
//! ```
//! With `--redis sentinel` or `cluster` the nodes meet in a Redis that replaces its masters, and reach it without proxies: its servers
//! tell their own addresses. The clients and their judge are those of the load harness. A proxy never loses bytes in the middle of a connection that goes on,
//! since TCP does not: what it swallowed ends with the connection.

mod cli;
mod counters;
mod fault;
pub mod figures;
mod heads;
mod link;
mod nemesis;
mod node;
mod plan;
mod redis_keys;
mod redis_servers;
mod report;
mod run;
mod server_log;
mod stage;

pub use cli::Cli;
pub use run::{Ending, run};
