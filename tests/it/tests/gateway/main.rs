//! The gateway as a client meets it: commands, replies, pushes, cursors, sessions, and how connections end.
#![expect(clippy::unwrap_used, reason = "in a test an unwrap is the assertion, in its helper functions, too")]

mod commands;
mod cursors;
mod endings;
mod hello;
mod history;
mod order;
mod rooms;
mod sessions;
mod vectors;
