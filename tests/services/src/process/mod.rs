//! One server process: what it is, how it is started and ended, and what its log says.

mod guard;
mod identity;
mod program;
mod server_process;

pub use identity::{Ending, ProcessId};
pub(crate) use program::find_program;
pub(crate) use server_process::{Launch, ServerProcess, log_tail};
