//! What operators ask of servers over HTTP, and where clients are sent.
#![expect(clippy::unwrap_used, reason = "in a test an unwrap is the assertion, in its helper functions, too")]

mod asking;
mod cluster;
mod connect;
mod draining;
mod expiry;
mod tokens;
