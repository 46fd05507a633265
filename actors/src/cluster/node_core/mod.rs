//! One node of a cluster: all machines of this module put together, so that the async shells and the simulation run the very same
//! glue.
//!
//! ```text
//!               Write, Readers, Expect                 Submit, StartOwner, StopOwner ─▶ a room's owner on this node
//! connections ────────────────────────▶ NodeCore      Answer, Begin, Deliver, Open ──▶ connections
//! other nodes ────── Received ────────▶ ::handle      Send, Publish ─────────────────▶ other nodes
//! Redis, the log ──── answers ────────▶               Redis, ReadTail, … ────────────▶ Redis, the log
//! owners ──────────── Owner ──────────▶               Standing, Over ────────────────▶ whoever runs the node
//! ```
//!
//! The owner of a room itself, which numbers its entries, stands beside this machine: it is started and stopped by it, and tells it
//! what became of its activation and what it committed. A room on a node is in one of these states:
//!
//! ```text
//! nothing ─▶ shown: a replica, while somebody reads here
//!    │         │
//!    └── sought: who owns it? ─▶ another node: writes are forwarded there
//!              │
//!              └▶ activating ─▶ noticed in the log ─▶ open: writes go to the owner here ─▶ stopping ─▶ nothing, or shown
//! ```
//!
//! - `node` takes the inputs; `standing` keeps the node's own lease, its peers, and whether it may trust its tails.
//! - `finding` looks for owners, `owning` leads an owner from its activation to its end.
//! - `asking` puts the questions of those who want to read a room here.
//! - `showing` runs the replicas, `writing` the writes that go to another node or come from one; `held` keeps those that wait for an
//!   activation.

mod asking;
mod draining;
mod finding;
mod held;
mod io;
mod node;
mod owning;
mod report;
mod room;
mod showing;
mod standing;
#[cfg(test)]
mod tests;
mod writing;

pub use asking::{ASK_AGAIN_MS, ASK_LOG_AFTER_MS};
pub use io::{
    AskOwner, Asker, Life, NodeEffect, NodeInput, OwnerEnd, OwnerEvent, OwnerWrite, RemoteWriter, TailAsker, Writer,
};
pub use node::{NodeCore, RoomView};
pub use report::{BeaconReport, RoomReport, RoomRole};
