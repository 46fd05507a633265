//! rollcall's domain: the pure room core, the ractor shells around it, and the ports to the world.

pub mod ports;
pub mod room;
