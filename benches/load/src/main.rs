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
mod clock;
mod commands;
mod history;
mod latency;
mod link;
mod load;
mod payload;
mod progress;
mod report;
mod run;
mod seat;
mod server;
mod stage;
mod target;
mod torture;
mod verdict;

use std::process::ExitCode;

use tokio::runtime::Builder;
use tokio::task::LocalSet;

use crate::cli::Cli;
use crate::verdict::Ending;

/// The run could not be carried out, or was spoiled.
const EXIT_FAILED: u8 = 3;

/// The checker found an anomaly.
const EXIT_ANOMALIES: u8 = 1;

fn main() -> ExitCode {
    let cli = Cli::read();
    let ended = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| LocalSet::new().block_on(&runtime, commands::run(cli.command)));
    match ended {
        Ok(Ending::Clean) => ExitCode::SUCCESS,
        Ok(Ending::Anomalies) => ExitCode::from(EXIT_ANOMALIES),
        Ok(Ending::Spoiled) => ExitCode::from(EXIT_FAILED),
        Err(error) => {
            eprintln!("rollcall-load: {error:#}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}
