//! Adapters of the ports between nodes. A server by itself is a cluster of one: it owns every room and has nobody to talk to.

mod local;
pub mod redis;

pub use local::{Alone, LocalBus};
