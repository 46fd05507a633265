//! Nodes in one process: a server by itself, and several that a test runs side by side.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rollcall_actors::ports::{Bus, NodeId, Ownership, PortFuture};
use rollcall_protocol::RoomId;
use tokio::sync::mpsc;

/// Envelopes that may wait for a node; what comes on top of them is lost, as a bus may lose it.
const INBOX_ENVELOPES_MAX: usize = 4_096;

/// The ownership of a server that has no others beside it: every room is its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl Ownership for Alone {
    fn locate<'a>(&'a self, _room: &'a RoomId) -> PortFuture<'a, Option<NodeId>> {
        Box::pin(std::future::ready(None))
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

impl LocalBus {
    /// Joins as a node, and returns what others send it. A node of the same name gets nothing from then on.
    pub fn join(&self, node: NodeId) -> mpsc::Receiver<Bytes> {
        let (sender, inbox) = mpsc::channel(INBOX_ENVELOPES_MAX);
        self.inboxes().insert(node, sender);
        inbox
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> NodeId {
        NodeId(name.into())
    }

    #[tokio::test]
    async fn a_server_by_itself_owns_every_room() {
        assert_eq!(Alone.locate(&RoomId::parse("general").unwrap()).await, None);
    }

    #[tokio::test]
    async fn envelopes_come_in_order_and_to_their_node_alone() {
        let bus = LocalBus::default();
        let (mut ann, mut bob) = (bus.join(node("ann")), bus.join(node("bob")));
        for envelope in ["1", "2", "3"] {
            bus.clone().send(&node("ann"), Bytes::from(envelope));
        }
        for envelope in ["1", "2", "3"] {
            assert_eq!(ann.recv().await.unwrap(), envelope);
        }
        assert!(bob.try_recv().is_err(), "nothing was sent there");
    }

    #[tokio::test]
    async fn envelopes_are_lost_where_nobody_takes_them() {
        let bus = LocalBus::default();
        bus.send(&node("ann"), Bytes::from("before it joined"));
        let mut ann = bus.join(node("ann"));
        for number in 0..=INBOX_ENVELOPES_MAX {
            bus.send(&node("ann"), Bytes::from(number.to_string()));
        }
        let mut received = Vec::new();
        while let Ok(envelope) = ann.try_recv() {
            received.push(envelope);
        }
        assert_eq!(received.len(), INBOX_ENVELOPES_MAX, "one was too many");
        assert_eq!(received[0], "0");

        let mut again = bus.join(node("ann"));
        bus.send(&node("ann"), Bytes::from("to the newer one"));
        assert_eq!(again.recv().await.unwrap(), "to the newer one");
        assert_eq!(ann.recv().await, None);
    }
}
