//! The model: two nodes that share a room, made of the machines that ship, explored in every order in which things can happen.
//!
//! ```text
//!  writes ──▶ RoomCore ── Append ──▶ Fencing ── statements ──▶ Store   each carried out at one moment, or late, or never
//!                ▲                      ▲                        │
//!                └── committed, … ──────┴─────── answers ◀───────┘     delivered, or lost
//! ```
//! [`Cluster`] holds the rules of the world: what may happen next, within [`Limits`]. A [`Weakening`] spoils the protocol from
//! outside, by changing what a statement's condition is, or an answer on its way: the machines are the shipped ones
//! throughout. Each must be caught, so that we know the model to have eyes.

mod action;
mod activation;
mod cluster;
mod explore;
mod limits;
mod node;
mod promises;
mod state;
mod store;
mod weakening;

pub use action::Action;
pub use cluster::Cluster;
pub use explore::{Exploration, explore, find_shortest};
pub use limits::Limits;
pub use state::State;
pub use weakening::Weakening;
