//! The CQL log on a real Cassandra: the port's contract, and what only this adapter has.
#![expect(clippy::unwrap_used, reason = "a test: an unwrap is the assertion")]

mod on_cassandra;
