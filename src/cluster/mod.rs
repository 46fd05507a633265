//! Adapters of the ports between nodes: Redis, and the nodes of one process.

mod local;
mod member;
pub mod redis;

pub use local::{LocalBus, LocalInbound, LocalOwnership, SavedOwnership};
pub use member::{JoinError, Membership};
