use rollcall_protocol::RoomId;

use super::desk::{Desk, fence, life, room, sent, standing, started, submits, write};
use crate::cluster::envelope::{Payload, Watch};
use crate::cluster::node_core::{NodeEffect, NodeInput, OwnerEnd, OwnerEvent};
use crate::cluster::ownership::{NodeRecord, OwnerRecord, RedisCommand, owner_key};
use crate::cluster::{Replaced, Takeover, YIELDS_AFTER_MS};
use crate::room::{Refusal, StopReason};

#[test]
fn a_room_that_nobody_owns_is_activated_where_it_is_written_to() {
    let mut desk = Desk::new();
    let owner = desk.start();
    let wanted = desk.activate(owner, 1);
    assert!(matches!(&wanted[0], NodeEffect::Open { life, .. } if *life == owner), "{wanted:?}");
    // What came before the room was open takes the way of forwarded writes; what comes after waits behind it.
    assert_eq!(submits(&wanted), [(1, false)]);
    let wanted = desk.give(NodeInput::Write { room: room(), write: write("second", 2) });
    assert_eq!(submits(&wanted), [(2, false)]);
    assert!(desk.core.view(&room()).unwrap().0.is_owned);
}

#[test]
fn nobody_is_answered_before_a_takeover_is_noted() {
    let mut desk = Desk::new();
    let owner = desk.start();
    desk.receive("b", Payload::Watch(Watch { room: room(), number: 7 }));
    let replaced = Replaced::Fence(fence(4));
    let event = OwnerEvent::Activated { fence: fence(5), replaced, standing: standing(5, 3) };
    let wanted = desk.owner(owner, event);
    let takeover = Takeover { room: room(), epoch: fence(5).epoch };
    assert!(wanted.contains(&NodeEffect::InsertTakeover { life: owner, takeover }), "{wanted:?}");
    assert_eq!((submits(&wanted).len(), sent(&wanted, "b").len(), desk.core.view(&room())), (0, 0, None));
    let wanted = desk.give(NodeInput::Noticed { room: room(), life: owner, is_inserted: true });
    assert!(matches!(sent(&wanted, "b")[..], [Payload::WatchConfirmed(told)] if told.number == 7), "{wanted:?}");
    assert_eq!(submits(&wanted), [(1, false)]);
}

#[test]
fn a_fenced_owner_releases_its_room_and_waits() {
    let mut desk = Desk::new();
    let owner = desk.start();
    desk.activate(owner, 1);
    desk.receive("b", Payload::Watch(Watch { room: room(), number: 1 }));
    let wanted = desk.owner(owner, OwnerEvent::Stopped { reason: StopReason::Fenced });
    assert_eq!(sent(&wanted, "b"), [&Payload::NotOwner { room: room(), hint: None }]);
    assert!(wanted.contains(&NodeEffect::Closed { room: room(), end: OwnerEnd::Stopped(StopReason::Fenced) }));
    assert_eq!(desk.redis.get(&owner_key(&room())), None);
    // The write still waits, and for half a second at least the room is not activated again.
    assert_eq!(started(&desk.pass(450)), None);
    assert!(started(&desk.pass(2_000)).is_some());
}

#[test]
fn an_owner_that_is_gone_without_a_word_was_not_fenced() {
    let mut desk = Desk::new();
    let owner = desk.start();
    desk.activate(owner, 1);
    let wanted = desk.owner(owner, OwnerEvent::Lost);
    assert!(wanted.contains(&NodeEffect::Closed { room: room(), end: OwnerEnd::Lost }), "{wanted:?}");
    // Its write waits, and nobody else is known to own the room.
    assert!(started(&desk.pass(450)).is_some());
}

#[test]
fn the_room_of_a_node_whose_lease_ends_is_taken_in_that_moment() {
    let mut desk = Desk::new();
    let (dead, kept_ms) = (life("b"), 3_000);
    desk.meet("b");
    let record = NodeRecord { incarnation: dead.incarnation, takes_rooms: true, connect: None };
    desk.redis.run(desk.now_ms, &RedisCommand::RenewNode { node: dead.node.clone(), record, ttl_ms: kept_ms });
    let ends_at_ms = desk.now_ms + kept_ms;
    desk.redis.set(owner_key(&room()), OwnerRecord { epoch: fence(3).epoch, owner: dead }.text());
    // Who reads and who writes here look for the owner in vain, less and less often.
    desk.give(NodeInput::Readers { room: room(), count: 1 });
    desk.give(NodeInput::Write { room: room(), write: write("w", 1) });
    assert_eq!(started(&desk.pass(ends_at_ms - desk.now_ms - 1)), None);
    assert!(started(&desk.pass(2)).is_some());
}

#[test]
fn an_owner_in_doubt_that_hears_nothing_of_the_log_yields() {
    let mut desk = Desk::new();
    let owner = desk.start();
    desk.activate(owner, 1);
    desk.receive("b", Payload::Watch(Watch { room: room(), number: 1 }));
    // It has stored nothing, so that its fence keeps nobody away: what the log says counts, and the log says nothing.
    let wanted = desk.pass(2 * YIELDS_AFTER_MS);
    assert!(wanted.contains(&NodeEffect::Closed { room: room(), end: OwnerEnd::Yielded }), "{wanted:?}");
}

#[test]
fn an_owner_that_could_not_be_activated_is_tried_again() {
    let mut desk = Desk::new();
    let owner = desk.start();
    desk.receive("b", Payload::Watch(Watch { room: room(), number: 1 }));
    let wanted = desk.owner(owner, OwnerEvent::NotActivated);
    assert_eq!(sent(&wanted, "b"), [&Payload::NotOwner { room: room(), hint: None }]);
    assert!(started(&desk.pass(1_500)).is_some_and(|next| next > owner));
}

#[test]
fn a_room_that_is_moved_goes_to_whom_the_operator_named() {
    let mut desk = Desk::new();
    let owner = desk.start();
    desk.activate(owner, 1);
    desk.meet("b");
    desk.meet("c");
    let to = life("c").node;
    let wanted = desk.give(NodeInput::Move { room: room(), to });
    assert!(wanted.contains(&NodeEffect::StopOwner { room: room(), life: owner, goes_on: true }), "{wanted:?}");
    desk.give(NodeInput::Write { room: room(), write: write("late", 2) });
    let wanted = desk.owner(owner, OwnerEvent::Stopped { reason: StopReason::Drained });
    let [Payload::Activate(_), Payload::Submit(submit), ..] = sent(&wanted, "c")[..] else { panic!("{wanted:?}") };
    assert_eq!(submit.writes.iter().map(|write| write.n).collect::<Vec<_>>(), [1, 2]);
    assert!(sent(&wanted, "b").is_empty(), "{wanted:?}");
    assert!(!desk.core.is_open(&room()) && desk.core.takes_rooms(), "only the room goes");
}

#[test]
fn a_room_that_is_moved_to_nobody_is_given_up() {
    let mut desk = Desk::new();
    let owner = desk.start();
    desk.activate(owner, 1);
    let wanted = desk.give(NodeInput::Move { room: room(), to: life("gone").node });
    assert!(wanted.contains(&NodeEffect::StopOwner { room: room(), life: owner, goes_on: false }), "{wanted:?}");
    let wanted = desk.owner(owner, OwnerEvent::Stopped { reason: StopReason::Drained });
    assert!(
        wanted.contains(&NodeEffect::Closed { room: room(), end: OwnerEnd::Stopped(StopReason::Drained) }),
        "{wanted:?}"
    );
    assert!(!desk.core.is_open(&room()));
}

#[test]
fn a_node_that_drains_gives_its_rooms_to_others_and_its_name_back() {
    let mut desk = Desk::new();
    let owner = desk.start();
    desk.activate(owner, 1);
    desk.meet("b");
    let wanted = desk.give(NodeInput::Drain);
    assert!(wanted.contains(&NodeEffect::StopOwner { room: room(), life: owner, goes_on: true }), "{wanted:?}");
    // What comes meanwhile waits, and follows the room.
    desk.give(NodeInput::Write { room: room(), write: write("late", 2) });
    let wanted = desk.owner(owner, OwnerEvent::Stopped { reason: StopReason::Drained });
    let [Payload::Activate(_), Payload::Watch(_), Payload::Submit(submit)] = sent(&wanted, "b")[..] else {
        panic!("{wanted:?}")
    };
    assert_eq!(submit.writes.iter().map(|write| write.n).collect::<Vec<_>>(), [1, 2]);
    assert!(wanted.contains(&NodeEffect::Over), "{wanted:?}");
    assert_eq!(desk.redis.get(&format!("node:{{{}}}", life("a").node.0)), None);
}

#[test]
fn a_node_that_lives_and_does_not_activate_a_room_is_passed_over() {
    let mut desk = Desk::new();
    // A name by which the other node is preferred.
    desk.meet("b");
    let name = (0..).map(|at| format!("room{at}")).find(|name| {
        let room = RoomId::parse(name).unwrap();
        desk.core.peers().preferred(&room, true, |_| true).is_some_and(|node| &*node.0 == "b")
    });
    let room = RoomId::parse(&name.unwrap()).unwrap();
    let wanted = desk.give(NodeInput::Write { room: room.clone(), write: write("first", 1) });
    assert!(sent(&wanted, "b").contains(&&Payload::Activate(room.clone())), "{wanted:?}");
    let mut wanted = desk.receive("b", Payload::NotOwner { room: room.clone(), hint: None });
    wanted.extend(desk.pass(1_000));
    assert!(started(&wanted).is_some(), "this node takes it: {wanted:?}");
}

#[test]
fn a_room_that_no_node_has_space_for_is_refused_until_one_has() {
    let mut desk = Desk::new();
    let owner = desk.start();
    let mut wanted = desk.owner(owner, OwnerEvent::NoSpace);
    wanted.extend(desk.pass(500));
    let busy = Refusal::TooManyRooms.to_frame(true);
    assert!(wanted.contains(&NodeEffect::Answer { reply: "first", answer: Err(busy) }), "{wanted:?}");
    assert_eq!(started(&wanted), None);
    assert_eq!(desk.redis.get(&owner_key(&room())), None);
    // Whoever comes again finds out again.
    let mut wanted = desk.give(NodeInput::Write { room: room(), write: write("again", 1) });
    wanted.extend(desk.pass(1_000));
    assert!(started(&wanted).is_some_and(|next| next > owner), "{wanted:?}");
}

#[test]
fn a_room_that_this_node_has_no_space_for_goes_to_another() {
    let mut desk = Desk::new();
    let owner = desk.start();
    desk.meet("b");
    let mut wanted = desk.owner(owner, OwnerEvent::NoSpace);
    wanted.extend(desk.pass(500));
    assert!(sent(&wanted, "b").contains(&&Payload::Activate(room())), "{wanted:?}");
    assert!(wanted.iter().all(|effect| !matches!(effect, NodeEffect::Answer { .. })), "{wanted:?}");
}
