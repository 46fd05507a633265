//! rollcall, the server: what connects the domain (`rollcall-actors`) to the world.
//!
//! Adapters of the domain's ports and nothing of its rules. The binary in `main.rs` puts them together.

pub mod auth;
pub mod cluster;
pub mod config;
pub mod doctor;
pub mod gateway;
pub mod limits;
pub mod log;
pub mod metrics;
pub mod ops;
pub mod server;
pub mod telemetry;
