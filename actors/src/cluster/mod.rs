//! What nodes of a cluster say to one another, pure: who should own a room, how writes reach its owner, how its entries reach the
//! nodes that show it, and how a node notices that it missed one. No clock, no randomness, no I/O and nothing asynchronous happens
//! here: times are milliseconds of a monotonic clock and come in, effects are plain data and go out.

mod node;

pub use node::{Incarnation, NODE_NAME_BYTES_MAX, NodeNameError, NodeRef, parse_node_id};
