use rollcall_protocol::{RoomId, Seq};

use super::desk::{Desk, fence, life, room, sent, standing, started, write};
use crate::cluster::envelope::{Payload, WatchConfirmed};
use crate::cluster::node_core::{NodeEffect, NodeInput, OwnerEvent, TailAsker};
use crate::cluster::ownership::{OwnerRecord, owner_key};
use crate::cluster::{NodeRef, Replaced, Takeover};
use crate::ports::LogTail;
use crate::room::StopReason;

/// A desk where `b` owns the room under epoch 3, and somebody reads it here.
fn reading() -> (Desk, u64) {
    let mut desk = Desk::new();
    desk.meet("b");
    let record = OwnerRecord { epoch: fence(3).epoch, owner: life("b") };
    desk.redis.set(owner_key(&room()), record.text());
    let wanted = desk.give(NodeInput::Readers { room: room(), count: 1 });
    let number = sent(&wanted, "b").iter().find_map(|payload| match payload {
        Payload::Watch(watch) => Some(watch.number),
        _ => None,
    });
    (desk, number.expect("the owner is watched"))
}

fn confirm(desk: &mut Desk, number: u64, epoch: u64, head: u64) -> Vec<super::desk::Effect> {
    let standing = standing(epoch, head);
    let (epoch, head, hash, floor) = (standing.epoch, standing.head, standing.hash, standing.floor);
    desk.receive("b", Payload::WatchConfirmed(WatchConfirmed { room: room(), number, epoch, head, hash, floor }))
}

#[test]
fn a_room_that_is_read_is_watched_at_its_owner() {
    let (mut desk, number) = reading();
    assert_eq!(desk.core.view(&room()), None);
    let wanted = confirm(&mut desk, number, 3, 9);
    assert!(wanted.contains(&NodeEffect::Begin { room: room(), epoch: fence(3).epoch, head: Seq::new(9) }));
    let (view, hash) = desk.core.view(&room()).unwrap();
    assert_eq!((view.standing, view.is_owned, hash), (standing(3, 9), false, Some(standing(3, 9).hash)));
    // Writes go where the room is watched.
    let wanted = desk.give(NodeInput::Write { room: room(), write: write("w", 1) });
    assert!(matches!(sent(&wanted, "b")[..], [Payload::Submit(_)]), "{wanted:?}");
}

fn damaged(entry: u64) -> Payload {
    Payload::Damaged { room: room(), entry: Seq::new(entry) }
}

#[test]
fn the_owner_is_told_of_damage_that_is_found_here_and_not_too_often() {
    let (mut desk, number) = reading();
    confirm(&mut desk, number, 3, 9);
    let found = |desk: &mut Desk, entry| desk.give(NodeInput::Damaged { room: room(), entry: Seq::new(entry) });
    assert_eq!(sent(&found(&mut desk, 4), "b"), [&damaged(4)]);
    assert_eq!(found(&mut desk, 5), []);
    desk.pass(1_000);
    assert_eq!(sent(&found(&mut desk, 5), "b"), [&damaged(5)]);
    let nobody_reads = RoomId::parse("other").unwrap();
    assert_eq!(desk.give(NodeInput::Damaged { room: nobody_reads, entry: Seq::new(4) }), []);
}

#[test]
fn an_owner_looks_at_the_entry_that_another_node_or_its_own_has_found_damaged() {
    let mut desk = Desk::new();
    assert_eq!(desk.receive("b", damaged(1)), [], "it owns nothing");
    let life = desk.start();
    let event = OwnerEvent::Activated { fence: fence(1), replaced: Replaced::Nothing, standing: standing(1, 9) };
    desk.owner(life, event);
    let look = |entry| NodeEffect::LookAt { room: room(), life, entry: Seq::new(entry) };
    assert_eq!(desk.receive("b", damaged(9)), [look(9)]);
    assert_eq!(desk.give(NodeInput::Damaged { room: room(), entry: Seq::new(4) }), [look(4)]);
    for nowhere in [0, 10] {
        assert_eq!(desk.receive("b", damaged(nowhere)), []);
    }
}

#[test]
fn an_owner_that_was_fenced_while_it_was_activated_answers_nobody() {
    let (mut desk, _) = reading();
    let wanted = desk.receive("b", Payload::NotOwner { room: room(), hint: None });
    assert_eq!(started(&wanted), None);
    desk.redis.set(owner_key(&room()), "".into());
    desk.receive("b", Payload::Activate(room()));
    let owner = started(&desk.pass(2_000)).expect("it was asked to");
    let event = OwnerEvent::Activated { fence: fence(4), replaced: Replaced::Unknown, standing: standing(4, 9) };
    desk.owner(owner, event);
    // Meanwhile the replica reads a higher epoch in the log.
    let read = desk.pass(3_000).into_iter().rev().find_map(|effect| match effect {
        NodeEffect::ReadTail { asker: asker @ TailAsker::Replica { .. }, .. } => Some(asker),
        _ => None,
    });
    let tail = LogTail { fence: fence(5), last_seq: Seq::new(12) };
    let asker = read.expect("a replica in doubt polls");
    desk.give(NodeInput::Tail { room: room(), asker, result: Ok(Some(tail)) });
    let wanted = desk.give(NodeInput::Noticed { room: room(), life: owner, is_inserted: true });
    assert!(!wanted.iter().any(|effect| matches!(effect, NodeEffect::Open { .. })), "{wanted:?}");
    assert!(wanted.contains(&NodeEffect::StopOwner { room: room(), life: owner, goes_on: true }), "{wanted:?}");
    assert_eq!(desk.core.view(&room()).unwrap().0.standing.head, Seq::new(12));
    desk.owner(owner, OwnerEvent::Stopped { reason: StopReason::Fenced });
}

#[test]
fn a_reader_alone_does_not_take_a_room_while_redis_is_away() {
    let mut desk = Desk::new();
    desk.redis_is_up = false;
    desk.give(NodeInput::Readers { room: room(), count: 1 });
    let wanted = desk.pass(5_000);
    assert_eq!(started(&wanted), None);
    assert!(wanted.iter().filter(|effect| matches!(effect, NodeEffect::ReadTail { .. })).count() >= 1);
    // A writer does: the log decides.
    desk.give(NodeInput::Write { room: room(), write: write("w", 1) });
    assert!(started(&desk.pass(5_000)).is_some());
}

/// A desk where this node's ownership under epoch 5 has just ended, while somebody reads the room here.
fn fenced_under_5() -> Desk {
    let mut desk = Desk::new();
    desk.meet("b");
    let owner = started(&desk.receive("b", Payload::Activate(room()))).expect("it was asked to");
    let event =
        OwnerEvent::Activated { fence: fence(5), replaced: Replaced::Fence(fence(4)), standing: standing(5, 9) };
    desk.owner(owner, event);
    desk.give(NodeInput::Readers { room: room(), count: 1 });
    desk.owner(owner, OwnerEvent::Stopped { reason: StopReason::Fenced });
    desk
}

#[test]
fn a_node_that_owned_a_room_believes_no_older_owner() {
    let mut desk = fenced_under_5();
    let record = OwnerRecord { epoch: fence(3).epoch, owner: life("b") };
    desk.redis.set(owner_key(&room()), record.text());
    let wanted = desk.pass(2_000);
    let number = sent(&wanted, "b").into_iter().rev().find_map(|payload| match payload {
        Payload::Watch(watch) => Some(watch.number),
        _ => None,
    });
    let number = number.expect("Redis says that b owns the room");
    let wanted = confirm(&mut desk, number, 3, 7);
    assert!(!wanted.iter().any(|effect| matches!(effect, NodeEffect::Begin { .. })), "{wanted:?}");
    let wanted = confirm(&mut desk, number, 6, 9);
    assert!(wanted.contains(&NodeEffect::Begin { room: room(), epoch: fence(6).epoch, head: Seq::new(9) }));
}

#[test]
fn a_takeover_is_noticed_after_an_ownership_that_never_answered() {
    // The room is shown while this node's ownership begins and ends.
    let (mut desk, number) = reading();
    confirm(&mut desk, number, 3, 9);
    desk.redis.set(owner_key(&room()), "".into());
    desk.receive("b", Payload::Activate(room()));
    let owner = started(&desk.pass(2_000)).expect("it was asked to");
    let event =
        OwnerEvent::Activated { fence: fence(4), replaced: Replaced::Fence(fence(3)), standing: standing(4, 9) };
    desk.owner(owner, event);
    desk.owner(owner, OwnerEvent::Stopped { reason: StopReason::Fenced });
    let rows = Some(vec![Takeover { room: room(), epoch: fence(5).epoch }]);
    desk.give(NodeInput::Takeovers { sent_at_ms: desk.now_ms, rows });
    assert_eq!(desk.core.view(&room()).unwrap().0.standing.epoch, fence(5).epoch);
}

#[test]
fn what_is_for_another_life_is_dropped() {
    let mut desk = Desk::new();
    let to = NodeRef { incarnation: crate::cluster::Incarnation(2), ..life("a") };
    let payloads = vec![Payload::Activate(room())];
    let envelope = crate::cluster::Envelope { from: life("b"), to, payloads };
    desk.give(NodeInput::Received(envelope));
    assert_eq!((desk.core.rooms().count(), started(&desk.pass(2_000))), (0, None));
}
