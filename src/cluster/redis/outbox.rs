//! What waits to be published to one node: in order, and a whole pipeline at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use redis::{Pipeline, pipe};
use rollcall_actors::ports::NodeId;
use tokio::sync::mpsc;

use super::client::RedisClient;
use super::subscription::channel_of;

/// Envelopes that may wait for one node.
const WAITING_MAX: usize = 4_096;

/// Their size, in bytes. What comes on top of it is lost, as a bus may lose it.
const WAITING_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Envelopes that are published together.
const TOGETHER_MAX: usize = 64;

/// Their size, in bytes, without the last.
const TOGETHER_BYTES_MAX: usize = 1024 * 1024;

/// The way to one node. Dropped, what waits is lost.
#[derive(Debug)]
pub(super) struct Outbox {
    sender: mpsc::Sender<Bytes>,
    waiting_bytes: Arc<AtomicUsize>,
    losses: Arc<AtomicU64>,
}

impl Outbox {
    /// Opens the way to a node. `losses` grows with each envelope that may be lost.
    pub fn open(client: RedisClient, to: &NodeId, losses: Arc<AtomicU64>) -> Self {
        let (sender, waiting) = mpsc::channel(WAITING_MAX);
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let task = publish_all(client, channel_of(to), waiting, Arc::clone(&waiting_bytes), Arc::clone(&losses));
        tokio::spawn(task);
        Self { sender, waiting_bytes, losses }
    }

    pub fn send(&self, envelope: Bytes) {
        let bytes = envelope.len();
        let before = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > WAITING_BYTES_MAX || self.sender.try_send(envelope).is_err() {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.losses.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Publishes what waits until the outbox is dropped.
async fn publish_all(
    client: RedisClient,
    channel: String,
    mut waiting: mpsc::Receiver<Bytes>,
    waiting_bytes: Arc<AtomicUsize>,
    losses: Arc<AtomicU64>,
) {
    while let Some(first) = waiting.recv().await {
        let mut pipeline: Pipeline = pipe();
        let (mut count, mut bytes) = (0, 0);
        let mut next = Some(first);
        while let Some(envelope) = next {
            count += 1;
            bytes += envelope.len();
            pipeline.cmd("SPUBLISH").arg(&channel).arg(&envelope[..]);
            next = if count < TOGETHER_MAX && bytes < TOGETHER_BYTES_MAX { waiting.try_recv().ok() } else { None };
        }
        waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        if let Err(error) = client.publish(&pipeline).await {
            losses.fetch_add(count as u64, Ordering::Relaxed);
            tracing::debug!(%channel, count, %error, "envelopes may be lost");
        }
    }
}
