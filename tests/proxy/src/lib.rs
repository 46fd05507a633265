//! A proxy for tests that stands between a client and a server, and breaks what goes through it.
//!
//! ```text
//! client ─▶ Proxy ─ refuse · cut · swallow · hold · delay ─▶ server
//!             └─ cql_frames: whole requests of one kind kept aside, and let go later
//! ```
//! It knows no server of ours, and of others' protocols only where a frame of CQL begins.

mod cql_frames;
mod proxy;

pub use cql_frames::BATCH;
pub use proxy::{Direction, Proxy};
