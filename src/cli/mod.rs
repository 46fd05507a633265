//! The command line: reads what is asked, does it, and says what went wrong and what to do about it.
//!
//! Results go to standard output, and nothing else does; everything else goes to standard error. With `--json` each result is
//! one line of JSON.

mod args;
mod audit;
mod compact;
mod config;
mod connect;
mod doctor;
mod duration;
mod failure;
mod history;
mod output;
mod ready;
mod render;
mod run;
mod schema;
mod send;
mod serve;
mod state;
mod supervisor;
mod tail;
mod token;
mod utc;

pub use run::run;
