//! The parts of payloads: nodes, rights, writes, entries, errors and bytes.

use std::fmt;

use rollcall_protocol::{
    Body, DeviceId, Entry, Epoch, ErrorFrame, Hash, Kind, NUMBER_MAX, OwnerId, Salt, Seq, UserId, WriteOp,
};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::super::envelope::ForwardedWrite;
use super::super::node::{Incarnation, NodeRef, parse_node_id};
use super::Malformed;
use crate::room::Rights;

pub(super) type NodeIn = (Box<str>, u64);
/// n, prev, since, op, target, body.
pub(super) type WriteIn = (u64, u64, Seq, u8, Option<Seq>, Option<Box<str>>);
type WriteOut<'a> = (u64, u64, Seq, u8, Option<Seq>, Option<&'a str>);
/// Kind, time, sender, device, n, target, body, salt, hash of the content, hash.
pub(super) type EntryIn =
    (u8, i64, UserId, Option<DeviceId>, u64, Option<Seq>, Option<Box<str>>, Option<Binary<16>>, Binary<32>, Binary<32>);
type EntryOut<'a> = (
    u8,
    i64,
    &'a UserId,
    Option<&'a DeviceId>,
    u64,
    Option<Seq>,
    Option<&'a str>,
    Option<Binary<16>>,
    Binary<32>,
    Binary<32>,
);
pub(super) fn node_out(node: &NodeRef) -> (&str, u64) {
    (&node.node.0, node.incarnation.0)
}

pub(super) fn node_in((node, incarnation): &NodeIn) -> Result<NodeRef, Malformed> {
    let node = parse_node_id(node).map_err(|_| "a node's name is none")?;
    Ok(NodeRef::new(node, Incarnation(*incarnation)))
}

/// Takes a number that clients count with.
pub(super) fn number(number: u64) -> Result<u64, Malformed> {
    if number > NUMBER_MAX { Err("a number is at most 2^53 - 1") } else { Ok(number) }
}

pub(super) fn rights_out(rights: Rights) -> u8 {
    u8::from(rights.read) | u8::from(rights.write) << 1 | u8::from(rights.moderate) << 2
}

pub(super) fn rights_in(bits: u8) -> Result<Rights, Malformed> {
    if bits > 0b111 {
        return Err("rights are three bits");
    }
    Ok(Rights { read: bits & 1 != 0, write: bits & 2 != 0, moderate: bits & 4 != 0 })
}

pub(super) fn write_write(write: &ForwardedWrite) -> WriteOut<'_> {
    let op = match write.op {
        WriteOp::Send => 1,
        WriteOp::Edit => 2,
        WriteOp::Redact => 3,
        WriteOp::React => 4,
    };
    (write.n, write.prev, write.since, op, write.target, write.body.as_ref().map(Body::as_str))
}

pub(super) fn read_write((n, prev, since, op, target, text): WriteIn) -> Result<ForwardedWrite, Malformed> {
    let op = match op {
        1 => WriteOp::Send,
        2 => WriteOp::Edit,
        3 => WriteOp::Redact,
        4 => WriteOp::React,
        _ => return Err("a write has an unknown op"),
    };
    Ok(ForwardedWrite { n: number(n)?, prev: number(prev)?, since, op, target, body: text.map(body).transpose()? })
}

/// Takes a body as the sending node has normalised it.
fn body(text: Box<str>) -> Result<Body, Malformed> {
    Body::from_stored(text.into()).map_err(|_| "a body is no JSON")
}

pub(super) fn write_entry(entry: &Entry) -> EntryOut<'_> {
    (
        entry.kind.number(),
        entry.created_at_ms,
        &entry.sender,
        entry.device.as_ref(),
        entry.n,
        entry.target,
        entry.body.as_ref().map(Body::as_str),
        entry.salt.map(|salt| Binary(salt.0)),
        Binary(entry.content_hash.0),
        Binary(entry.hash.0),
    )
}

pub(super) fn read_entry(seq: Seq, epoch: Epoch, owner: OwnerId, entry: EntryIn) -> Result<Entry, Malformed> {
    let (kind, created_at_ms, sender, device, n, target, text, salt, content_hash, hash) = entry;
    Ok(Entry {
        seq,
        kind: Kind::from_number(kind).ok_or("an entry has an unknown kind")?,
        created_at_ms,
        sender,
        device,
        n: number(n)?,
        target,
        body: text.map(body).transpose()?,
        salt: salt.map(|salt| Salt(salt.0)),
        content_hash: Hash(content_hash.0),
        hash: Hash(hash.0),
        epoch,
        owner,
    })
}

/// Errors are few, and of a shape that may grow: they go as the JSON that clients get.
pub(super) fn error_out(error: &ErrorFrame) -> String {
    serde_json::to_string(error).expect("an error is plain values of JSON")
}

pub(super) fn error_in(text: &str) -> Result<ErrorFrame, Malformed> {
    serde_json::from_str(text).map_err(|_| "an error is no JSON of one")
}

/// Bytes as MessagePack has them: serde would write an array of numbers, nearly twice as long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Binary<const N: usize>(pub [u8; N]);

impl<const N: usize> Serialize for Binary<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Binary<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Exactly<const N: usize>;
        impl<const N: usize> Visitor<'_> for Exactly<N> {
            type Value = Binary<N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{N} bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Binary<N>, E> {
                bytes.try_into().map(Binary).map_err(|_| E::invalid_length(bytes.len(), &self))
            }
        }
        deserializer.deserialize_bytes(Exactly::<N>)
    }
}
