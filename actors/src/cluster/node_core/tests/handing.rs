use super::desk::{Desk, Effect, fence, life, room, sent, standing, started, submits, write};
use crate::cluster::envelope::{Payload, Watch, WatchConfirmed};
use crate::cluster::node_core::{NodeEffect, NodeInput, OwnerEvent};
use crate::cluster::ownership::{OwnerRecord, owner_key};
use crate::cluster::{NodeRef, Replaced, RoomStanding};
use crate::ports::Fence;
use crate::room::StopReason;

fn activated(desk: &mut Desk, owner: u64, epoch: u64, replaced: Fence) -> Vec<Effect> {
    let replaced = Replaced::Fence(replaced);
    desk.owner(owner, OwnerEvent::Activated { fence: fence(epoch), replaced, standing: standing(epoch, 9) })
}

fn hand_over(epoch: u64) -> Payload {
    Payload::HandOver { room: room(), fence: fence(epoch) }
}

fn inserts_a_takeover(wanted: &[Effect]) -> bool {
    wanted.iter().any(|effect| matches!(effect, NodeEffect::InsertTakeover { .. }))
}

#[test]
fn a_node_that_drains_hands_its_room_over_under_its_last_fence_and_once() {
    let mut desk = Desk::new();
    let owner = desk.start();
    desk.give(NodeInput::Readers { room: room(), count: 1 });
    activated(&mut desk, owner, 5, fence(4));
    desk.give(NodeInput::Noticed { room: room(), life: owner, is_inserted: true });
    desk.meet("b");
    desk.meet("c");
    let next = desk.core.peers().preferred(&room(), false, |_| true).unwrap().0.to_string();
    let other = if next == "b" { "c" } else { "b" };
    desk.receive(other, Payload::Watch(Watch { room: room(), number: 3 }));
    desk.give(NodeInput::Drain);
    let wanted = desk.owner(owner, OwnerEvent::Stopped { reason: StopReason::Drained });
    // The write of this node goes there, and whoever reads the room here watches it there: nobody is asked who owns it.
    let [handed_over, Payload::Submit(_), Payload::Watch(_)] = sent(&wanted, &next)[..] else { panic!("{wanted:?}") };
    assert_eq!(*handed_over, hand_over(5));
    assert_eq!(sent(&wanted, other), [&Payload::NotOwner { room: room(), hint: Some(life(&next)) }]);
    assert!(!desk.pass(400).iter().any(|effect| matches!(effect, NodeEffect::Redis { .. })));
}

#[test]
fn a_node_that_drains_hears_when_a_room_is_answered_for_and_reads_it_no_longer() {
    let mut desk = Desk::new();
    let owner = desk.start();
    activated(&mut desk, owner, 5, fence(4));
    desk.give(NodeInput::Noticed { room: room(), life: owner, is_inserted: true });
    desk.meet("b");
    desk.give(NodeInput::Drain);
    let wanted = desk.owner(owner, OwnerEvent::Stopped { reason: StopReason::Drained });
    let [Payload::HandOver { .. }, Payload::Watch(watch), ..] = sent(&wanted, "b")[..] else { panic!("{wanted:?}") };
    let RoomStanding { epoch, head, hash, floor } = standing(6, 9);
    let told = WatchConfirmed { room: room(), number: watch.number, epoch, head, hash, floor };
    let unwatch = Payload::Unwatch(watch.clone());
    assert_eq!(sent(&desk.receive("b", Payload::WatchConfirmed(told.clone())), "b"), [&unwatch]);
    let wanted = desk.receive("b", Payload::WatchConfirmed(told));
    assert_eq!(sent(&wanted, "b"), [&unwatch], "one that comes when nobody waits any more is ended, too");
}

/// A desk where `b` owns the room under epoch 4, and lives, and has handed it over.
fn handed_over(by: &NodeRef) -> (Desk, Vec<Effect>) {
    let mut desk = Desk::new();
    desk.meet(&by.node.0);
    desk.redis.set(owner_key(&room()), OwnerRecord { epoch: fence(4).epoch, owner: by.clone() }.text());
    let wanted = desk.receive("b", hand_over(4));
    (desk, wanted)
}

#[test]
fn a_room_that_was_handed_over_is_open_without_a_word_in_the_log() {
    let (mut desk, wanted) = handed_over(&life("b"));
    let owner = started(&wanted).expect("the key of the node that gave it is no obstacle");
    // What comes meanwhile waits.
    let watch = Payload::Watch(Watch { room: room(), number: 1 });
    assert_eq!(sent(&desk.receive("b", watch), "b"), [] as [&Payload; 0]);
    let wanted = activated(&mut desk, owner, 5, fence(4));
    assert!(!inserts_a_takeover(&wanted), "{wanted:?}");
    assert!(wanted.iter().any(|effect| matches!(effect, NodeEffect::Open { .. })));
    assert!(matches!(sent(&wanted, "b")[..], [Payload::WatchConfirmed(told)] if told.epoch == fence(5).epoch));
}

#[test]
fn another_fence_than_the_one_handed_over_is_taken_over() {
    let (mut desk, wanted) = handed_over(&life("b"));
    let owner = started(&wanted).unwrap();
    let wanted = activated(&mut desk, owner, 6, Fence { owner: rollcall_protocol::OwnerId(9), ..fence(4) });
    assert!(inserts_a_takeover(&wanted), "{wanted:?}");
}

#[test]
fn a_room_that_another_node_took_is_not_taken_back_for_an_old_hand_over() {
    let mut desk = Desk::new();
    desk.meet("c");
    desk.redis.set(owner_key(&room()), OwnerRecord { epoch: fence(5).epoch, owner: life("c") }.text());
    let wanted = desk.receive("b", hand_over(4));
    assert_eq!(started(&wanted), None);
    assert_eq!(started(&desk.pass(5_000)), None);
}

#[test]
fn a_node_that_is_to_stop_itself_takes_no_room_that_is_handed_over() {
    let mut desk = Desk::new();
    desk.give(NodeInput::Drain);
    let wanted = desk.receive("b", hand_over(4));
    assert_eq!((started(&wanted), submits(&wanted)), (None, vec![]));
}

#[test]
fn an_owner_is_not_moved_by_a_late_hand_over() {
    let mut desk = Desk::new();
    let owner = desk.start();
    desk.activate(owner, 5);
    assert_eq!(started(&desk.receive("b", hand_over(4))), None);
    assert_eq!(submits(&desk.give(NodeInput::Write { room: room(), write: write("w", 2) })), [(2, false)]);
}
