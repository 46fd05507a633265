use rollcall_protocol::Seq;

use super::desk::{Desk, fence, life, room};
use crate::cluster::NodeRef;
use crate::cluster::envelope::{Payload, Watch};
use crate::cluster::node_core::{NodeEffect, NodeInput, OwnerEvent};
use crate::cluster::test_rooms::TestRoom;
use crate::cluster::watchers::WATCH_EXPIRES_MS;
use crate::room::StopReason;

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

#[test]
fn a_node_that_stops_does_not_wait_for_a_redis_that_is_away() {
    let mut desk = Desk::new();
    let owner = desk.start();
    desk.activate(owner, 1);
    desk.redis_is_up = false;
    let mut wanted = desk.give(NodeInput::Drain);
    wanted.extend(desk.owner(owner, OwnerEvent::Stopped { reason: StopReason::Drained }));
    wanted.extend(desk.pass(3_000));
    assert!(wanted.contains(&NodeEffect::Over), "{wanted:?}");
    assert_eq!(desk.pass(60_000).iter().filter(|effect| **effect == NodeEffect::Over).count(), 0, "it says so once");
}

#[test]
fn a_room_whose_last_watch_has_ended_unseen_is_watched_no_more() {
    let mut desk = Desk::new();
    let owner = desk.start();
    desk.activate(owner, 1);
    let watched = |is_watched| NodeEffect::Watched { room: room(), life: owner, is_watched };
    assert!(desk.receive("b", Payload::Watch(Watch { room: room(), number: 1 })).contains(&watched(true)));
    // A commit is the first to see it.
    desk.now_ms += WATCH_EXPIRES_MS;
    let entries = TestRoom::new(room()).append(fence(1), 1).into();
    let mut wanted = desk.owner(owner, OwnerEvent::Committed { entries, floor: Seq::FIRST, replies: Vec::new() });
    wanted.extend(desk.pass(1_000));
    assert!(wanted.contains(&watched(false)), "{wanted:?}");
}
