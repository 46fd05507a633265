//! The program: reads its command line, runs it, and ends with its exit code.

use std::process::ExitCode;

use rollcall_live::{Cli, Ending, run};
use tokio::runtime::Builder;
use tokio::task::LocalSet;

/// The run could not be carried out.
const EXIT_BROKEN: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::read();
    let ended = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| LocalSet::new().block_on(&runtime, run(&cli)));
    match ended {
        Ok(Ending::Clean | Ending::Skipped) => ExitCode::SUCCESS,
        Ok(Ending::Anomalies | Ending::ProvesNothing) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rollcall-live: {error:#}");
            ExitCode::from(EXIT_BROKEN)
        }
    }
}
