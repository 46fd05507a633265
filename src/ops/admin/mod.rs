//! `/admin/v1`: what operators look at and do, behind a token.
//!
//! ```text
//! GET  nodes                     the cluster as this node sees it
//! GET  rooms?after=&limit=       the rooms of this node, by their names
//! GET  rooms/{room}              what this node is to it, and where its log stands
//! GET  beacons                   what this node hears of others and they of it
//! POST rooms/{room}/passivate    give it up; whoever wants it next activates it
//! POST rooms/{room}/move         {"to": "node-2"}: give it to that node
//! POST rooms/{room}/expire       {"before": 4097}: let what lies before that number expire
//! POST drain                     give up all rooms, take none, send clients elsewhere
//! ```
//! A move is for now: nothing remembers it. Once the room was passivated, since nobody wanted it or by request, it goes back to the node
//! that it prefers when it is wanted again. A drain is until the next start.
//!
//! Each node answers for itself: what is asked of a room that another node owns is refused, and that node is named. Nothing here but
//! `expire` can lose an entry: rooms are given up as they are when they are idle.

mod endpoints;
mod error;
mod expire;
mod token;
mod views;

pub use endpoints::{Admin, router};
pub use token::{ADMIN_TOKEN_FILE, AdminToken};
