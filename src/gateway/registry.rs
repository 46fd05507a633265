//! The registry: every connection's inbox, to reach them all when the server stops.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rollcall_actors::shell::Inbox;
use rollcall_protocol::CloseCode;
use slab::Slab;

/// How long a client at least stays, in milliseconds, that comes when the server sends its clients away: one that knows no other place
/// comes again and again. It may be twice as long, so that they do not all leave at once.
const NEWCOMER_STAYS_MS: u64 = 5_000;

/// Every connection that said hello. Clones are one.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    inboxes: Slab<Arc<Inbox>>,
    /// Clients were told that the server goes away.
    goes_away: bool,
}

/// A connection's place in the registry; dropping it takes the connection out.
#[derive(Debug)]
pub struct Registered {
    shared: Arc<Mutex<Shared>>,
    key: usize,
}

impl Registry {
    /// Adds a connection. Where the server goes away, that is told to it too.
    pub fn add(&self, inbox: Arc<Inbox>) -> Registered {
        let mut shared = lock(&self.shared);
        if shared.goes_away {
            inbox.announce(rand::random_range(NEWCOMER_STAYS_MS..=2 * NEWCOMER_STAYS_MS));
        }
        let key = shared.inboxes.insert(inbox);
        Registered { shared: Arc::clone(&self.shared), key }
    }

    /// Tells each connection that the server goes away, and when to come back: spread over `window_ms`. From then on newcomers are
    /// told, too.
    pub fn announce(&self, window_ms: u64) {
        let mut shared = lock(&self.shared);
        shared.goes_away = true;
        for (_, inbox) in &shared.inboxes {
            inbox.announce(rand::random_range(0..=window_ms));
        }
    }

    /// Asks each connection to close itself.
    pub fn close_all(&self, code: CloseCode) {
        for (_, inbox) in &lock(&self.shared).inboxes {
            inbox.request_close(code);
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&self.shared).inboxes.try_remove(self.key);
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // No code that holds the lock panics half-way through a change.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
