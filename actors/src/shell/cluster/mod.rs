//! A node of a cluster, run: gives the pure [`NodeCore`](crate::cluster::node_core::NodeCore) a clock, Redis, the log, a bus and
//! rooms.
//!
//! ```text
//! Directory ── what is not open here ──▶ Cluster ══ admission ══▶ mailbox ─▶ Node ─▶ NodeCore
//!     ▲                                                              ▲        │ effects, in their order
//!     └── an owner is open here ─────────────────────────────────────┼────────┤
//! RoomActor ── OwnerLink: activated, committed, stopped ─────────────┤        ├─▶ rooms: start, stop, submit
//! Redis, log ── what became of it ───────────────────────────────────┘        ├─▶ RoomHandle of a room that is shown: its tail
//! other nodes ── envelopes ─▶ Inbound ────────────────────────────────────────┤
//!                                                                             └─▶ Bus: one envelope a node
//! ```
//!
//! One task runs the node, and nothing in it waits: the mailbox is fed by what was admitted and by answers to what the node asked;
//! envelopes are taken one at a time, and wait in the bus, which is bounded.

mod effects;
mod from_log;
mod handle;
mod link;
mod node;
mod outgoing;
mod shown;
mod stats;

pub use handle::{Cluster, ClusterView, PeerView};
pub use link::OwnerLink;
pub use stats::{ByKind, ClusterStats, SENT_KINDS};

pub(super) use node::prepare;
