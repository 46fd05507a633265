//! The binary `rollcall`: the server, its tools, and a client for the terminal.

mod cli;

/// Gives freed memory back to the system after some seconds, by a thread of its own: a server that was busy once does not stay
/// large.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    cli::run()
}
