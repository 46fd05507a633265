//! What nodes of a cluster say to one another, pure: who should own a room, how writes reach its owner, how its entries reach the
//! nodes that show it, and how a node notices that it missed one. No clock, no randomness, no I/O and nothing asynchronous happens
//! here: times are milliseconds of a monotonic clock and come in, effects are plain data and go out.

mod envelope;
mod node;
#[cfg(test)]
mod test_rooms;
mod wire;

pub use envelope::{
    BEACON_ROOMS_MAX, Batch, Beacon, Correlation, ENVELOPE_BYTES_MAX, ENVELOPE_FORMAT, Envelope, EnvelopeError,
    ForwardedWrite, Payload, RoomHead, Submit, SubmitReply, Watch, WatchConfirmed, seal,
};
pub use node::{Incarnation, NODE_NAME_BYTES_MAX, NodeNameError, NodeRef, parse_node_id};
