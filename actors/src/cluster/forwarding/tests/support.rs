//! Writes and answers for the tests.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use rollcall_protocol::{Ack, Body, DeviceId, ErrorFrame, RoomId, Seq, UserId, WriteOp};

use crate::cluster::envelope::{ForwardedWrite, Submit, SubmitReply};
use crate::cluster::forwarding::{Correlations, ForwardEffect, ForwardInput, Forwarding, ToForward};
use crate::cluster::{Incarnation, NodeRef, parse_node_id};
use crate::room::{Refusal, Rights};

pub const RIGHTS: Rights = Rights { read: true, write: true, moderate: false };

pub fn room() -> RoomId {
    RoomId::parse("r").unwrap()
}

pub fn life(name: &str, incarnation: u64) -> NodeRef {
    NodeRef::new(parse_node_id(name).unwrap(), Incarnation(incarnation))
}

/// A body that is large and no text.
static LARGE: LazyLock<Body> = LazyLock::new(|| {
    Body::from_value(&BTreeMap::from([("data", "x".repeat(LARGE_BYTES))])).expect("it is below the limit")
});

/// Its size, in bytes: two fit into what may be on its way, three do not.
pub const LARGE_BYTES: usize = 400 * 1024;

/// A write of a device, which is waited for under its n.
pub fn write(device: &str, n: u64, prev: u64) -> ToForward<u64> {
    write_of(device, n, prev, Body::text("hello").unwrap())
}

/// A write of [`LARGE_BYTES`].
pub fn large(device: &str, n: u64, prev: u64) -> ToForward<u64> {
    write_of(device, n, prev, LARGE.clone())
}

fn write_of(device: &str, n: u64, prev: u64, body: Body) -> ToForward<u64> {
    ToForward {
        reply: n,
        user: UserId::parse("ann").unwrap(),
        device: DeviceId::parse(device).unwrap(),
        rights: RIGHTS,
        write: ForwardedWrite { n, prev, since: Seq::ZERO, op: WriteOp::Send, target: None, body: Some(body) },
    }
}

pub fn feed(forwarding: &mut Forwarding<u64>, now_ms: u64, input: ForwardInput<u64>) -> Vec<ForwardEffect<u64>> {
    let mut effects = Vec::new();
    forwarding.handle(now_ms, input, &mut effects);
    effects
}

/// A forwarding to the first life of n2.
pub fn forwarding() -> Forwarding<u64> {
    let mut forwarding = Forwarding::new(room(), Correlations::new(Incarnation(7), 3));
    assert_eq!(feed(&mut forwarding, 0, ForwardInput::Owner(Some(life("n2", 1)))), []);
    forwarding
}

/// Submits writes of one device, n from 1 on, each after the one before, and returns what was sent.
pub fn submit_all(forwarding: &mut Forwarding<u64>, now_ms: u64, count: u64) -> Vec<Submit> {
    let submits = (1..=count).flat_map(|n| {
        let effects = feed(forwarding, now_ms, ForwardInput::Submit(write("phone", n, n - 1)));
        sent(effects)
    });
    submits.collect()
}

/// Returns the submits of effects that send and do nothing else.
pub fn sent(effects: Vec<ForwardEffect<u64>>) -> Vec<Submit> {
    let submits = effects.into_iter().flat_map(|effect| match effect {
        ForwardEffect::Send { submits, .. } => submits,
        other => panic!("{other:?}"),
    });
    submits.collect()
}

pub fn numbers(submits: &[Submit]) -> Vec<u64> {
    submits.iter().flat_map(|submit| submit.writes.iter().map(|write| write.n)).collect()
}

/// The answer to one write of a submit.
pub fn reply(submit: &Submit, n: u64, result: Result<Ack, ErrorFrame>) -> ForwardInput<u64> {
    ForwardInput::Reply(SubmitReply {
        correlation: submit.correlation,
        room: submit.room.clone(),
        user: submit.user.clone(),
        device: submit.device.clone(),
        n,
        result,
    })
}

pub fn ack(seq: u64) -> Result<Ack, ErrorFrame> {
    Ok(Ack { seq: Seq::new(seq), duplicate: false })
}

/// A refusal as an owner sends it, who does not know how many copies there are.
pub fn refused(refusal: &Refusal) -> Result<Ack, ErrorFrame> {
    Err(refusal.to_frame(false))
}

pub fn answer(reply: u64, answer: Result<Ack, ErrorFrame>) -> ForwardEffect<u64> {
    ForwardEffect::Answer { reply, answer }
}
