//! A proxy for tests that stands between a client and a server, and breaks what goes through it.
//!
//! ```text
//! client ─▶ Proxy ─ refuse · cut · swallow · hold · delay ─▶ server
//!             └─ sieve ┬ cql_frames: whole requests of one kind kept aside, and let go later
//!                      └ resp_frames: single published messages lost, a server's clock shifted
//! ```
//! It knows no server of ours, and of others' protocols only where a frame of CQL and a message of Redis begin.

mod cql_frames;
mod proxy;
mod resp_frames;
mod sieve;

pub use cql_frames::BATCH;
pub use proxy::{Direction, Proxy};
