//! Real servers for tests: Redis (alone, as a cluster, under Sentinel) and Apache Cassandra (one node or three), started as child
//! processes on free loopback ports, killed, stopped, continued and restarted.
//!
//! ```text
//! Redis · RedisCluster · RedisSentinel · Cassandra      what a test holds; dropped, its processes are gone
//!     └─▶ process/   one server process: its identity, its log, a guard that ends it if the test process dies
//! Fleet ─▶ all of the above, left running, with a file that says what runs: `cargo xtask services`
//! ```
//!
//! Everything here blocks: a start takes from milliseconds (Redis) to seconds (Cassandra). From async code call it in
//! `spawn_blocking`; every method takes `&self`, so the server can be shared in an `Arc`.
//!
//! It speaks just enough of both protocols to know that a server answers, and depends on no driver and on none of our crates.

mod cassandra;
mod error;
mod fleet;
mod ports;
mod process;
mod redis;
mod skip;
mod wait;

pub use cassandra::{Cassandra, Consistency, QueryError, Row, fetch_jars, find_java};
pub use error::ServiceError;
pub use fleet::{Fleet, FleetRequest, Kind, RedisMode, ServerRecord, ServerState};
pub use process::{Ending, ProcessId};
pub use redis::{Redis, RedisCluster, RedisSecurity, RedisSentinel, Reply};
pub use skip::unless_skipped;
