//! Forwarding: how writes reach a room's owner on another node, over a bus that may lose them or their answers.
//!
//! ```text
//! connections ── Submit ──▶ Forwarding ── Send(Submit …) ──▶ the owner
//!             ◀── Answer ──     ▲      ◀── SubmitReply, NotOwner ──
//!                               └── Owner: who it is now, if anybody
//! ```
//!
//! Writes may be sent as often as need be: an owner stores each n of a device once. What must be kept is their order, and honesty
//! about what is final.

mod device;
mod io;
mod room;
#[cfg(test)]
mod tests;

pub use device::{IN_FLIGHT_BYTES_MAX, RESEND_AFTER_MS};
pub use io::{ForwardEffect, ForwardInput, ForwardedAnswer, ToForward};
pub use room::{Correlations, Forwarding, GIVE_UP_AFTER_MS};
