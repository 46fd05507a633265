//! What goes out to other nodes: payloads are written once, and put together into one envelope for each node.

use std::sync::Arc;

use bytes::Bytes;

use super::stats::{ClusterStats, Kind};
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
    waiting: Vec<(NodeRef, Vec<Written>)>,
}

/// A payload as it goes into an envelope.
#[derive(Clone)]
struct Written {
    kind: Kind,
    bytes: Bytes,
}

impl Outgoing {
    pub fn new(me: NodeRef, bus: Arc<dyn Bus>, stats: Arc<ClusterStats>) -> Self {
        Self { me, bus, stats, waiting: Vec::new() }
    }

    /// Takes payloads, in their order, for the next envelope to a node: with a batch, or when [flushed](Self::flush).
    pub fn send(&mut self, to: NodeRef, payloads: &[Payload]) {
        let payloads = payloads.iter().map(write);
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
        let batch = write(&Payload::Batch(batch));
        for (node, replies) in to {
            let waiting = self.waiting.iter().position(|(waiting, _)| *waiting == node);
            let mut payloads = waiting.map_or_else(Vec::new, |at| self.waiting.swap_remove(at).1);
            payloads.push(batch.clone());
            payloads.extend(replies.into_iter().map(|reply| write(&Payload::SubmitReply(reply))));
            self.post(&node, payloads);
        }
    }

    /// Returns how many envelopes may have been lost on this side.
    pub fn losses(&self) -> u64 {
        self.bus.losses()
    }

    /// Sends payloads in as few envelopes as they fit in.
    fn post(&self, to: &NodeRef, payloads: Vec<Written>) {
        let (mut together, mut bytes) = (Vec::new(), ENVELOPE_FRAME_BYTES);
        for payload in payloads {
            if bytes + payload.bytes.len() > ENVELOPE_BYTES_MAX && !together.is_empty() {
                self.seal(to, &std::mem::take(&mut together));
                bytes = ENVELOPE_FRAME_BYTES;
            }
            bytes += payload.bytes.len();
            together.push(payload);
        }
        self.seal(to, &together);
    }

    fn seal(&self, to: &NodeRef, payloads: &[Written]) {
        let bytes: Vec<Bytes> = payloads.iter().map(|payload| payload.bytes.clone()).collect();
        match seal(&self.me, to, &bytes) {
            Ok(envelope) => {
                self.count(payloads);
                self.bus.send(&to.node, envelope);
            }
            // No payload is as large as that. It counts as lost, as the bus may lose any.
            Err(error) => tracing::error!(%to, %error, "failed to send an envelope"),
        }
    }

    /// Counts an envelope by the batch in it, or else by what is first in it; and apart from that, what is said.
    fn count(&self, payloads: &[Written]) {
        let batch = payloads.iter().position(|payload| payload.kind == Kind::BATCH);
        if let Some(first) = payloads.get(batch.unwrap_or(0)) {
            self.stats.envelopes_sent.count(first.kind);
        }
        for (at, payload) in payloads.iter().enumerate() {
            self.stats.sent.count(payload.kind);
            if batch.is_some_and(|batch| batch != at) {
                self.stats.sent_with_batches.count(payload.kind);
            }
        }
    }
}

fn write(payload: &Payload) -> Written {
    Written { kind: Kind::of(payload), bytes: payload.encode() }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use rollcall_protocol::{DeviceId, ErrorCode, ErrorFrame, UserId};

    use super::*;
    use crate::cluster::test_rooms::{TestRoom, fence, node, room};
    use crate::cluster::{Correlation, Envelope, Watch};
    use crate::ports::NodeId;
    use crate::shell::SENT_KINDS;

    #[derive(Default)]
    struct TestBus(Mutex<Vec<(NodeId, Bytes)>>);

    impl Bus for TestBus {
        fn send(&self, to: &NodeId, envelope: Bytes) {
            self.0.lock().unwrap().push((to.clone(), envelope));
        }

        fn losses(&self) -> u64 {
            0
        }
    }

    fn batch(entries: usize) -> Batch {
        let mut log = TestRoom::new(room("general"));
        log.append(fence(1), entries);
        Batch::new(room("general"), log.entries.into())
    }

    fn reply(n: u64) -> SubmitReply {
        SubmitReply {
            correlation: Correlation { incarnation: node("b").incarnation, counter: n },
            room: room("general"),
            user: UserId::parse("ann").unwrap(),
            device: DeviceId::parse("phone").unwrap(),
            n,
            result: Err(ErrorFrame::new(ErrorCode::Busy, "later")),
        }
    }

    fn watch(room_name: &str) -> Payload {
        Payload::Watch(Watch { room: room(room_name), number: 1 })
    }

    /// What was counted, without what was not.
    fn counted(counts: &crate::shell::ByKind) -> Vec<(&'static str, u64)> {
        SENT_KINDS.into_iter().zip(counts.get()).filter(|(_, count)| *count > 0).collect()
    }

    #[test]
    fn a_batch_is_one_envelope_for_each_node_and_takes_along_what_else_goes_there() {
        let (bus, stats) = (Arc::new(TestBus::default()), Arc::new(ClusterStats::default()));
        let mut outgoing = Outgoing::new(node("a"), Arc::clone(&bus) as Arc<dyn Bus>, Arc::clone(&stats));
        outgoing.send(node("b"), &[watch("general")]);
        outgoing.send(node("d"), &[watch("general"), watch("random")]);
        outgoing.publish(batch(3), vec![(node("b"), vec![reply(1), reply(2)]), (node("c"), Vec::new())]);
        outgoing.flush();

        let sent = bus.0.lock().unwrap();
        let said: Vec<(&str, usize)> =
            sent.iter().map(|(to, bytes)| (&*to.0, Envelope::decode(bytes).unwrap().payloads.len())).collect();
        assert_eq!(said, [("b", 4), ("c", 1), ("d", 2)]);
        // Every envelope is counted once, by what it is sent for.
        assert_eq!(counted(&stats.envelopes_sent), [("watch", 1), ("batch", 2)]);
        assert_eq!(counted(&stats.sent_with_batches), [("submit_reply", 2), ("watch", 1)]);
        assert_eq!(counted(&stats.sent), [("submit_reply", 2), ("watch", 3), ("batch", 2)]);
    }
}
