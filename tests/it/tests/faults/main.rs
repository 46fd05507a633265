//! What clients see while the log or a room fails. The warnings that these tests provoke are listed here.
#![expect(clippy::unwrap_used, reason = "in a test an unwrap is the assertion, in its helper functions, too")]

mod durability;
mod expiry;
mod restored;
mod rooms;

/// Warnings and errors of a server whose log or rooms are made to fail.
const EXPECTED: &[&str] = &[
    "the log is closed and reopened",
    "an append's outcome is unknown",
    "failed to activate a room",
    "failed to store a snapshot",
    "failed to read a page for a reader",
    "the log refused an append",
    "a room's actor failed",
];
