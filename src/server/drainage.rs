//! Takes a node out of service while it goes on: its rooms go to others, then its clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rollcall_actors::shell::Directory;
use rollcall_protocol::CloseCode;
use tokio::runtime::Handle;

use crate::gateway::Registry;
use crate::ops::Check;

/// What a node needs to take itself out of service. It comes back into it by a restart.
#[derive(Clone)]
pub struct Drainage {
    /// Whether the server should be sent clients.
    pub serving: Check,
    /// The rooms.
    pub directory: Directory,
    /// The connections.
    pub registry: Registry,
    /// Over how long clients are told to spread their reconnects.
    pub window: Duration,
    /// Where this is done.
    pub runtime: Handle,
    /// Whether it has begun.
    pub has_begun: Arc<AtomicBool>,
}

impl Drainage {
    /// Begins, where it has not begun before; says whether that is so. From here on the node is not ready and takes no rooms; its
    /// rooms go to others; its clients are told to come back, each after another while, and those who are still there then are sent away.
    /// Who comes all the same is served, and told the same.
    pub fn begin(&self) -> bool {
        let Some(cluster) = self.directory.cluster() else { return false };
        if self.has_begun.swap(true, Ordering::SeqCst) {
            return false;
        }
        self.serving.fail("draining: an operator has taken this node out of service");
        cluster.drain();
        self.registry.announce(u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX));
        let (registry, window) = (self.registry.clone(), self.window);
        self.runtime.spawn(async move {
            tokio::time::sleep(window).await;
            registry.close_all(CloseCode::GoingAway);
        });
        true
    }
}
