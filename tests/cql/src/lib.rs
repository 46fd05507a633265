//! What the tests of the CQL log share: one Cassandra for all tests of a binary, and a keyspace of its own for each.

mod keyspace;
mod scylladb;
mod server;

pub use keyspace::Keyspace;
pub use scylladb::as_scylladb;
pub use server::cassandra;
