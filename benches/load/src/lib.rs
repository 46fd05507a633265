//! `rollcall-load`: loads a rollcall server, measures it, and has every run judged by the checker.
//!
//! ```text
//!  Stage ── a server of our own, pinned, on a real disk ─┐
//!  commands ── what is asked of it ──▶ seats (lean connections), or rollcall-client in torture
//!                                        │ each write, each delivery: decoded, hashed
//!                                        ▼
//!  History ──▶ checker (and a file) ◀── the whole log, fetched over the wire at the end
//!                 └─▶ verdict ─▶ Report: a table, JSON, the exit code
//! ```
//! One thread, on the core that the server does not have. What is measured is told in `report.rs`, key by key; exit codes and
//! keys are also in `--help`.

mod cli;
pub mod clock;
mod commands;
pub mod history;
pub mod latency;
pub mod link;
mod load;
pub mod payload;
mod progress;
mod report;
pub mod run;
mod seat;
pub mod server;
mod stage;
pub mod target;
pub mod torture;
pub mod verdict;

pub use cli::Cli;
pub use commands::run as run_command;
