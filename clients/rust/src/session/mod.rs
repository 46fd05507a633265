//! The client's side of the protocol as a pure machine: no socket, no clock, no randomness, no storage.
//!
//! It is told what happens ([`Input`], with the time and a random number) and says what is to be done ([`Effect`], plain data).
//! The client's shell gives it a socket, timers and a storage; a simulation gives it a simulated network.
//!
//! ```text
//!             Input                                  Effect
//! program ── Join, Submit, Query … ─▶ ┌─────────┐ ── Deliver, WriteEnded, State … ─▶ program
//! socket  ── Connected, Frame, … ───▶ │ Session │ ── Connect, Send, Disconnect ────▶ socket
//! clock   ── Tick at deadline_ms ───▶ └─────────┘ ── Remember ─────────────────────▶ storage
//! ```
//!
//! - `link` opens the connection and keeps it; `access` knows the token.
//! - `rooms` and `reader` read: each entry once, in order, without a gap, across connections.
//! - `writes` and `outbox` write: each write is stored at most once, in order, and asked for until that is answered.
//! - `queries` fetch history.
//!
//! Effects are carried out in their order. Only of what `Remember` says urgently must be stored before any `Send` that follows.

mod access;
pub mod backoff;
mod effect;
mod input;
mod link;
mod outbox;
mod queries;
mod reader;
mod requests;
mod rooms;
#[expect(clippy::module_inception, reason = "the main type of the module, in a file of its name")]
mod session;
mod writes;

pub use access::Credentials;
pub use effect::Effect;
pub use input::{Input, Moment, NewWrite, Ticket};
pub use link::{OPEN_TIMEOUT_MS, STABLE_AFTER_MS};
pub use reader::{HOLE_GRACE_MS, TAIL_GRACE_MS};
pub use requests::ANSWER_TIMEOUT_MS;
pub use session::{Session, SessionConfig};
pub use writes::NEW_DEVICE_PATIENCE_MS;
pub(crate) use writes::new_device;

#[cfg(test)]
mod tests;
