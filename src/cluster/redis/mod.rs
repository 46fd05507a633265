//! Redis, as the nodes of a cluster use it: a single server, a master under Sentinel, or a Redis Cluster; version 7 or later, or
//! Valkey.
//!
//! ```text
//! machines ── RedisCommand ──▶ RedisClient ─▶ keeper: one connection, made again without end ─▶ Redis
//!          ◀── RedisAnswer ──
//! Bus::send ── envelope ─────▶ RedisBus ────▶ outbox of the receiver: in order, a pipeline at a time ─▶ SPUBLISH
//! the node ◀── InboundEvent ── Inbound ◀──── its own connection, its own resubscription ◀─ SSUBSCRIBE rollcall:node:{<id>}
//! ```
//!
//! What is decided, the machines of `rollcall_actors::cluster` decide; here are sockets and time. The driver's own reconnection and
//! resubscription are not used: they give up after some tries, and lose sharded subscriptions silently.

mod answers;
mod bus;
mod client;
mod connect;
mod error;
mod examine;
mod inbound;
mod outbox;
mod outboxes;
mod sentinel;
mod settings;
mod subscription;

pub use answers::COMMAND_KINDS;
pub use bus::RedisBus;
pub use client::{RedisClient, RedisState};
pub use error::RedisError;
pub use examine::examine;
pub use inbound::Inbound;
pub use settings::{RedisServers, RedisSettings};
