//! What operators see, on a listener of its own: is it alive, is it ready, what does it count.
//!
//! It has its own thread and runtime, so that it answers while the server is busy, and knows the server only by what is put
//! into [`Readiness`] and [`crate::metrics::Metrics`].

pub mod admin;
mod endpoints;
mod listener;
mod readiness;

pub use listener::{Ops, OpsError};
pub use readiness::{Check, Readiness};
