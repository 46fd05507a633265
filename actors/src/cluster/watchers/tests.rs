//! Watchers: who is told what, and how often.

use rollcall_protocol::{Ack, DeviceId, UserId};

use super::WatchersEffect::{Publish, Send, Unwatched, Watched};
use super::*;
use crate::cluster::envelope::Correlation;
use crate::cluster::node::Incarnation;
use crate::cluster::test_rooms::{TestRoom, fence, node, room};

fn standing(log: &TestRoom) -> RoomStanding {
    RoomStanding { epoch: Epoch::new(1), head: log.head(), hash: log.hash(), floor: Seq::FIRST }
}

fn confirmed(to: &str, number: u64, standing: RoomStanding) -> WatchersEffect {
    let RoomStanding { epoch, head, hash, floor } = standing;
    let confirmed = WatchConfirmed { room: room("r"), number, epoch, head, hash, floor };
    Send { to: node(to), payloads: vec![Payload::WatchConfirmed(confirmed)] }
}

fn reply(n: u64) -> SubmitReply {
    SubmitReply {
        correlation: Correlation { incarnation: Incarnation(1), counter: n },
        room: room("r"),
        user: UserId::parse("ann").unwrap(),
        device: DeviceId::parse("phone").unwrap(),
        n,
        result: Ok(Ack { seq: Seq::new(n), duplicate: false }),
    }
}

/// Does one thing and returns what came of it.
fn after(watchers: &mut Watchers, act: impl FnOnce(&mut Watchers, &mut Vec<WatchersEffect>)) -> Vec<WatchersEffect> {
    let mut effects = Vec::new();
    act(watchers, &mut effects);
    effects
}

#[test]
fn a_watch_is_confirmed_with_the_head_and_gets_every_later_batch_once() {
    let mut log = TestRoom::new(room("r"));
    let mut watchers = Watchers::new(room("r"));
    log.append(fence(1), 3);
    let at = standing(&log);
    let effects = after(&mut watchers, |it, out| it.watch(0, node("b"), 7, at, out));
    assert_eq!(effects, [Watched(node("b")), confirmed("b", 7, at)]);
    let batch: Arc<[Entry]> = log.append(fence(1), 2).into();
    let effects = after(&mut watchers, |it, out| it.committed(1, Arc::clone(&batch), Vec::new(), out));
    assert_eq!(effects, [Publish { batch: Batch::new(room("r"), batch), to: vec![(node("b"), vec![])] }]);
    let at = standing(&log);
    let effects = after(&mut watchers, |it, out| it.watch(2, node("b"), 8, at, out));
    assert_eq!(effects, [confirmed("b", 8, at)], "a renewal does not count twice");
}

#[test]
fn replies_ride_with_the_batch_to_a_node_that_watches_and_go_alone_to_another() {
    let mut log = TestRoom::new(room("r"));
    let mut watchers = Watchers::new(room("r"));
    for name in ["c", "b"] {
        after(&mut watchers, |it, out| it.watch(0, node(name), 1, standing(&log), out));
    }
    let batch: Arc<[Entry]> = log.append(fence(1), 3).into();
    let replies = vec![(node("b"), reply(1)), (node("d"), reply(2)), (node("b"), reply(3))];
    let effects = after(&mut watchers, |it, out| it.committed(1, Arc::clone(&batch), replies, out));
    let to = vec![(node("b"), vec![reply(1), reply(3)]), (node("c"), vec![])];
    let alone = Send { to: node("d"), payloads: vec![Payload::SubmitReply(reply(2))] };
    assert_eq!(effects, [Publish { batch: Batch::new(room("r"), batch), to }, alone]);
}

#[test]
fn nothing_is_published_where_nobody_watches() {
    let mut log = TestRoom::new(room("r"));
    let mut watchers = Watchers::new(room("r"));
    let batch: Arc<[Entry]> = log.append(fence(1), 1).into();
    assert_eq!(after(&mut watchers, |it, out| it.committed(1, batch, Vec::new(), out)), []);
}

#[test]
fn a_watch_ends_unless_it_is_renewed() {
    let mut log = TestRoom::new(room("r"));
    let mut watchers = Watchers::new(room("r"));
    after(&mut watchers, |it, out| it.watch(0, node("b"), 1, standing(&log), out));
    after(&mut watchers, |it, out| it.watch(0, node("c"), 1, standing(&log), out));
    after(&mut watchers, |it, out| it.watch(5_000, node("b"), 2, standing(&log), out));
    assert_eq!(after(&mut watchers, |it, out| it.expire(WATCH_EXPIRES_MS - 1, out)), []);
    let batch: Arc<[Entry]> = log.append(fence(1), 1).into();
    let effects = after(&mut watchers, |it, out| it.committed(WATCH_EXPIRES_MS, Arc::clone(&batch), Vec::new(), out));
    let publish = Publish { batch: Batch::new(room("r"), batch), to: vec![(node("b"), vec![])] };
    assert_eq!(effects, [Unwatched(node("c")), publish]);
}

#[test]
fn an_unwatch_ends_no_later_watch() {
    let mut watchers = Watchers::new(room("r"));
    let at = standing(&TestRoom::new(room("r")));
    after(&mut watchers, |it, out| it.watch(0, node("b"), 5, at, out));
    assert_eq!(after(&mut watchers, |it, out| it.unwatch(&node("b"), 4, out)), []);
    after(&mut watchers, |it, out| it.watch(0, node("b"), 3, at, out));
    assert_eq!(after(&mut watchers, |it, out| it.unwatch(&node("b"), 4, out)), [], "a late watch takes nothing back");
    assert_eq!(after(&mut watchers, |it, out| it.unwatch(&node("b"), 5, out)), [Unwatched(node("b"))]);
    assert_eq!(after(&mut watchers, |it, out| it.unwatch(&node("b"), 6, out)), []);
}

#[test]
fn the_end_of_an_ownership_is_told_to_all_who_watch() {
    let mut watchers = Watchers::new(room("r"));
    let at = standing(&TestRoom::new(room("r")));
    for name in ["b", "c", "d"] {
        after(&mut watchers, |it, out| it.watch(0, node(name), 1, at, out));
    }
    assert_eq!(after(&mut watchers, |it, out| it.node_gone(&node("d"), out)), [Unwatched(node("d"))]);
    let told =
        |to: &str| Send { to: node(to), payloads: vec![Payload::NotOwner { room: room("r"), hint: Some(node("c")) }] };
    let effects = after(&mut watchers, |it, out| it.release(Some(&node("c")), out));
    assert_eq!(effects, [told("b"), told("c")]);
    assert_eq!(watchers.nodes().count(), 0);
}
