//! What nodes of a cluster say to one another, pure: who should own a room, how writes reach its owner, how its entries reach the
//! nodes that show it, and how a node notices that it missed one. No clock, no randomness, no I/O and nothing asynchronous happens
//! here: times are milliseconds of a monotonic clock and come in, effects are plain data and go out.

mod beacons;
mod checked_clock;
mod envelope;
pub mod forwarding;
mod lease;
mod links;
mod node;
pub mod node_core;
pub mod ownership;
#[cfg(test)]
mod random;
pub mod replica;
mod takeovers;
#[cfg(test)]
pub(crate) mod test_rooms;
mod trust;
mod watchers;
mod wire;

pub use crate::ports::{Replaced, Takeover};
pub use beacons::{BEACON_APART_MS, BEACON_NAMES_MS, Beacons};
pub use checked_clock::CheckedClock;
pub use envelope::{
    BEACON_ROOMS_MAX, Batch, Beacon, Correlation, ENVELOPE_BYTES_MAX, ENVELOPE_FORMAT, Envelope, EnvelopeError,
    ForwardedWrite, JoinFrom, Payload, Question, RoomFacts, RoomHead, Submit, SubmitReply, Told, Watch, WatchConfirmed,
    seal,
};
pub use lease::{CLOCK_SKEW_MS_MAX, LEASE_MS, Lease, LeaseEffect, LeaseInput, Now, RENEW_EVERY_MS, Standing};
pub use links::{LinkEffect, Links, SILENCE_MS};
pub use node::{Incarnation, NODE_NAME_BYTES_MAX, NodeNameError, NodeRef, parse_node_id};
pub use takeovers::{NoticeEffect, NoticeInput, TakeoverNotice};
pub use trust::{READ_EVERY_MS, TAKEOVERS_READ_MS, TRUST_MS, Trust, TrustEffect, TrustInput, YIELDS_AFTER_MS};
pub use watchers::{RoomStanding, WATCH_EXPIRES_MS, Watchers, WatchersEffect};
