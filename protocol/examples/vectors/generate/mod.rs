//! What lies in the folder of vectors, made in memory: the example writes it, the tests compare it with what is there.

mod bodies;
mod chain;
mod commands;
pub mod document;
pub mod files;
mod newer;
mod pushes;
mod refusals;
mod replies;
mod room;
mod tables;
pub mod vector;
