//! The program: measures what its command line says, and prints it.

use std::process::ExitCode;

use clap::Parser as _;
use rollcall_live::figures::{FiguresCli, measure};
use tokio::runtime::Builder;
use tokio::task::LocalSet;

fn main() -> ExitCode {
    let cli = FiguresCli::parse();
    let measured = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| LocalSet::new().block_on(&runtime, measure(&cli)));
    match measured {
        Ok(Some(measured)) if measured.missing == 0 && measured.samples > 0 => {
            println!("{measured}");
            ExitCode::SUCCESS
        }
        Ok(Some(measured)) => {
            println!("{measured}");
            ExitCode::FAILURE
        }
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rollcall-figures: {error:#}");
            ExitCode::from(2)
        }
    }
}
