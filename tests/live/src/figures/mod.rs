//! Figures of a cluster that is harmed: how long a room is silent when its owner is killed or drained, and how long an entry is
//! missing where an envelope was lost on its way, or a node heard nothing.
//!
//! ```text
//! rooms, each with a writer ─ acks with their times ─┐
//!                                                    ├─▶ Latency ─▶ Figures: a table and JSON
//! what members see, with epochs and times ───────────┘
//! ```

mod admin;
mod cli;
mod crowd;
mod cuts;
mod failover;
mod gaps;
mod handover;
mod measured;

pub use cli::{FiguresCli, What};
pub use measured::{Measured, measure};
