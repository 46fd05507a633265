//! Nodes of one process, which a test runs side by side: what Redis does for others, without it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use rollcall_actors::cluster::ownership::{RedisAnswer, RedisCommand, RedisKeys};
use rollcall_actors::ports::{Bus, Inbound, InboundEvent, NodeId, Ownership, PortFuture};
use tokio::sync::mpsc;

/// Envelopes that may wait for a node; what comes on top of them is lost, as a bus may lose it.
const INBOX_ENVELOPES_MAX: usize = 4_096;

/// Who owns what among the nodes of one process. Clones share it.
#[derive(Debug, Clone)]
pub struct LocalOwnership {
    keys: Arc<Mutex<RedisKeys>>,
    began: Instant,
    began_ms: u64,
}

/// What a [`LocalOwnership`] held at some time.
#[derive(Debug, Clone)]
pub struct SavedOwnership(RedisKeys);

impl LocalOwnership {
    /// Begins with no keys, at a time of day in milliseconds since 1970.
    pub fn new(now_ms: u64) -> Self {
        Self { keys: Arc::default(), began: Instant::now(), began_ms: now_ms }
    }

    /// Returns the time of day, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        let passed_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.began_ms.saturating_add(passed_ms)
    }

    /// Forgets everything, as a Redis does that is wiped.
    pub fn wipe(&self) {
        *self.keys() = RedisKeys::default();
    }

    /// Returns what it holds now.
    pub fn saved(&self) -> SavedOwnership {
        SavedOwnership(self.keys().clone())
    }

    /// Goes back to what it held, as a Redis does that comes back with an old dump or at a replica that lags behind.
    pub fn rewind(&self, to: SavedOwnership) {
        *self.keys() = to.0;
    }

    // A command panics before it changes anything, if at all.
    fn keys(&self) -> MutexGuard<'_, RedisKeys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ownership for LocalOwnership {
    fn run<'a>(&'a self, command: &'a RedisCommand) -> PortFuture<'a, RedisAnswer> {
        let answer = self.keys().run(self.now_ms(), command);
        Box::pin(std::future::ready(answer))
    }
}

/// A bus between the nodes of one process. Clones are the same bus.
///
/// In order between any two nodes, and at most once: an envelope to a node that has not joined, has left or does not keep up is
/// lost without a sign.
#[derive(Debug, Clone, Default)]
pub struct LocalBus {
    inboxes: Arc<Mutex<BTreeMap<NodeId, mpsc::Sender<Bytes>>>>,
}

/// What a node gets from a [`LocalBus`].
#[derive(Debug)]
pub struct LocalInbound {
    envelopes: mpsc::Receiver<Bytes>,
    has_subscribed: bool,
}

impl LocalBus {
    /// Joins as a node, and returns what others send it. A node of the same name gets nothing from then on.
    pub fn join(&self, node: NodeId) -> LocalInbound {
        let (sender, envelopes) = mpsc::channel(INBOX_ENVELOPES_MAX);
        self.inboxes().insert(node, sender);
        LocalInbound { envelopes, has_subscribed: false }
    }

    /// Lets a node get nothing from now on, as one does that is cut off.
    pub fn cut_off(&self, node: &NodeId) {
        self.inboxes().remove(node);
    }

    fn inboxes(&self) -> MutexGuard<'_, BTreeMap<NodeId, mpsc::Sender<Bytes>>> {
        // No code that holds the lock panics half-way through a change.
        self.inboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bus for LocalBus {
    fn send(&self, to: &NodeId, envelope: Bytes) {
        if let Some(inbox) = self.inboxes().get(to) {
            let _ = inbox.try_send(envelope);
        }
    }

    fn losses(&self) -> u64 {
        0
    }
}

impl Inbound for LocalInbound {
    fn next(&mut self) -> PortFuture<'_, InboundEvent> {
        Box::pin(async {
            if !std::mem::replace(&mut self.has_subscribed, true) {
                return InboundEvent::Subscribed;
            }
            match self.envelopes.recv().await {
                Some(envelope) => InboundEvent::Envelope(envelope),
                None => std::future::pending().await,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn node(name: &str) -> NodeId {
        NodeId(name.into())
    }

    async fn envelopes(inbound: &mut LocalInbound) -> Vec<Bytes> {
        let mut envelopes = Vec::new();
        while let Ok(event) = tokio::time::timeout(Duration::from_millis(20), inbound.next()).await {
            match event {
                InboundEvent::Envelope(envelope) => envelopes.push(envelope),
                event => assert_eq!(event, InboundEvent::Subscribed),
            }
        }
        envelopes
    }

    #[tokio::test]
    async fn envelopes_come_in_order_and_to_their_node_alone() {
        let bus = LocalBus::default();
        let (mut ann, mut bob) = (bus.join(node("ann")), bus.join(node("bob")));
        for envelope in ["1", "2", "3"] {
            bus.clone().send(&node("ann"), Bytes::from(envelope));
        }
        assert_eq!(envelopes(&mut ann).await, ["1", "2", "3"]);
        assert!(envelopes(&mut bob).await.is_empty(), "nothing was sent there");
    }

    #[tokio::test]
    async fn envelopes_are_lost_where_nobody_takes_them() {
        let bus = LocalBus::default();
        bus.send(&node("ann"), Bytes::from("before it joined"));
        let mut ann = bus.join(node("ann"));
        for number in 0..=INBOX_ENVELOPES_MAX {
            bus.send(&node("ann"), Bytes::from(number.to_string()));
        }
        let received = envelopes(&mut ann).await;
        assert_eq!(received.len(), INBOX_ENVELOPES_MAX, "one was too many");
        assert_eq!(received[0], "0");

        let mut again = bus.join(node("ann"));
        bus.send(&node("ann"), Bytes::from("to the newer one"));
        assert_eq!(envelopes(&mut again).await, ["to the newer one"]);
        assert!(envelopes(&mut ann).await.is_empty());
    }
}
