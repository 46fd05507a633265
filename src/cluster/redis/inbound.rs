//! What comes in for this node: one sharded channel, subscribed again whenever it has to be.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use rollcall_actors::ports::{InboundEvent, NodeId, PortFuture};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::connect::Pauses;
use super::error::RedisError;
use super::settings::{RedisSettings, Servers};
use super::subscription::{OnMessage, Subscription, channel_of};

/// Envelopes that may wait to be taken.
const WAITING_MAX: usize = 16 * 1024;

/// Their size, in bytes. What comes on top of it is lost, and that is said.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The node's inbound channel. Dropped, it is unsubscribed.
#[derive(Debug)]
pub struct Inbound {
    events: mpsc::UnboundedReceiver<InboundEvent>,
    waiting: Arc<Waiting>,
    task: AbortHandle,
}

/// What was not taken yet.
#[derive(Debug, Default)]
struct Waiting {
    envelopes: AtomicUsize,
    bytes: AtomicUsize,
    /// Since envelopes were dropped, and it was said.
    is_full: AtomicBool,
}

impl Inbound {
    /// Begins to subscribe, without end. Needs a runtime.
    ///
    /// # Errors
    /// Where the settings name no server. One that cannot be reached is no error.
    pub fn start(settings: &RedisSettings, node: &NodeId) -> Result<Self, RedisError> {
        let servers = settings.read()?;
        let (sender, events) = mpsc::unbounded_channel();
        let waiting = Arc::new(Waiting::default());
        let task = tokio::spawn(subscribe(servers, channel_of(node), sender, Arc::clone(&waiting)));
        Ok(Self { events, waiting, task: task.abort_handle() })
    }

    /// Returns what comes next.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> InboundEvent {
        // The sender lives in a task that ends with `self` alone.
        let Some(event) = self.events.recv().await else { return std::future::pending().await };
        if let InboundEvent::Envelope(envelope) = &event {
            self.waiting.taken(envelope);
        }
        event
    }
}

impl rollcall_actors::ports::Inbound for Inbound {
    fn next(&mut self) -> PortFuture<'_, InboundEvent> {
        Box::pin(Self::next(self))
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Waiting {
    fn taken(&self, envelope: &Bytes) {
        self.envelopes.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(envelope.len(), Ordering::Relaxed);
    }

    /// Counts an envelope in, if there is room for it. Once something was lost there is none before half of what waits was taken: what
    /// follows from a loss costs much, and would come again with each place that is free for a moment.
    fn admits(&self, envelope: &Bytes) -> bool {
        let envelopes = self.envelopes.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.bytes.fetch_add(envelope.len(), Ordering::Relaxed) + envelope.len();
        let part = if self.is_full.load(Ordering::Relaxed) { 2 } else { 1 };
        if envelopes <= WAITING_MAX / part && bytes <= WAITING_BYTES_MAX / part {
            return true;
        }
        self.taken(envelope);
        false
    }

    /// Hands an envelope on, or says that one was lost: once for each time that there was no room, and that there is again.
    fn hand_on(&self, envelope: Bytes, events: &mpsc::UnboundedSender<InboundEvent>) {
        if self.admits(&envelope) {
            if self.is_full.swap(false, Ordering::Relaxed) {
                let _ = events.send(InboundEvent::Subscribed);
            }
            let _ = events.send(InboundEvent::Envelope(envelope));
        } else if !self.is_full.swap(true, Ordering::Relaxed) {
            let _ = events.send(InboundEvent::Interrupted);
        }
    }
}

async fn subscribe(
    servers: Servers,
    channel: String,
    events: mpsc::UnboundedSender<InboundEvent>,
    waiting: Arc<Waiting>,
) {
    let mut pauses = Pauses::new();
    let mut told = None;
    loop {
        // Messages of this subscription alone: one that was given up may have some left.
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, waits, sender) = (Arc::clone(&is_over), Arc::clone(&waiting), events.clone());
        let on_message: OnMessage = Arc::new(move |envelope| {
            if !over.load(Ordering::Acquire) {
                waits.hand_on(envelope, &sender);
            }
        });
        match Subscription::open(&servers, &channel, &on_message).await {
            Ok(mut subscription) => {
                waiting.is_full.store(false, Ordering::Relaxed);
                let _ = events.send(InboundEvent::Subscribed);
                told = None;
                pauses = Pauses::new();
                subscription.ended(&servers).await;
                is_over.store(true, Ordering::Release);
                tracing::info!(%channel, "the subscription has ended; subscribing again");
                let _ = events.send(InboundEvent::Interrupted);
            }
            Err(error) => {
                is_over.store(true, Ordering::Release);
                if told.as_ref() != Some(&error) {
                    tracing::warn!(%channel, %error, "failed to subscribe; trying on");
                    told = Some(error);
                }
            }
        }
        pauses.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_taken_is_lost_in_the_end_and_that_is_said() {
        let (sender, mut events) = mpsc::unbounded_channel();
        let waiting = Waiting::default();
        let large = Bytes::from(vec![0; WAITING_BYTES_MAX / 2]);
        (0..4).for_each(|_| waiting.hand_on(large.clone(), &sender));
        let mut take = || events.try_recv().unwrap();
        assert_eq!(take(), InboundEvent::Envelope(large.clone()));
        assert_eq!(take(), InboundEvent::Envelope(large.clone()));
        assert_eq!(take(), InboundEvent::Interrupted);
        waiting.taken(&large);
        waiting.hand_on(Bytes::from_static(b"too soon"), &sender);
        waiting.taken(&large);
        waiting.hand_on(Bytes::from_static(b"small"), &sender);
        assert_eq!(take(), InboundEvent::Subscribed);
        assert_eq!(take(), InboundEvent::Envelope(Bytes::from_static(b"small")));
    }
}
