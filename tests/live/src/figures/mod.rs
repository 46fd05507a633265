//! Figures of a cluster that changes hands: how long a room is silent when its owner is killed or drained, and how long an entry is
//! missing where it was lost on its way.
//!
//! ```text
//! rooms, each with a writer ─ acks with their times ─┐
//!                                                    ├─▶ Latency ─▶ Figures: a table and JSON
//! what members see, with epochs and times ───────────┘
//! ```

mod admin;
mod cli;
mod crowd;
mod failover;
mod gaps;
mod handover;
mod measured;

pub use cli::{FiguresCli, What};
pub use measured::{Measured, measure};
