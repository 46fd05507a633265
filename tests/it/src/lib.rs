//! What the integration tests share: contract suites of ports, and tools to write, break and judge.
#![expect(clippy::unwrap_used, reason = "all of this package is test code, where an unwrap is the assertion")]

pub mod controlled_log;
pub mod http;
pub mod log_contract;
pub mod log_watch;
pub mod machine;
pub mod process;
pub mod raw;
pub mod scribe;
pub mod server;
pub mod takeovers_contract;
pub mod together;
pub mod writer;
