//! The program: reads its command line, runs it, and ends with its exit code.

use std::process::ExitCode;

use rollcall_load::verdict::Ending;
use rollcall_load::{Cli, run_command};
use tokio::runtime::Builder;
use tokio::task::LocalSet;

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
        .and_then(|runtime| LocalSet::new().block_on(&runtime, run_command(cli.command)));
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
