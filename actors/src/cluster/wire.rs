//! How envelopes are written: MessagePack arrays without names. Every payload is `[tag, content]`; a tag never changes its meaning.
//!
//! What is read goes through two steps: the shape, by serde, then what the shape does not say (known numbers, lengths). Errors never
//! quote what was read: it may be what somebody said.

mod parts;

use std::sync::Arc;

use bytes::Bytes;
use rollcall_protocol::{Ack, DeviceId, Epoch, RoomId, Seq, Signal, SignalKind, UserId, limits};
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use self::parts::{
    Binary, EntryIn, NodeIn, WriteIn, error_in, error_out, node_in, node_out, number, read_entry, read_write,
    rights_in, rights_out, write_entry, write_write,
};
use super::envelope::{
    BEACON_ROOMS_MAX, Batch, Beacon, Correlation, Envelope, JoinFrom, Payload, Question, RoomFacts, RoomHead, Submit,
    SubmitReply, Told, Watch, WatchConfirmed,
};
use super::node::{Incarnation, NodeRef};
use crate::ports::Fence;

const SUBMIT: u8 = 1;
const SUBMIT_REPLY: u8 = 2;
const WATCH: u8 = 3;
const WATCH_CONFIRMED: u8 = 4;
const NOT_OWNER: u8 = 5;
const UNWATCH: u8 = 6;
const BATCH: u8 = 7;
const BEACON: u8 = 8;
const ACTIVATE: u8 = 9;
const QUESTION: u8 = 10;
const TOLD: u8 = 11;
const HAND_OVER: u8 = 12;
const SIGNAL: u8 = 13;
const DAMAGED: u8 = 14;

/// The only kind of signal.
const TYPING: u8 = 1;

type Malformed = &'static str;
type CorrelationIn = (u64, u64);
type SubmitIn = (CorrelationIn, RoomId, UserId, DeviceId, u8, Vec<WriteIn>);
type ReplyIn = (CorrelationIn, RoomId, UserId, DeviceId, u64, Option<(Seq, bool)>, Option<Box<str>>);
type ConfirmedIn = (RoomId, u64, Epoch, Seq, Binary<32>, Seq);
type BatchIn = (RoomId, Epoch, Seq, Binary<16>, Vec<EntryIn>);
type BeaconIn = (u64, Vec<(RoomId, Epoch, Seq)>, Vec<RoomId>);
type JoinIn = (DeviceId, Option<Seq>, Option<Binary<32>>);
type QuestionIn = (CorrelationIn, RoomId, UserId, u8, Option<JoinIn>);
type FactsIn = (Epoch, Seq, Seq, Binary<32>, Binary<32>, u64);
type ToldIn = (CorrelationIn, RoomId, Option<FactsIn>, Option<Box<str>>);

/// A payload whose shape was read.
enum PayloadIn {
    Submit(SubmitIn),
    SubmitReply(ReplyIn),
    Watch((RoomId, u64)),
    WatchConfirmed(ConfirmedIn),
    NotOwner((RoomId, Option<NodeIn>)),
    Unwatch((RoomId, u64)),
    Batch(BatchIn),
    Beacon(BeaconIn),
    Activate(RoomId),
    Question(QuestionIn),
    Told(ToldIn),
    HandOver((RoomId, Epoch, Binary<16>)),
    Signal((RoomId, UserId, u8)),
    Damaged((RoomId, Seq)),
}

/// Appends an envelope, without its format version, to `bytes`.
pub(super) fn write_envelope(bytes: &mut Vec<u8>, from: &NodeRef, to: &NodeRef, payloads: &[Bytes]) {
    const ARRAY_OF_3: u8 = 0x93;
    const ARRAY_OF_U32: u8 = 0xdd;
    let count = u32::try_from(payloads.len()).expect("four milliard payloads are not in memory");
    bytes.reserve(160 + payloads.iter().map(Bytes::len).sum::<usize>());
    bytes.push(ARRAY_OF_3);
    append(bytes, &node_out(from));
    append(bytes, &node_out(to));
    bytes.push(ARRAY_OF_U32);
    bytes.extend(count.to_be_bytes());
    payloads.iter().for_each(|payload| bytes.extend_from_slice(payload));
}

/// Writes a payload.
pub(super) fn write_payload(payload: &Payload) -> Vec<u8> {
    let mut bytes = Vec::new();
    match payload {
        Payload::Submit(submit) => {
            let writes: Vec<_> = submit.writes.iter().map(write_write).collect();
            let rights = rights_out(submit.rights);
            let correlation = correlation_out(submit.correlation);
            append(&mut bytes, &(SUBMIT, (correlation, &submit.room, &submit.user, &submit.device, rights, writes)));
        }
        Payload::SubmitReply(reply) => {
            let ack = reply.result.as_ref().ok().map(|ack| (ack.seq, ack.duplicate));
            let error = reply.result.as_ref().err().map(error_out);
            let correlation = correlation_out(reply.correlation);
            let content = (correlation, &reply.room, &reply.user, &reply.device, reply.n, ack, error);
            append(&mut bytes, &(SUBMIT_REPLY, content));
        }
        Payload::Watch(watch) => append(&mut bytes, &(WATCH, (&watch.room, watch.number))),
        Payload::WatchConfirmed(told) => {
            let content = (&told.room, told.number, told.epoch, told.head, Binary(told.hash.0), told.floor);
            append(&mut bytes, &(WATCH_CONFIRMED, content));
        }
        Payload::NotOwner { room, hint } => {
            append(&mut bytes, &(NOT_OWNER, (room, hint.as_ref().map(node_out))));
        }
        Payload::Unwatch(watch) => append(&mut bytes, &(UNWATCH, (&watch.room, watch.number))),
        Payload::Batch(batch) => {
            let entries: Vec<_> = batch.entries.iter().map(write_entry).collect();
            let owner = Binary(batch.owner().0.to_be_bytes());
            append(&mut bytes, &(BATCH, (&batch.room, batch.epoch(), batch.first(), owner, entries)));
        }
        Payload::Beacon(beacon) => {
            let heads: Vec<_> = beacon.heads.iter().map(|head| (&head.room, head.epoch, head.head)).collect();
            append(&mut bytes, &(BEACON, (beacon.number, heads, &beacon.released)));
        }
        Payload::Activate(room) => append(&mut bytes, &(ACTIVATE, room)),
        Payload::Signal(Signal { room, user, kind: SignalKind::Typing }) => {
            append(&mut bytes, &(SIGNAL, (room, user, TYPING)));
        }
        Payload::Damaged { room, entry } => append(&mut bytes, &(DAMAGED, (room, entry))),
        Payload::HandOver { room, fence } => {
            append(&mut bytes, &(HAND_OVER, (room, fence.epoch, Binary(fence.owner.0.to_be_bytes()))));
        }
        Payload::Question(Question { correlation, room, user, rights, join }) => {
            let join = join.as_ref().map(|join| (&join.device, join.after, join.hash.map(|hash| Binary(hash.0))));
            append(&mut bytes, &(QUESTION, (correlation_out(*correlation), room, user, rights_out(*rights), join)));
        }
        Payload::Told(Told { correlation, room, result }) => {
            let facts = result.as_ref().ok().map(|facts| {
                let RoomFacts { epoch, head, floor, hash, floor_hash, last_n } = *facts;
                (epoch, head, floor, Binary(hash.0), Binary(floor_hash.0), last_n)
            });
            let error = result.as_ref().err().map(error_out);
            append(&mut bytes, &(TOLD, (correlation_out(*correlation), room, facts, error)));
        }
    }
    bytes
}

fn append(bytes: &mut Vec<u8>, value: &impl Serialize) {
    rmp_serde::encode::write(bytes, value).expect("writing plain values to memory does not fail");
}

/// Reads what [`write_envelope`] wrote.
pub(super) fn read_envelope(bytes: &[u8]) -> Result<Envelope, Malformed> {
    let mut reader = rmp_serde::Deserializer::new(bytes);
    let (from, to, payloads): (NodeIn, NodeIn, Vec<PayloadIn>) =
        Deserialize::deserialize(&mut reader).map_err(|_| "it is no MessagePack of an envelope's shape")?;
    if !reader.into_inner().is_empty() {
        return Err("something follows its end");
    }
    let payloads = payloads.into_iter().map(read_payload).collect::<Result<_, _>>()?;
    Ok(Envelope { from: node_in(&from)?, to: node_in(&to)?, payloads })
}

fn read_payload(payload: PayloadIn) -> Result<Payload, Malformed> {
    Ok(match payload {
        PayloadIn::Submit((correlation, room, user, device, rights, writes)) => {
            if writes.is_empty() || writes.len() > limits::UNANSWERED_WRITES_MAX {
                return Err("a submit has 1 to 64 writes");
            }
            let writes = writes.into_iter().map(read_write).collect::<Result<_, _>>()?;
            let (correlation, rights) = (correlation_in(correlation), rights_in(rights)?);
            Payload::Submit(Submit { correlation, room, user, device, rights, writes })
        }
        PayloadIn::SubmitReply((correlation, room, user, device, n, ack, error)) => {
            let result = match (ack, error) {
                (Some((seq, duplicate)), None) => Ok(Ack { seq, duplicate }),
                (None, Some(error)) => Err(error_in(&error)?),
                _ => return Err("a reply is either an ack or an error"),
            };
            let (correlation, n) = (correlation_in(correlation), number(n)?);
            Payload::SubmitReply(SubmitReply { correlation, room, user, device, n, result })
        }
        PayloadIn::Watch((room, number)) => Payload::Watch(Watch { room, number }),
        PayloadIn::WatchConfirmed((room, number, epoch, head, Binary(hash), floor)) => {
            let hash = rollcall_protocol::Hash(hash);
            Payload::WatchConfirmed(WatchConfirmed { room, number, epoch, head, hash, floor })
        }
        PayloadIn::NotOwner((room, hint)) => Payload::NotOwner { room, hint: hint.as_ref().map(node_in).transpose()? },
        PayloadIn::Unwatch((room, number)) => Payload::Unwatch(Watch { room, number }),
        PayloadIn::Batch(batch) => read_batch(batch)?,
        PayloadIn::Beacon((number, heads, released)) => {
            if heads.len() > BEACON_ROOMS_MAX || released.len() > BEACON_ROOMS_MAX {
                return Err("a beacon names too many rooms");
            }
            let heads = heads.into_iter().map(|(room, epoch, head)| RoomHead { room, epoch, head }).collect();
            Payload::Beacon(Beacon { number, heads, released })
        }
        PayloadIn::Activate(room) => Payload::Activate(room),
        PayloadIn::Signal((room, user, TYPING)) => Payload::Signal(Signal { room, user, kind: SignalKind::Typing }),
        PayloadIn::Damaged((room, entry)) => Payload::Damaged { room, entry },
        PayloadIn::Signal(_) => return Err("a signal is of an unknown kind"),
        PayloadIn::HandOver((room, epoch, Binary(owner))) => {
            let owner = rollcall_protocol::OwnerId(u128::from_be_bytes(owner));
            Payload::HandOver { room, fence: Fence { epoch, owner } }
        }
        PayloadIn::Question((correlation, room, user, rights, join)) => {
            let join = join.map(|(device, after, hash)| {
                let hash = hash.map(|Binary(hash)| rollcall_protocol::Hash(hash));
                JoinFrom { device, after, hash }
            });
            let (correlation, rights) = (correlation_in(correlation), rights_in(rights)?);
            Payload::Question(Question { correlation, room, user, rights, join })
        }
        PayloadIn::Told((correlation, room, facts, error)) => {
            let result = match (facts, error) {
                (Some((epoch, head, floor, Binary(hash), Binary(floor_hash), last_n)), None) => {
                    let (hash, floor_hash) = (rollcall_protocol::Hash(hash), rollcall_protocol::Hash(floor_hash));
                    Ok(RoomFacts { epoch, head, floor, hash, floor_hash, last_n: number(last_n)? })
                }
                (None, Some(error)) => Err(error_in(&error)?),
                _ => return Err("a question is answered by facts or by an error"),
            };
            Payload::Told(Told { correlation: correlation_in(correlation), room, result })
        }
    })
}

fn read_batch((room, epoch, first, Binary(owner), entries): BatchIn) -> Result<Payload, Malformed> {
    if entries.is_empty() || entries.len() > limits::BATCH_ENTRIES_MAX {
        return Err("a batch has 1 to 256 entries");
    }
    if first == Seq::ZERO || number(first.get() + limits::BATCH_ENTRIES_MAX as u64).is_err() {
        return Err("a batch is numbered from 1 to 2^53 - 1");
    }
    let owner = rollcall_protocol::OwnerId(u128::from_be_bytes(owner));
    let numbered = (0..).map(|at| first.plus(at)).zip(entries);
    let entries: Result<Arc<[_]>, _> = numbered.map(|(seq, entry)| read_entry(seq, epoch, owner, entry)).collect();
    Ok(Payload::Batch(Batch { room, entries: entries? }))
}

fn correlation_out(correlation: Correlation) -> CorrelationIn {
    (correlation.incarnation.0, correlation.counter)
}

fn correlation_in((incarnation, counter): CorrelationIn) -> Correlation {
    Correlation { incarnation: Incarnation(incarnation), counter }
}

impl<'de> Deserialize<'de> for PayloadIn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tagged;
        impl<'de> Visitor<'de> for Tagged {
            type Value = PayloadIn;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a tag and its content")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<PayloadIn, A::Error> {
                let tag: u8 = content(&mut seq)?;
                Ok(match tag {
                    SUBMIT => PayloadIn::Submit(content(&mut seq)?),
                    SUBMIT_REPLY => PayloadIn::SubmitReply(content(&mut seq)?),
                    WATCH => PayloadIn::Watch(content(&mut seq)?),
                    WATCH_CONFIRMED => PayloadIn::WatchConfirmed(content(&mut seq)?),
                    NOT_OWNER => PayloadIn::NotOwner(content(&mut seq)?),
                    UNWATCH => PayloadIn::Unwatch(content(&mut seq)?),
                    BATCH => PayloadIn::Batch(content(&mut seq)?),
                    BEACON => PayloadIn::Beacon(content(&mut seq)?),
                    ACTIVATE => PayloadIn::Activate(content(&mut seq)?),
                    QUESTION => PayloadIn::Question(content(&mut seq)?),
                    TOLD => PayloadIn::Told(content(&mut seq)?),
                    HAND_OVER => PayloadIn::HandOver(content(&mut seq)?),
                    SIGNAL => PayloadIn::Signal(content(&mut seq)?),
                    DAMAGED => PayloadIn::Damaged(content(&mut seq)?),
                    _ => return Err(de::Error::custom("no payload has this tag")),
                })
            }
        }
        deserializer.deserialize_tuple(2, Tagged)
    }
}

fn content<'de, A: SeqAccess<'de>, T: Deserialize<'de>>(seq: &mut A) -> Result<T, A::Error> {
    seq.next_element()?.ok_or_else(|| de::Error::custom("a payload is a tag and its content"))
}
