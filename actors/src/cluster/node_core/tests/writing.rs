use std::collections::BTreeMap;

use rollcall_protocol::{Ack, Body, Seq};

use super::desk::{Desk, fence, life, room, sent, started, submits, write};
use crate::cluster::envelope::{Payload, Submit, SubmitReply};
use crate::cluster::node_core::{NodeEffect, NodeInput, OwnerEvent};
use crate::cluster::ownership::{OwnerRecord, owner_key};
use crate::cluster::{Correlation, Incarnation};

fn submit(n: u64) -> Payload {
    let forward = write("w", n);
    Payload::Submit(Submit {
        correlation: Correlation { incarnation: Incarnation(1), counter: n },
        room: room(),
        user: forward.user,
        device: forward.device,
        rights: forward.rights,
        writes: vec![forward.write],
    })
}

#[test]
fn a_forwarded_write_is_answered_once_and_by_whom_it_was_sent_to() {
    let mut desk = Desk::new();
    desk.meet("b");
    let record = OwnerRecord { epoch: fence(3).epoch, owner: life("b") };
    desk.redis.set(owner_key(&room()), record.text());
    let wanted = desk.give(NodeInput::Write { room: room(), write: write("w", 1) });
    let [Payload::Submit(Submit { correlation, user, device, .. })] = sent(&wanted, "b")[..] else {
        panic!("{wanted:?}");
    };
    let ack = Ack { seq: Seq::new(5), duplicate: false };
    let reply = SubmitReply {
        correlation: *correlation,
        room: room(),
        user: user.clone(),
        device: device.clone(),
        n: 1,
        result: Ok(ack),
    };
    let wanted = desk.receive("b", Payload::SubmitReply(reply.clone()));
    assert_eq!(wanted, [NodeEffect::Answer { reply: "w", answer: Ok(ack) }]);
    assert_eq!(desk.receive("b", Payload::SubmitReply(reply)), [NodeEffect::Stray]);
}

#[test]
fn what_comes_for_a_room_that_is_not_here_is_refused() {
    let mut desk = Desk::new();
    let wanted = desk.receive("b", submit(1));
    assert_eq!(sent(&wanted, "b"), [&Payload::NotOwner { room: room(), hint: None }]);
    assert_eq!(desk.core.rooms().count(), 0);
}

#[test]
fn what_comes_while_a_room_is_activated_waits() {
    let mut desk = Desk::new();
    let owner = started(&desk.receive("b", Payload::Activate(room()))).expect("it was asked to");
    assert_eq!(sent(&desk.receive("b", submit(1)), "b"), [] as [&Payload; 0]);
    let wanted = desk.activate(owner, 1);
    assert_eq!(submits(&wanted), [(1, false)]);
    // An open owner gets the writes of its own node's connections straight.
    assert_eq!(submits(&desk.give(NodeInput::Write { room: room(), write: write("own", 1) })), [(1, true)]);
}

#[test]
fn an_answer_of_an_owner_that_is_gone_still_goes_out() {
    let mut desk = Desk::new();
    let forward = write("w", 1);
    let reply = SubmitReply {
        correlation: Correlation { incarnation: Incarnation(1), counter: 1 },
        room: room(),
        user: forward.user,
        device: forward.device,
        n: 1,
        result: Ok(Ack { seq: Seq::FIRST, duplicate: false }),
    };
    let wanted = desk.owner(99, OwnerEvent::Replied(vec![(life("b"), reply.clone())]));
    assert_eq!(sent(&wanted, "b"), [&Payload::SubmitReply(reply)]);
}

/// A body of 400 KiB that is no text.
fn large() -> Option<Body> {
    Some(Body::from_value(&BTreeMap::from([("data", "x".repeat(400 * 1024))])).unwrap())
}

#[test]
fn what_waits_for_an_owner_here_reaches_it_before_anybody_else_finds_it() {
    let mut desk = Desk::new();
    let owner = desk.start();
    for n in 2..=8 {
        let mut write = write("large", n);
        write.write.body = large();
        desk.give(NodeInput::Write { room: room(), write });
    }
    // From the end of these effects on, connections give their writes to the owner themselves.
    let wanted = desk.activate(owner, 1);
    assert_eq!(submits(&wanted), (1..=8).map(|n| (n, false)).collect::<Vec<_>>());
}

#[test]
fn a_write_is_taken_here_where_its_owner_answers_nothing_and_redis_is_away() {
    let mut desk = Desk::new();
    desk.meet("b");
    let record = OwnerRecord { epoch: fence(3).epoch, owner: life("b") };
    desk.redis.set(owner_key(&room()), record.text());
    let wanted = desk.give(NodeInput::Write { room: room(), write: write("w", 1) });
    assert!(matches!(sent(&wanted, "b")[..], [Payload::Submit(_)]), "{wanted:?}");
    desk.redis_is_up = false;
    assert_eq!(started(&desk.pass(3_900)), None, "it may only be slow");
    assert!(started(&desk.pass(2_100)).is_some());
}

#[test]
fn a_slow_owner_keeps_the_room_and_gets_nothing_twice_for_that() {
    let mut desk = Desk::new();
    desk.meet("b");
    let record = OwnerRecord { epoch: fence(3).epoch, owner: life("b") };
    desk.redis.set(owner_key(&room()), record.text());
    desk.give(NodeInput::Write { room: room(), write: write("w", 1) });
    let mut wanted = Vec::new();
    for _ in 0..5 {
        // It lives on.
        desk.redis.set("node:{b}".to_owned(), format!("{} open -", life("b").incarnation).into());
        wanted.extend(desk.pass(2_000));
    }
    let is_submit = |payload: &&&Payload| matches!(payload, Payload::Submit(_));
    assert_eq!(sent(&wanted, "b").iter().filter(is_submit).count(), 5);
    assert_eq!(started(&wanted), None);
}

/// What another node's device writes, `count` writes from `first` on.
fn submits_of(counter: u64, first: u64, count: u64, body: &Option<Body>) -> Submit {
    let Payload::Submit(submit) = submit(first) else { unreachable!() };
    let writes = (first..first + count).map(|n| {
        let mut write = write("w", n).write;
        write.body.clone_from(body);
        write
    });
    Submit { correlation: Correlation { incarnation: Incarnation(1), counter }, writes: writes.collect(), ..submit }
}

#[test]
fn what_is_sent_again_while_a_room_is_activated_waits_once() {
    let mut desk = Desk::new();
    let owner = started(&desk.receive("b", Payload::Activate(room()))).expect("it was asked to");
    let body = write("w", 1).write.body;
    desk.receive("b", Payload::Submit(submits_of(1, 1, 2, &body)));
    desk.receive("b", Payload::Submit(submits_of(2, 3, 1, &body)));
    for counter in 3..1_000 {
        desk.receive("b", Payload::Submit(submits_of(counter, 1, 3, &body)));
    }
    desk.receive("c", Payload::Submit(submits_of(1, 1, 1, &body)));
    let wanted = desk.activate(owner, 1);
    assert_eq!(submits(&wanted), [1, 2, 3, 1].map(|n| (n, false)));
}

#[test]
fn what_waits_for_an_activation_has_a_bound_in_bytes() {
    let mut desk = Desk::new();
    let owner = started(&desk.receive("b", Payload::Activate(room()))).expect("it was asked to");
    let body = large();
    for n in 1..=100 {
        desk.receive("b", Payload::Submit(submits_of(n, n, 1, &body)));
    }
    let wanted = desk.activate(owner, 1);
    let bytes = submits(&wanted).len() * 400 * 1024;
    assert!((3 * 1024 * 1024..=4 * 1024 * 1024).contains(&bytes), "{bytes}");
    // What was held counts no more.
    desk.owner(owner, OwnerEvent::Stopped { reason: crate::room::StopReason::Drained });
    let owner = started(&desk.receive("b", Payload::Activate(room()))).expect("it was asked to");
    desk.receive("b", Payload::Submit(submits_of(101, 1, 1, &body)));
    assert_eq!(submits(&desk.activate(owner, 2)).len(), 1);
}
