//! Gives a session a socket, timers and a storage. One task a client; no logic of the protocol is here.
//!
//! ```text
//!  handles ── Request ─▶ ┌────────┐ ── Input ──▶ ┌─────────┐
//!  rooms  ◀─ RoomQueue ─ │ Driver │              │ Session │
//!  socket ◀─────────────▶└────────┘ ◀─ Effect ── └─────────┘
//! ```
//!
//! - The task polls its socket, the requests and one timer in one place; it never waits for one of them alone but for a save.
//! - A full room queue closes the gate: the socket is not read, and so the server is slowed by TCP.
//! - While the socket takes nothing, no requests are taken either: writes wait in their bounded queues.

mod carry_out;
mod driver;
mod endpoint;
mod keeper;
mod polling;
mod request;
mod room_queue;

pub(crate) use driver::{Driver, Parts};
pub(crate) use endpoint::{Endpoint, Endpoints};
pub(crate) use keeper::Keeper;
pub(crate) use request::{JoinRequest, Place, Request, Sink, SubmitRequest};
pub(crate) use room_queue::{Gate, RoomQueue};
