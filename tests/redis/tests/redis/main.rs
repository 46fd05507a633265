//! rollcall's use of Redis, on real servers.

mod channel;
mod cluster;
mod commands;
mod doctor;
mod lease;
mod outages;
mod sentinel;
mod settings;
