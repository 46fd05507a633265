//! The registry: every connection's inbox, to reach them all when the server stops.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rollcall_actors::shell::Inbox;
use rollcall_protocol::CloseCode;
use slab::Slab;

/// Every connection that said hello. Clones are one.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    inboxes: Arc<Mutex<Slab<Arc<Inbox>>>>,
}

/// A connection's place in the registry; dropping it takes the connection out.
#[derive(Debug)]
pub struct Registered {
    inboxes: Arc<Mutex<Slab<Arc<Inbox>>>>,
    key: usize,
}

impl Registry {
    /// Adds a connection.
    pub fn add(&self, inbox: Arc<Inbox>) -> Registered {
        let key = lock(&self.inboxes).insert(inbox);
        Registered { inboxes: Arc::clone(&self.inboxes), key }
    }

    /// Tells each connection that the server goes away, and when to come back: spread over `window_ms`.
    pub fn announce(&self, window_ms: u64) {
        for (_, inbox) in &*lock(&self.inboxes) {
            inbox.announce(rand::random_range(0..=window_ms));
        }
    }

    /// Asks each connection to close itself.
    pub fn close_all(&self, code: CloseCode) {
        for (_, inbox) in &*lock(&self.inboxes) {
            inbox.request_close(code);
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&self.inboxes).try_remove(self.key);
    }
}

fn lock(inboxes: &Mutex<Slab<Arc<Inbox>>>) -> MutexGuard<'_, Slab<Arc<Inbox>>> {
    // No code that holds the lock panics half-way through a change.
    inboxes.lock().unwrap_or_else(PoisonError::into_inner)
}
