//! Envelopes come back as they were written, in the bytes that other nodes expect; everything else is an error.

use proptest::collection::vec;
use proptest::prelude::*;
use rollcall_protocol::{ErrorCode, SignalKind};

use super::*;
use crate::cluster::parse_node_id;
use crate::cluster::test_rooms::TestRoom;
use crate::ports::Fence;

fn node(name: &str, incarnation: u64) -> NodeRef {
    NodeRef::new(parse_node_id(name).unwrap(), Incarnation(incarnation))
}

fn room() -> RoomId {
    RoomId::parse("room").unwrap()
}

fn submit(writes: Vec<ForwardedWrite>) -> Submit {
    Submit {
        correlation: Correlation { incarnation: Incarnation(7), counter: 9 },
        room: room(),
        user: UserId::parse("ann").unwrap(),
        device: DeviceId::parse("phone").unwrap(),
        rights: Rights { read: true, write: true, moderate: false },
        writes,
    }
}

fn reply(result: Result<Ack, ErrorFrame>) -> Payload {
    let Submit { correlation, room, user, device, .. } = submit(Vec::new());
    Payload::SubmitReply(SubmitReply { correlation, room, user, device, n: 3, result })
}

fn write(n: u64, op: WriteOp, target: Option<u64>, text: Option<&str>) -> ForwardedWrite {
    let body = text.map(|text| Body::text(text).unwrap());
    ForwardedWrite { n, prev: n - 1, since: Seq::new(2), op, target: target.map(Seq::new), body }
}

/// One payload of each kind, with and without what is optional.
fn one_of_each() -> Vec<Payload> {
    let mut log = TestRoom::new(room());
    let mut entries = log.append(Fence { epoch: Epoch::new(4), owner: OwnerId(u128::MAX - 5) }, 2);
    entries[1].device = None;
    entries[1].body = None;
    entries[1].salt = None;
    entries[1].target = Some(Seq::FIRST);
    let writes = vec![
        write(1, WriteOp::Send, None, Some("hello")),
        write(2, WriteOp::Edit, Some(1), Some("hallo")),
        write(3, WriteOp::Redact, Some(1), None),
        write(4, WriteOp::React, Some(1), Some("+1")),
    ];
    let refused = ErrorFrame::new(ErrorCode::OutOfOrder, "an earlier write is missing").detail("last", 2);
    let busy = ErrorFrame::new(ErrorCode::Busy, "full").retry_after_ms(200);
    let confirmed = WatchConfirmed {
        room: room(),
        number: 5,
        epoch: Epoch::new(4),
        head: Seq::new(2),
        hash: Hash([9; 32]),
        floor: Seq::FIRST,
    };
    let head = RoomHead { room: room(), epoch: Epoch::new(4), head: Seq::new(2) };
    vec![
        Payload::Submit(submit(writes)),
        reply(Ok(Ack { seq: Seq::new(8), duplicate: true })),
        reply(Err(refused.finally())),
        reply(Err(busy)),
        Payload::Watch(Watch { room: room(), number: 5 }),
        Payload::WatchConfirmed(confirmed),
        Payload::NotOwner { room: room(), hint: Some(node("c", 3)) },
        Payload::NotOwner { room: room(), hint: None },
        Payload::Unwatch(Watch { room: room(), number: 5 }),
        Payload::Batch(Batch::new(room(), entries.into())),
        Payload::Beacon(Beacon { number: 11, heads: vec![head], released: vec![room()] }),
        Payload::Activate(room()),
        Payload::Question(question(None)),
        Payload::Question(question(Some(JoinFrom {
            device: DeviceId::parse("phone").unwrap(),
            after: Some(Seq::new(7)),
            hash: Some(Hash([7; 32])),
        }))),
        told(Ok(RoomFacts {
            epoch: Epoch::new(4),
            head: Seq::new(9),
            floor: Seq::new(3),
            hash: Hash([9; 32]),
            floor_hash: Hash([2; 32]),
            last_n: 5,
        })),
        told(Err(ErrorFrame::new(ErrorCode::Forbidden, "reading this room is not allowed"))),
        Payload::HandOver { room: room(), fence: Fence { epoch: Epoch::new(4), owner: OwnerId(u128::MAX - 5) } },
        Payload::Signal(Signal { room: room(), user: UserId::parse("ann").unwrap(), kind: SignalKind::Typing }),
        Payload::Damaged { room: room(), entry: Seq::new(2) },
    ]
}

fn question(join: Option<JoinFrom>) -> Question {
    let correlation = Correlation { incarnation: Incarnation(7), counter: 9 };
    let rights = Rights { read: true, write: false, moderate: false };
    Question { correlation, room: room(), user: UserId::parse("ann").unwrap(), rights, join }
}

fn told(result: Result<RoomFacts, ErrorFrame>) -> Payload {
    Payload::Told(Told { correlation: question(None).correlation, room: room(), result })
}

fn envelope(payloads: Vec<Payload>) -> Envelope {
    Envelope { from: node("a", 1), to: node("b", u64::MAX), payloads }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_is_written_is_read_back() {
    let whole = envelope(one_of_each());
    assert_eq!(Envelope::decode(&whole.encode().unwrap()), Ok(whole));
    assert_eq!(Envelope::decode(&envelope(Vec::new()).encode().unwrap()), Ok(envelope(Vec::new())));
}

/// Nodes of two builds of this format must understand each other: these bytes change with the format's number alone.
#[test]
fn the_bytes_of_the_format_stay_as_they_are() {
    let bytes: Vec<String> =
        one_of_each().into_iter().map(|payload| hex(&envelope(vec![payload]).encode().unwrap())).collect();
    let golden: Vec<&str> = include_str!("golden.txt").lines().collect();
    assert_eq!(bytes, golden, "as they are now:\n{}\n", bytes.join("\n"));
}

#[test]
fn another_format_is_told_apart_from_garbage() {
    let mut bytes = envelope(one_of_each()).encode().unwrap().to_vec();
    for found in [0, ENVELOPE_FORMAT + 1, 255] {
        bytes[0] = found;
        assert_eq!(Envelope::decode(&bytes), Err(EnvelopeError::Format { found }));
    }
    assert!(matches!(Envelope::decode(&[]), Err(EnvelopeError::Malformed(_))));
}

#[test]
fn every_part_of_an_envelope_and_anything_more_is_malformed() {
    let mut bytes = envelope(one_of_each()).encode().unwrap().to_vec();
    for length in 1..bytes.len() {
        let cut = Envelope::decode(&bytes[..length]);
        assert!(matches!(cut, Err(EnvelopeError::Malformed(_))), "{length} of {} bytes: {cut:?}", bytes.len());
    }
    for more in [0x00, 0xc0, 0xc1, 0x93, 0xdf] {
        bytes.push(more);
        assert_eq!(Envelope::decode(&bytes), Err(EnvelopeError::Malformed("something follows its end")));
        bytes.pop();
    }
}

#[test]
fn nothing_larger_than_the_limit_is_written_or_read() {
    let huge = Body::text(&"x".repeat(90_000)).unwrap();
    let writes: Vec<_> =
        (1..=64).map(|n| ForwardedWrite { body: Some(huge.clone()), ..write(n, WriteOp::Send, None, None) }).collect();
    let encoded = envelope(vec![Payload::Submit(submit(writes))]).encode();
    assert!(matches!(encoded, Err(EnvelopeError::TooLarge { bytes }) if bytes > ENVELOPE_BYTES_MAX));
    let garbage = vec![ENVELOPE_FORMAT; ENVELOPE_BYTES_MAX + 1];
    assert_eq!(Envelope::decode(&garbage), Err(EnvelopeError::TooLarge { bytes: ENVELOPE_BYTES_MAX + 1 }));
}

#[test]
fn what_the_shape_does_not_say_is_checked_too() {
    let why = |payload: Payload| Envelope::decode(&envelope(vec![payload]).encode().unwrap()).unwrap_err();
    let many = (1..=65).map(|n| write(n, WriteOp::Redact, Some(1), None)).collect();
    assert_eq!(why(Payload::Submit(submit(many))), EnvelopeError::Malformed("a submit has 1 to 64 writes"));
    assert_eq!(why(Payload::Submit(submit(Vec::new()))), EnvelopeError::Malformed("a submit has 1 to 64 writes"));
    let far = ForwardedWrite { n: 1 << 53, ..write(1, WriteOp::Send, None, None) };
    assert_eq!(why(Payload::Submit(submit(vec![far]))), EnvelopeError::Malformed("a number is at most 2^53 - 1"));
    let nowhere = NodeRef::new(crate::ports::NodeId("{}".into()), Incarnation(1));
    let hint = Payload::NotOwner { room: room(), hint: Some(nowhere) };
    assert_eq!(why(hint), EnvelopeError::Malformed("a node's name is none"));
    let mut last = TestRoom::new(room()).append(Fence { epoch: Epoch::new(1), owner: OwnerId(1) }, 1);
    last[0].seq = Seq::new((1 << 53) - 2);
    let batch = Batch { room: room(), entries: last.into() };
    assert_eq!(why(Payload::Batch(batch)), EnvelopeError::Malformed("a batch is numbered from 1 to 2^53 - 1"));
}

#[test]
fn an_error_never_quotes_what_was_said() {
    let mut bytes = envelope(vec![Payload::Submit(submit(vec![write(1, WriteOp::Send, None, Some("secret"))]))])
        .encode()
        .unwrap()
        .to_vec();
    let room_at = bytes.windows(5).position(|window| window == b"\xa4room").unwrap();
    bytes[room_at + 1] = b'/';
    let error = Envelope::decode(&bytes).unwrap_err().to_string();
    assert_eq!(error, "the envelope is malformed: it is no MessagePack of an envelope's shape");
}

#[test]
fn an_envelope_is_for_one_life_of_a_node() {
    let envelope = envelope(Vec::new());
    assert!(envelope.is_for(&node("b", u64::MAX)));
    assert!(!envelope.is_for(&node("b", 1)) && !envelope.is_for(&node("a", u64::MAX)));
}

proptest! {
    #[test]
    fn garbage_is_never_a_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _ = Envelope::decode(&bytes);
        let headed: Vec<u8> = [ENVELOPE_FORMAT, 0x93].into_iter().chain(bytes).collect();
        let _ = Envelope::decode(&headed);
    }

    #[test]
    fn a_damaged_envelope_is_never_a_panic(damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = envelope(one_of_each()).encode().unwrap().to_vec();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        // Where damage cannot be told, what was read is still something that can be written.
        if let Ok(read) = Envelope::decode(&bytes) {
            prop_assert_eq!(Envelope::decode(&read.encode().unwrap()), Ok(read));
        }
    }
}
