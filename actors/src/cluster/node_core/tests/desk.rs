//! A node on a desk: one input at a time, a Redis that answers at once, short names for what goes in and comes out.

use rollcall_protocol::{Body, DeviceId, Epoch, Hash, OwnerId, RoomId, Seq, UserId, WriteOp, hash};

use crate::cluster::envelope::{Envelope, ForwardedWrite, Payload};
use crate::cluster::forwarding::ToForward;
use crate::cluster::node_core::{NodeCore, NodeEffect, NodeInput, OwnerEvent};
use crate::cluster::ownership::{RedisAnswer, RedisCommand, RedisKeys};
use crate::cluster::{Incarnation, Lease, NodeRef, Now, Replaced, RoomStanding, parse_node_id};
use crate::ports::Fence;
use crate::room::Rights;

pub type Effect = NodeEffect<&'static str>;

/// The node `a`, in its first life, and a Redis.
pub struct Desk {
    pub core: NodeCore<&'static str>,
    pub redis: RedisKeys,
    pub redis_is_up: bool,
    pub now_ms: u64,
}

pub fn life(name: &str) -> NodeRef {
    NodeRef::new(parse_node_id(name).unwrap(), Incarnation(1))
}

pub fn room() -> RoomId {
    RoomId::parse("r").unwrap()
}

pub fn fence(epoch: u64) -> Fence {
    Fence { epoch: Epoch::new(epoch), owner: OwnerId(u128::from(epoch)) }
}

pub fn standing(epoch: u64, head: u64) -> RoomStanding {
    let hash = if head == 0 { hash::genesis(&room()) } else { Hash([u8::try_from(head).unwrap(); 32]) };
    RoomStanding { epoch: Epoch::new(epoch), head: Seq::new(head), hash, floor: Seq::FIRST }
}

pub fn write(reply: &'static str, n: u64) -> ToForward<&'static str> {
    ToForward {
        reply,
        user: UserId::parse("ann").unwrap(),
        device: DeviceId::parse("phone").unwrap(),
        rights: Rights { read: true, write: true, moderate: false },
        write: ForwardedWrite {
            n,
            prev: n - 1,
            since: Seq::ZERO,
            op: WriteOp::Send,
            target: None,
            body: Some(Body::text(reply).unwrap()),
        },
    }
}

impl Desk {
    /// A node that has its name.
    pub fn new() -> Self {
        let me = life("a");
        let core = NodeCore::new(me.clone(), Lease::new(me, None), 0);
        let mut desk = Self { core, redis: RedisKeys::default(), redis_is_up: true, now_ms: 0 };
        desk.give(NodeInput::Tick);
        desk
    }

    /// Gives the node an input, lets Redis answer as long as it is asked, and returns what else is wanted.
    pub fn give(&mut self, input: NodeInput<&'static str>) -> Vec<Effect> {
        let now = Now { mono_ms: self.now_ms, wall_ms: self.now_ms.cast_signed() };
        let mut effects = Vec::new();
        self.core.handle(now, 0, input, &mut effects);
        let mut wanted = Vec::new();
        for effect in effects {
            match effect {
                NodeEffect::Redis { asker, command } => {
                    let failed = || RedisAnswer::Failed("away".to_owned());
                    let answer = if self.redis_is_up { self.redis.run(self.now_ms, &command) } else { failed() };
                    wanted.extend(self.give(NodeInput::Redis { asker, answer }));
                }
                effect => wanted.push(effect),
            }
        }
        wanted
    }

    /// Lets time pass, tick by tick.
    pub fn pass(&mut self, ms: u64) -> Vec<Effect> {
        let end_ms = self.now_ms + ms;
        let mut wanted = Vec::new();
        while self.core.wakes_at_ms() <= end_ms {
            self.now_ms = self.core.wakes_at_ms().max(self.now_ms);
            wanted.extend(self.give(NodeInput::Tick));
        }
        self.now_ms = end_ms;
        wanted
    }

    /// Lets another node live, and this one know it.
    pub fn meet(&mut self, name: &str) {
        let other = life(name);
        self.redis.set(format!("node:{{{name}}}"), format!("{} open -", other.incarnation).into());
        let enroll = RedisCommand::Enroll { node: other.node };
        self.redis.run(self.now_ms, &enroll);
        self.pass(1_500);
        assert!(self.core.peers().get(&life(name).node).is_some(), "it was met");
    }

    pub fn receive(&mut self, from: &str, payload: Payload) -> Vec<Effect> {
        self.give(NodeInput::Received(Envelope { from: life(from), to: life("a"), payloads: vec![payload] }))
    }

    pub fn owner(&mut self, life: u64, event: OwnerEvent) -> Vec<Effect> {
        self.give(NodeInput::Owner { room: room(), life, event })
    }

    /// Lets somebody write, and the owner be started here; returns its number.
    pub fn start(&mut self) -> u64 {
        let wanted = self.give(NodeInput::Write { room: room(), write: write("first", 1) });
        started(&wanted).expect("nobody else is there to own the room")
    }

    /// Lets the log activate the room, over nobody's fence.
    pub fn activate(&mut self, life: u64, epoch: u64) -> Vec<Effect> {
        let (replaced, standing) = (Replaced::Nothing, standing(epoch, 0));
        self.owner(life, OwnerEvent::Activated { fence: fence(epoch), replaced, standing })
    }
}

/// Returns the number of the owner that is to be started.
pub fn started(wanted: &[Effect]) -> Option<u64> {
    wanted.iter().find_map(|effect| match effect {
        NodeEffect::StartOwner { life, .. } => Some(*life),
        _ => None,
    })
}

/// Returns the writes that go to the owner here, by who waits for them or by their n, with the kind of their writer.
pub fn submits(wanted: &[Effect]) -> Vec<(u64, bool)> {
    let is_here =
        |writer: &crate::cluster::node_core::Writer<_>| matches!(writer, crate::cluster::node_core::Writer::Here(_));
    wanted
        .iter()
        .filter_map(|effect| match effect {
            NodeEffect::Submit { write, .. } => Some((write.write.n, is_here(&write.writer))),
            _ => None,
        })
        .collect()
}

/// Returns what is sent to a node.
pub fn sent<'a>(wanted: &'a [Effect], to: &str) -> Vec<&'a Payload> {
    let to_it = |effect: &'a Effect| match effect {
        NodeEffect::Send { to: node, payloads } if *node == life(to) => Some(payloads.iter()),
        _ => None,
    };
    wanted.iter().filter_map(to_it).flatten().filter(|payload| !matches!(payload, Payload::Beacon(_))).collect()
}
