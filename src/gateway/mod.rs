//! The gateway: WebSocket connections. Each is one task with bounded state: a socket, an inbox, and a cursor a room.
//!
//! ```text
//! GET /v1/connect ─▶ connect: a good node
//! Listener ─ accept, limits ─▶ upgrade ─ Host, Origin, subprotocol ─▶ hello ─ token, device ─▶ Connection
//!                                                                                             │      ▲
//!                                                     commands ─▶ Directory ─▶ rooms ─▶ Inbox ─┘      │
//!                                                                               └── pull past the cursor
//! ```
//! A connection does one thing at a time: it reads a command, or writes what waits. While a client does not take what is
//! written, nothing of it is read; nothing is queued for it meanwhile, since it pulls what lies past its cursors.

mod commands;
mod connect;
mod connection;
mod delivery;
mod hello;
mod history;
mod joined_rooms;
mod listener;
mod messages;
mod rate;
mod registry;
mod slots;
mod socket;
mod upgrade;

use std::sync::Arc;
use std::time::Duration;

use rollcall_actors::ports::Clock;
use rollcall_actors::shell::{Directory, Sessions};

use crate::auth::TokenVerifier;
use crate::metrics::Metrics;
use crate::ops::Readiness;

pub use listener::Listener;
pub use rate::{Rate, UserRates};
pub use registry::Registry;

/// What all connections share.
pub struct Gateway {
    /// The rooms.
    pub directory: Directory,
    /// Who is connected, by device.
    pub sessions: Sessions,
    /// Who is connected, in all.
    pub registry: Registry,
    /// Reads tokens and makes those of guests.
    pub verifier: Arc<TokenVerifier>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Metrics,
    /// Whether the server is ready for clients.
    pub readiness: Readiness,
    /// What is allowed.
    pub settings: GatewaySettings,
    /// Commands of each user.
    pub user_rates: UserRates,
}

/// What the gateway allows.
#[derive(Debug, Clone)]
pub struct GatewaySettings {
    /// Connections at once, in all.
    pub connections_max: usize,
    /// Connections at once of one address.
    pub connections_per_address_max: usize,
    /// Commands of one connection.
    pub commands_per_connection: Rate,
    /// Origins besides the server's own; `*` is any.
    pub origins_allowed: Vec<String>,
    /// Where clients find this server, as `GET /v1/connect` tells them; none: where they asked.
    pub connect: Option<String>,
    /// Names that the Host header may have; none: any.
    pub hosts_allowed: Option<Vec<String>>,
    /// How long a socket may take nothing.
    pub write_stall: Duration,
    /// How often a connection is pinged.
    pub ping_interval: Duration,
    /// How long a pong may take.
    pub pong_timeout: Duration,
    /// How long hello may take, and the HTTP handshake before it.
    pub hello_timeout: Duration,
}
