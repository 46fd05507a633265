//! A cluster in a simulated world, by seed: nodes and clients made of the shipped pure machines, on a log, a Redis, a bus, a network
//! and clocks that are simulated.
//!
//! ```text
//!  client ── Session ─┐                         ┌─ RoomCore + Fencing ── store (fences, rows, takeovers, snapshots)
//!  client ── Session ─┼─ connections ─ NodeCore ┤
//!                     │   (gateway)             ├─ Redis (keys)
//!  client ── Session ─┘                         └─ bus ── NodeCore of another node …
//! ```
//!
//! A seed is a [`plan`]: nodes, rooms, clients, writes and faults. While the faults last, requests and answers are lost, late,
//! repeated or out of order, as the real ones may be; nodes crash, stand still and go on with old timers; Redis forgets or goes back.
//! Then everything heals, and all must come together. What every connection and every program saw is judged by the checker, and a
//! few things more are counted as damage at once. The same seed is the same run, event by event.
//!
//! What is simulated and not shipped: sockets (`gateway`), the CQL servers (`store`, one statement at one moment), the room's actor
//! between the two machines of an owner (`owner`), and a node's shared tail (`tail`).
//!
//! [`sabotage`] spoils one thing at a time between the machines; the simulation must notice each.

pub mod bus;
pub mod client;
pub mod deletion;
pub mod dice;
pub mod event;
pub mod faults;
pub mod freshness;
pub mod gateway;
pub mod history;
pub mod many;
pub mod nemesis;
pub mod node;
pub mod owner;
pub mod plan;
pub mod rebuild;
pub mod redis;
pub mod run;
pub mod sabotage;
pub mod storage;
pub mod store;
pub mod tail;
pub mod totals;
pub mod world;
