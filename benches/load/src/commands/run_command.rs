//! From the command line to the subcommand.

use super::{activate, catchup, check, fanout, idle, sends, torture};
use crate::cli::Command;
use crate::verdict::Ending;

/// Runs a subcommand to its end.
///
/// # Errors
/// Where it could not be carried out.
pub async fn run(command: Command) -> anyhow::Result<Ending> {
    match command {
        Command::Fanout(options) => fanout::run(&options).await,
        Command::Sends(options) => sends::run(&options).await,
        Command::Idle(options) => idle::run(&options).await,
        Command::Catchup(options) => catchup::run(&options).await,
        Command::Activate(options) => activate::run(&options).await,
        Command::Torture(options) => torture::run(&options).await,
        Command::Check(options) => check::run(&options),
    }
}
