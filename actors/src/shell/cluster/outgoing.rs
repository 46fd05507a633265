//! What goes out to other nodes: payloads are written once, and put together into one envelope for each node.

use std::sync::Arc;

use bytes::Bytes;

use super::stats::ClusterStats;
use crate::cluster::{Batch, ENVELOPE_BYTES_MAX, NodeRef, Payload, SubmitReply, seal};
use crate::ports::Bus;

/// What an envelope has besides its payloads, in bytes at most: two names of nodes, their lives and some lengths.
const ENVELOPE_FRAME_BYTES: usize = 256;

/// Sends for one node: what goes to another one at one moment goes together.
pub(super) struct Outgoing {
    me: NodeRef,
    bus: Arc<dyn Bus>,
    stats: Arc<ClusterStats>,
    /// What is to go with the next envelope to each node, in its order.
    waiting: Vec<(NodeRef, Vec<Bytes>)>,
}

impl Outgoing {
    pub fn new(me: NodeRef, bus: Arc<dyn Bus>, stats: Arc<ClusterStats>) -> Self {
        Self { me, bus, stats, waiting: Vec::new() }
    }

    /// Takes payloads, in their order, for the next envelope to a node: with a batch, or when [flushed](Self::flush).
    pub fn send(&mut self, to: NodeRef, payloads: &[Payload]) {
        payloads.iter().for_each(|payload| self.stats.count_sent(payload));
        let payloads = payloads.iter().map(Payload::encode);
        match self.waiting.iter_mut().find(|(node, _)| *node == to) {
            Some((_, waiting)) => waiting.extend(payloads),
            None => self.waiting.push((to, payloads.collect())),
        }
    }

    /// Sends what waits.
    pub fn flush(&mut self) {
        for (to, payloads) in std::mem::take(&mut self.waiting) {
            self.post(&to, payloads);
        }
    }

    /// Sends a batch to each node that watches the room, and with it what else goes there.
    pub fn publish(&mut self, batch: Batch, to: Vec<(NodeRef, Vec<SubmitReply>)>) {
        let batch = Payload::Batch(batch);
        let written = batch.encode();
        for (node, replies) in to {
            self.stats.count_sent(&batch);
            let waiting = self.waiting.iter().position(|(waiting, _)| *waiting == node);
            let mut payloads = waiting.map_or_else(Vec::new, |at| self.waiting.swap_remove(at).1);
            payloads.push(written.clone());
            for reply in replies {
                let reply = Payload::SubmitReply(reply);
                self.stats.count_sent(&reply);
                payloads.push(reply.encode());
            }
            // One, unless what goes along does not fit.
            (0..self.post(&node, payloads)).for_each(|_| self.stats.batch_envelopes_sent.count());
        }
    }

    /// Returns how many envelopes may have been lost on this side.
    pub fn losses(&self) -> u64 {
        self.bus.losses()
    }

    /// Sends payloads in as few envelopes as they fit in, and returns how many.
    fn post(&self, to: &NodeRef, payloads: Vec<Bytes>) -> usize {
        let (mut together, mut bytes, mut envelopes) = (Vec::new(), ENVELOPE_FRAME_BYTES, 1);
        for payload in payloads {
            if bytes + payload.len() > ENVELOPE_BYTES_MAX && !together.is_empty() {
                self.seal(to, &std::mem::take(&mut together));
                bytes = ENVELOPE_FRAME_BYTES;
                envelopes += 1;
            }
            bytes += payload.len();
            together.push(payload);
        }
        self.seal(to, &together);
        envelopes
    }

    fn seal(&self, to: &NodeRef, payloads: &[Bytes]) {
        match seal(&self.me, to, payloads) {
            Ok(envelope) => {
                self.stats.envelopes_sent.count();
                self.bus.send(&to.node, envelope);
            }
            // No payload is as large as that. It counts as lost, as the bus may lose any.
            Err(error) => tracing::error!(%to, %error, "failed to send an envelope"),
        }
    }
}
