//! rollcall's domain: the pure room core, the ractor shells around it, and the ports to the world. It knows no socket and no
//! database.

pub mod cluster;
pub mod fencing;
pub mod limits;
pub mod ports;
pub mod room;
pub mod shell;
