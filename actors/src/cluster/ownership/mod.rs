//! Who should own a room. Redis says who should try; the log says who may.
//!
//! ```text
//! Seeking: somebody here wants a room that is not active here ─▶ another node has it · ask another node · activate it here
//! Owned:   rooms that are active here ─▶ their keys are written, and written again when Redis has lost them
//! Peers:   which nodes live
//! ```
//!
//! Each of these is a machine that emits [`RedisCommand`]s and takes their [`RedisAnswer`]s. [`RedisKeys`] is what the commands do,
//! as data.

mod command;
mod keys;
mod owned;
mod owned_room;
mod peers;
mod record;
mod rendezvous;
mod seeking;
#[cfg(test)]
mod tests;

pub use command::{ROSTER_KEEPS_MS, ROSTER_KEY, RedisAnswer, RedisCommand, epoch_key, node_key, owner_key, seq_key};
pub use keys::RedisKeys;
pub use owned::{Owned, OwnedEffect, OwnedInput};
pub use peers::{Peer, Peers, PeersEffect, PeersInput};
pub use record::{NodeRecord, OwnerRecord};
pub use rendezvous::preferred;
pub use seeking::{ActivateWith, Reason, Seat, SeekEffect, SeekInput, Seeking, Surroundings};
