use rollcall_protocol::{Ack, Seq};

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
