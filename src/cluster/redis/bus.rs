//! The bus between nodes over Redis.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use rollcall_actors::ports::{Bus, NodeId};

use super::client::RedisClient;
use super::outbox::Outbox;
use super::outboxes::Outboxes;

/// Carries envelopes to the channels of other nodes: what goes to one node in the order in which it was sent, each at most once.
#[derive(Debug, Clone)]
pub struct RedisBus {
    client: RedisClient,
    outboxes: Arc<Mutex<Outboxes<Outbox>>>,
    losses: Arc<AtomicU64>,
}

impl RedisBus {
    /// Makes a bus that publishes by a client.
    pub fn new(client: RedisClient) -> Self {
        Self { client, outboxes: Arc::default(), losses: Arc::default() }
    }
}

impl Bus for RedisBus {
    fn send(&self, to: &NodeId, envelope: Bytes) {
        let mut outboxes = self.outboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let open = || Outbox::open(self.client.clone(), to, Arc::clone(&self.losses));
        outboxes.to(Instant::now(), to, open).send(envelope);
    }

    fn losses(&self) -> u64 {
        self.losses.load(Ordering::Relaxed)
    }
}
