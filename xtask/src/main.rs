//! `cargo xtask`: the one door to this repository's chores, for people and for CI alike.
//!
//! Nothing here may depend on the crates that it judges: `tidy` has to work when they do not compile.

mod bench;
mod check;
mod cli;
mod process;
mod report;
mod ring_runner;
mod rings;
mod tidy;
mod tools;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
