//! The server under load, seen from outside: a process that is started, placed on a core of its own, watched, killed.
//!
//! ```text
//! Placement ─ one core for the server, one for us        DataFolder ─ no tmpfs, the disk's own sync
//! Spawned ─ start, stop, kill, restart ─ pid ─▶ usage    ops listener ─▶ Metrics
//! Backing ─ Redis and Cassandra, for several servers that are a cluster
//! ```

mod backing;
mod data_folder;
mod metrics;
mod placement;
mod spawned;
pub mod usage;

pub use backing::Backing;
pub use data_folder::DataFolder;
pub use metrics::Metrics;
pub use placement::Placement;
pub use spawned::{Spawned, server_beside_us};
