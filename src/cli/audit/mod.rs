//! `rollcall audit`: verifies that rooms are whole.
//!
//! ```text
//! a data folder ─▶ folder ─┬─▶ stored ─┐
//! CQL ───────────▶ cql ────┘           ├─ entries in order ─▶ chain ─▶ the first break, or the head
//! a served room ─▶ served ─────────────┘
//! ```
//! `chain` is pure and believes nothing: every number, hash and time is compared with what it must be.

mod chain;
mod cql;
mod folder;
mod report;
mod served;
mod stored;
mod verify;

pub use verify::audit;
