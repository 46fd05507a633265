//! What the tests of the CQL log share: one Cassandra for all tests of a binary, and rooms of its own for each.
#![expect(clippy::unwrap_used, reason = "for tests: an unwrap is the assertion")]

mod keyspace;
mod program;
mod scylladb;
mod server;

pub use keyspace::Keyspace;
pub use program::{rollcall, rollcall_on, rollcall_with};
pub use scylladb::as_scylladb;
pub use server::cassandra;
