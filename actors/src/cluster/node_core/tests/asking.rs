use rollcall_protocol::{DeviceId, Epoch, ErrorCode, ErrorFrame, Hash, Seq, UserId};

use super::desk::{Desk, fence, life, room, sent, started};
use crate::cluster::envelope::{Correlation, JoinFrom, Payload, Question, RoomFacts, Told};
use crate::cluster::node_core::{ASK_AGAIN_MS, ASK_LOG_AFTER_MS, AskOwner, NodeEffect, NodeInput};
use crate::cluster::ownership::{OwnerRecord, owner_key};
use crate::cluster::{Incarnation, NodeRef};
use crate::room::Rights;

const MAY_READ: Rights = Rights { read: true, write: false, moderate: false };

fn ask() -> AskOwner {
    let join = JoinFrom { device: DeviceId::parse("phone").unwrap(), after: Some(Seq::new(3)), hash: None };
    AskOwner { user: UserId::parse("ann").unwrap(), rights: MAY_READ, join: Some(join) }
}

fn facts() -> RoomFacts {
    let (hash, floor_hash) = (Hash([4; 32]), Hash([0; 32]));
    RoomFacts { epoch: Epoch::new(3), head: Seq::new(4), floor: Seq::FIRST, hash, floor_hash, last_n: 2 }
}

/// A desk at which `b` is known to own the room.
fn desk_beside(owner: &NodeRef) -> Desk {
    let mut desk = Desk::new();
    desk.meet(&owner.node.0);
    let record = OwnerRecord { epoch: fence(3).epoch, owner: owner.clone() };
    desk.redis.set(owner_key(&room()), record.text());
    desk
}

fn question_of(wanted: &[super::desk::Effect]) -> Question {
    let [Payload::Question(question)] = sent(wanted, "b")[..] else { panic!("{wanted:?}") };
    question.clone()
}

#[test]
fn the_owner_is_asked_and_its_answer_given_once() {
    let mut desk = desk_beside(&life("b"));
    let wanted = desk.give(NodeInput::Ask { room: room(), ask: ask(), reply: "ann" });
    let question = question_of(&wanted);
    assert_eq!((&question.user, question.rights, &question.join), (&ask().user, MAY_READ, &ask().join));
    let told = Told { correlation: question.correlation, room: room(), result: Ok(facts()) };
    let wanted = desk.receive("b", Payload::Told(told.clone()));
    assert_eq!(wanted, [NodeEffect::Told { room: room(), ask: ask(), reply: "ann", result: Ok(facts()) }]);
    assert_eq!(desk.receive("b", Payload::Told(told)), [NodeEffect::Stray]);
}

#[test]
fn a_question_without_an_answer_comes_again_and_then_goes_to_the_log() {
    let mut desk = desk_beside(&life("b"));
    let first = question_of(&desk.give(NodeInput::Ask { room: room(), ask: ask(), reply: "ann" }));
    let again = question_of(&desk.pass(ASK_AGAIN_MS));
    assert_eq!(first, again);
    let wanted = desk.pass(ASK_LOG_AFTER_MS);
    assert!(wanted.contains(&NodeEffect::AskLog { room: room(), ask: ask(), reply: "ann" }), "{wanted:?}");
    // Whoever waits is answered once.
    let told = Told { correlation: first.correlation, room: room(), result: Ok(facts()) };
    assert_eq!(desk.receive("b", Payload::Told(told)), [NodeEffect::Stray]);
}

#[test]
fn a_question_goes_to_the_next_owner_at_once() {
    let mut desk = desk_beside(&life("b"));
    desk.meet("c");
    question_of(&desk.give(NodeInput::Ask { room: room(), ask: ask(), reply: "ann" }));
    let record = OwnerRecord { epoch: Epoch::new(4), owner: life("c") };
    desk.redis.set(owner_key(&room()), record.text());
    let wanted = desk.receive("b", Payload::NotOwner { room: room(), hint: Some(life("c")) });
    assert!(matches!(sent(&wanted, "c")[..], [Payload::Question(_)]), "{wanted:?}");
}

#[test]
fn a_question_makes_this_node_activate_a_room_that_nobody_owns() {
    let mut desk = Desk::new();
    let wanted = desk.give(NodeInput::Ask { room: room(), ask: ask(), reply: "ann" });
    let owner = started(&wanted).expect("nobody owns it");
    let wanted = desk.activate(owner, 1);
    assert!(wanted.contains(&NodeEffect::AskHere { room: room(), life: owner, reply: "ann" }), "{wanted:?}");
}

#[test]
fn an_owner_examines_what_others_ask_and_one_that_is_being_activated_does_so_later() {
    let mut desk = Desk::new();
    let owner = started(&desk.receive("b", Payload::Activate(room()))).expect("it was asked to");
    let correlation = Correlation { incarnation: Incarnation(1), counter: 7 };
    let question = Question { correlation, room: room(), user: ask().user, rights: MAY_READ, join: None };
    assert_eq!(sent(&desk.receive("b", Payload::Question(question.clone())), "b"), [] as [&Payload; 0]);
    let wanted = desk.activate(owner, 1);
    let examine = NodeEffect::Examine { room: room(), life: owner, from: life("b"), question: question.clone() };
    assert!(wanted.contains(&examine), "{wanted:?}");
    let result = Err(ErrorFrame::new(ErrorCode::Forbidden, "no"));
    let answered = NodeInput::Answered { to: life("b"), question, result: result.clone() };
    let told = Payload::Told(Told { correlation, room: room(), result });
    assert_eq!(sent(&desk.give(answered), "b"), [&told]);
}

#[test]
fn a_node_that_does_not_own_the_room_says_so() {
    let mut desk = Desk::new();
    let correlation = Correlation { incarnation: Incarnation(1), counter: 7 };
    let question = Question { correlation, room: room(), user: ask().user, rights: MAY_READ, join: None };
    let wanted = desk.receive("b", Payload::Question(question));
    assert_eq!(sent(&wanted, "b"), [&Payload::NotOwner { room: room(), hint: None }]);
}

#[test]
fn a_question_that_lost_its_owner_waits_for_the_next_one_and_not_for_a_time_that_has_passed() {
    let mut desk = desk_beside(&life("b"));
    question_of(&desk.give(NodeInput::Ask { room: room(), ask: ask(), reply: "ann" }));
    desk.redis_is_up = false;
    desk.receive("b", Payload::NotOwner { room: room(), hint: None });
    desk.now_ms += ASK_AGAIN_MS + 100;
    // What is due is done in a few looks; a time in the past that stays would be due for ever.
    for _ in 0..10 {
        desk.give(NodeInput::Tick);
    }
    assert!(desk.core.wakes_at_ms() > desk.now_ms, "{} at {}", desk.core.wakes_at_ms(), desk.now_ms);
}
