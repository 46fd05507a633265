//! What the integration tests share: contract suites of ports, and tools to write, break and judge.

pub mod log_contract;
pub mod scribe;
