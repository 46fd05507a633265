//! Adapters of the ports between nodes. A server by itself is a cluster of one: it owns every room and has nobody to talk to.

mod local;

pub use local::{Alone, LocalBus};
