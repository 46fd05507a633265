//! The way from what was typed to an exit code.

use std::process::ExitCode;

use clap::Parser;

use super::args::{Arguments, Command, ConfigCommand, SchemaCommand, TokenCommand};
use super::failure::{Failure, Kind};
use super::{audit, compact, config, doctor, history, ready, schema, send, serve, tail, token};

/// Reads the command line, does what it says, and returns the code to end with.
pub fn run() -> ExitCode {
    let result = match Arguments::parse().into_command() {
        Command::Serve(arguments) => serve::serve(&arguments),
        Command::Send(arguments) => block_on(send::send(&arguments)),
        Command::Tail(arguments) => block_on(tail::tail(&arguments)),
        Command::History(arguments) => block_on(history::history(&arguments)),
        Command::Token(TokenCommand::Issue(arguments)) => token::issue(&arguments),
        Command::Token(TokenCommand::Inspect(arguments)) => token::inspect(&arguments),
        Command::Config(ConfigCommand::Check(arguments)) => config::check(&arguments),
        Command::Config(ConfigCommand::Show(arguments)) => config::show(&arguments),
        Command::Config(ConfigCommand::Default) => config::default(),
        Command::Audit(arguments) => block_on(audit::audit(&arguments)),
        Command::Ready(arguments) => block_on(ready::ready(&arguments)),
        Command::Doctor(arguments) => block_on(doctor::doctor(&arguments)),
        Command::Schema(SchemaCommand::Apply(arguments)) => block_on(schema::apply(&arguments)),
        Command::Compact(arguments) => block_on(compact::compact(&arguments)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(message) = &failure.message {
                eprintln!("rollcall: {message}");
            }
            failure.exit_code()
        }
    }
}

/// Runs a command that is a client or a tool: one thread is enough.
fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::new(Kind::Io, format!("failed to start: {error}")))?.block_on(command)
}
