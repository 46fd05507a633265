//! Bad input: each thing that a client should not send is answered with a clear error of the table or a close code, and the
//! server goes on for everybody else.
#![expect(clippy::unwrap_used, reason = "in a test an unwrap is the assertion, in its helper functions, too")]

mod connections;
mod frames_json;
mod frames_msgpack;
mod greeting;
mod handshake;
mod many;
mod sizes;
mod writes;
