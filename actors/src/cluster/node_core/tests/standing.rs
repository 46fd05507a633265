use rollcall_protocol::Seq;

use super::desk::{Desk, fence, life, room};
use crate::cluster::NodeRef;
use crate::cluster::envelope::{Payload, Watch};
use crate::cluster::node_core::{NodeEffect, NodeInput, OwnerEvent};
use crate::cluster::test_rooms::TestRoom;

/// Returns to whom a batch is published that the owner commits now.
fn published(desk: &mut Desk, owner: u64, log: &mut TestRoom) -> Vec<NodeRef> {
    let entries = log.append(fence(1), 1).into();
    let wanted = desk.owner(owner, OwnerEvent::Committed { entries, floor: Seq::FIRST, replies: Vec::new() });
    let to = |effect: &NodeEffect<_>| match effect {
        NodeEffect::Publish { to, .. } => to.iter().map(|(node, _)| node.clone()).collect(),
        _ => Vec::new(),
    };
    wanted.iter().flat_map(to).collect()
}

#[test]
fn a_node_whose_lease_has_ended_is_told_of_entries_as_long_as_its_watch_lasts() {
    let mut desk = Desk::new();
    let owner = desk.start();
    desk.activate(owner, 1);
    desk.meet("b");
    desk.receive("b", Payload::Watch(Watch { room: room(), number: 1 }));
    let mut log = TestRoom::new(room());
    assert_eq!(published(&mut desk, owner, &mut log), [life("b")]);
    desk.redis.set(format!("node:{{{}}}", "b"), "".into());
    desk.pass(2_000);
    assert_eq!(desk.core.peers().live().count(), 0);
    assert_eq!(published(&mut desk, owner, &mut log), [life("b")]);
    // One that lives another life does not get what was meant for the last.
    desk.receive("b", Payload::Watch(Watch { room: room(), number: 2 }));
    desk.meet("b");
    desk.redis.set("node:{b}".to_owned(), "0000000000000002 open -".into());
    desk.pass(2_000);
    assert_eq!(published(&mut desk, owner, &mut log), []);
}
