//! The Rust client against the real server, straight and through a proxy that breaks the connection.

mod faults;
mod reading;
mod restarts;
mod support;
mod writing;
