//! The Rust client against the real server, straight and through a proxy that breaks the connection.

#![expect(clippy::unwrap_used, reason = "all of this is test code, where an unwrap is the assertion")]

mod failover;
mod faults;
mod reading;
mod restarts;
mod support;
mod writing;
