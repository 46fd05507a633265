//! Names for the tests.

use std::sync::Arc;

use rollcall_protocol::{Epoch, RoomId};

use crate::cluster::ownership::{NodeRecord, OwnerRecord, RedisAnswer};
use crate::cluster::{Incarnation, NodeRef, parse_node_id};
use crate::ports::NodeId;

pub fn node(name: &str) -> NodeId {
    parse_node_id(name).unwrap()
}

pub fn life(name: &str, incarnation: u64) -> NodeRef {
    NodeRef::new(node(name), Incarnation(incarnation))
}

pub fn room(name: &str) -> RoomId {
    RoomId::parse(name).unwrap()
}

pub fn owner(name: &str, incarnation: u64, epoch: u64) -> OwnerRecord {
    OwnerRecord { epoch: Epoch::new(epoch), owner: life(name, incarnation) }
}

pub fn open(incarnation: u64) -> Arc<str> {
    NodeRecord { incarnation: Incarnation(incarnation), takes_rooms: true, connect: None }.to_string().into()
}

pub fn failed() -> RedisAnswer {
    RedisAnswer::Failed("away".to_owned())
}
