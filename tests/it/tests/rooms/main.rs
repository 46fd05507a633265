//! The directory and its rooms' actors over a log that can be held back and broken.
#![expect(clippy::unwrap_used, reason = "all of this is test code, where an unwrap is the assertion")]

mod activation;
mod active_limit;
mod admission;
mod cluster;
mod cluster_backup;
mod cluster_input;
mod cluster_log;
mod cluster_redis;
mod cluster_snapshots;
mod damage;
mod desk;
mod drain;
mod expiry;
mod idle_limit;
mod joins;
mod node;
mod order;
mod outcomes;
mod pages;
mod panics;
mod passivation;
mod reader;
mod storm;
