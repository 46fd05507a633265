//! The gateway as a client meets it: commands, replies, pushes, cursors, sessions, and how connections end.

mod commands;
mod cursors;
mod endings;
mod hello;
mod history;
mod order;
mod rooms;
mod sessions;
