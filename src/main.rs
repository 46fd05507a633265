//! The binary `rollcall`: the server, its tools, and a client for the terminal.

mod cli;

fn main() -> std::process::ExitCode {
    cli::run()
}
