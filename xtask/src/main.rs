//! `cargo xtask`: the one door to this repository's chores, for people and for CI alike.
//!
//! Nothing here may depend on the crates that it judges: `tidy` has to work when they do not compile. The one crate of ours
//! that it uses, for `services`, depends on none of them either.

mod bench;
mod check;
mod cli;
mod deploy_lint;
mod live;
mod process;
mod report;
mod ring_runner;
mod rings;
mod services;
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
