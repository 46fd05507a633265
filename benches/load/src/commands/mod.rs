//! The subcommands, one a file.

mod activate;
mod catchup;
mod check;
mod fanout;
mod fill;
mod idle;
mod run_command;
mod sends;
mod torture;

pub use run_command::run;
