//! Tests of the protocol on the wire: the golden frames and vectors, and what must not pass for a frame.

#[path = "../../examples/vectors/generate/mod.rs"]
mod generate;

mod chain;
mod commands;
mod fuzz;
mod golden;
mod numbers;
mod secrets;
mod wire;
