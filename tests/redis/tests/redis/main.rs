//! rollcall's use of Redis, on real servers.
#![expect(clippy::unwrap_used, reason = "a test: an unwrap is the assertion")]

mod channel;
mod cluster;
mod commands;
mod doctor;
mod lease;
mod outages;
mod secured;
mod sentinel;
mod settings;
