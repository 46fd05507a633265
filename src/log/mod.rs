//! Adapters of the `Log` port: where a room's entries are kept.
//!
//! [`MemoryLog`] keeps them in the process and forgets them with it. [`EmbeddedLog`] keeps them in a folder of this machine; it
//! is the default. [`CqlLog`] keeps them in ScyllaDB or Apache Cassandra, for many nodes. The port's contract stands in `rollcall_actors::ports`; the suite in `tests/it` shows it of every adapter.

pub mod cql;
pub mod embedded;
mod memory;
mod node_log;
mod stats;

pub use cql::{CqlConsistency, CqlCredentials, CqlError, CqlLog, CqlOptions};
pub use embedded::{EmbeddedLog, EmbeddedOptions, OpenError};
pub use memory::MemoryLog;
pub use node_log::NodeLog;
pub use stats::{COMMIT_BUCKETS_US, LogStats};
