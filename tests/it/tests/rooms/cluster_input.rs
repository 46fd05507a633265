//! What a node of a cluster should not be given: garbage, another version's envelopes, a name that is taken, a clock that is wrong.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rollcall::cluster::{LocalBus, LocalInbound};
use rollcall_actors::cluster::{ENVELOPE_FORMAT, Standing};
use rollcall_actors::ports::{Bus, Inbound, InboundEvent, NodeId, PortFuture};
use rollcall_it::together::Together;

use super::desk::{Desk, ack};
use super::node::{NOON_MS, Node, ROOMY, in_time, room};
use super::reader::Reader;

const HOUR_MS: i64 = 3_600_000;

#[tokio::test]
async fn garbage_on_the_bus_is_counted_and_passed_over() {
    let together = Together::at(NOON_MS);
    let (a, b) = (Node::join(&together, "a", ROOMY).await, Node::join(&together, "b", ROOMY).await);
    let garbage: [&[u8]; 6] =
        [b"", b"hello", &[ENVELOPE_FORMAT], &[ENVELOPE_FORMAT, 0x93, 0xff], &[0xff; 300], &[9, 1, 2]];
    let mut reader = Reader::join(&b, "general", 0).await;
    for (n, bytes) in (1..).zip(garbage) {
        for node in ["a", "b"] {
            together.bus.send(&NodeId(node.into()), Bytes::copy_from_slice(bytes));
        }
        Desk::at(&a, "general", "ann").persist(n, "and on").await;
    }
    reader.read_to(7).await;
    for node in [&a, &b] {
        let stats = node.directory.cluster().unwrap().stats();
        let passed_over = || stats.envelopes_malformed.get() + stats.envelopes_of_other_formats.get();
        super::node::until(|| passed_over() == 6).await;
        assert_eq!(stats.envelopes_malformed.get(), 3, "what begins with another number is of another format");
    }
}

/// The bus of a node of the next version: it writes its own format, and reads both.
#[derive(Clone)]
struct NextVersion(LocalBus);

const NEXT_FORMAT: u8 = ENVELOPE_FORMAT + 1;

impl Bus for NextVersion {
    fn send(&self, to: &NodeId, envelope: Bytes) {
        let mut bytes = envelope.to_vec();
        bytes[0] = NEXT_FORMAT;
        self.0.send(to, bytes.into());
    }

    fn losses(&self) -> u64 {
        self.0.losses()
    }
}

struct BothFormats(LocalInbound);

impl Inbound for BothFormats {
    fn next(&mut self) -> PortFuture<'_, InboundEvent> {
        Box::pin(async {
            match self.0.next().await {
                InboundEvent::Envelope(bytes) => {
                    let mut bytes = bytes.to_vec();
                    bytes[0] = ENVELOPE_FORMAT;
                    InboundEvent::Envelope(bytes.into())
                }
                event => event,
            }
        })
    }
}

#[tokio::test]
async fn two_versions_side_by_side_show_the_same_and_lose_nothing() {
    let together = Together::at(NOON_MS);
    let mut newer = together.ports("newer");
    newer.bus = Arc::new(NextVersion(together.bus.clone()));
    newer.inbound = Box::new(BothFormats(together.bus.join(newer.me.node.clone())));
    let newer = Node::come(&together, newer, ROOMY, 0).await;
    newer.see(|view| view.standing == Standing::Member).await;
    let mut ann = Desk::at(&newer, "general", "ann");
    ann.persist(1, "1").await;
    let older = Node::join(&together, "older", ROOMY).await;
    // The older one understands nothing of what the newer one says, and reads the log.
    let mut reader = Reader::join(&older, "general", 0).await;
    reader.read_to(2).await;
    for n in 2..=4 {
        ann.persist(n, &n.to_string()).await;
        tokio::time::timeout(Duration::from_secs(2), reader.read_to(n + 1)).await.expect("within two seconds");
    }
    assert!(older.directory.cluster().unwrap().stats().envelopes_of_other_formats.get() > 0);
    assert_eq!(older.directory.cluster().unwrap().stats().envelopes_malformed.get(), 0);
    // A write there gets to the owner, and is stored once, however often it is sent.
    let mut bob = Desk::at(&older, "general", "bob");
    let id = bob.send(1, "from the older one");
    reader.read_to(6).await;
    let mut bob_elsewhere = Desk::at(&newer, "general", "bob");
    assert_eq!(bob_elsewhere.persist(1, "from the older one").await.seq, ack(6).seq);
    let _ = id;
    assert_eq!(newer.history(&room("general")).await.len(), 6);
}

#[tokio::test]
async fn of_two_nodes_with_one_name_the_later_one_gives_up() {
    let together = Together::at(NOON_MS);
    let first = Node::join(&together, "a", ROOMY).await;
    let bus = LocalBus::default();
    let mut ports = together.ports_with("a", Arc::new(together.ownership.clone()));
    ports.inbound = Box::new(bus.join(ports.me.node.clone()));
    let second = Node::come(&together, ports, ROOMY, 0).await;
    second.see(|view| matches!(view.standing, Standing::NameTaken { .. })).await;
    assert!(!second.directory.cluster().unwrap().view().borrow().takes_rooms);
    first.see(|view| view.standing == Standing::Member && view.takes_rooms).await;
    assert_eq!(Desk::at(&first, "general", "ann").persist(1, "1").await, ack(2));
}

#[tokio::test]
async fn a_node_whose_clock_is_an_hour_off_takes_no_rooms_and_serves_those_of_others() {
    let together = Together::at(NOON_MS);
    for ahead_ms in [HOUR_MS, -HOUR_MS] {
        let name = format!("room{ahead_ms}");
        let wrong = Node::come(&together, together.ports("wrong"), ROOMY, ahead_ms).await;
        wrong.see(|view| matches!(view.standing, Standing::ClockWrong { .. }) && !view.takes_rooms).await;
        let right = Node::join(&together, "right", ROOMY).await;
        wrong.see(|view| view.peers.len() == 1).await;
        let mut ann = Desk::at(&wrong, &name, "ann");
        assert_eq!(in_time(ann.persist(1, "1")).await, ack(2));
        let mut reader = Reader::join(&wrong, &name, 0).await;
        reader.read_to(2).await;
        assert_eq!(wrong.log.activations_so_far(), 0, "it has taken no room");
        assert_eq!(right.log.activations_so_far(), 1);
        right.directory.drain().await;
    }
}
