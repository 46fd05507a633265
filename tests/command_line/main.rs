//! The built binary as a person or a script meets it: what it prints, and the code that it ends with.

#![expect(clippy::unwrap_used, reason = "what a test prepares is asserted by unwrapping it")]

mod audits;
mod chats;
mod configurations;
mod deployments;
mod doctors;
mod program;
mod schemas;
mod servers;
mod tokens;
