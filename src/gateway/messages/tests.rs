use proptest::prelude::*;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;

use super::*;

const MASK: [u8; 4] = [0x12, 0xfe, 0x00, 0x9c];

/// Bytes of a client's frame, made by another implementation.
fn masked(opcode: OpCode, is_final: bool, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader { is_final, opcode, mask: Some(MASK), ..FrameHeader::default() };
    let mut bytes = Vec::new();
    Frame::from_payload(header, Bytes::copy_from_slice(payload)).format(&mut bytes).unwrap();
    bytes
}

const TEXT: OpCode = OpCode::Data(Data::Text);
const BINARY: OpCode = OpCode::Data(Data::Binary);
const MORE: OpCode = OpCode::Data(Data::Continue);
const CLOSE: OpCode = OpCode::Control(Control::Close);
const PING: OpCode = OpCode::Control(Control::Ping);

/// Everything that comes of bytes which arrive in pieces of this size.
fn read(bytes: &[u8], piece_bytes: usize) -> (Vec<Message>, Option<Breach>, Messages) {
    let mut messages = Messages::new(&[], 1_000);
    let mut taken = Vec::new();
    for piece in bytes.chunks(piece_bytes) {
        messages.input().extend_from_slice(piece);
        loop {
            match messages.next() {
                Ok(Some(message)) => taken.push(message),
                Ok(None) => break,
                Err(breach) => return (taken, Some(breach), messages),
            }
        }
        messages.rest();
    }
    (taken, None, messages)
}

#[test]
fn a_message_in_pieces_with_a_ping_between_them() {
    let bytes = [
        masked(TEXT, false, b"gr\xc3"),
        masked(PING, true, b"there?"),
        masked(MORE, false, b""),
        masked(MORE, true, b"\xbcn"),
        masked(BINARY, true, &[0xff; 300]),
        masked(CLOSE, true, b"\x03\xe8bye"),
    ];
    let bye = CloseFrame { code: CloseCode::Normal, reason: "bye".into() };
    for piece_bytes in [1, 2, 7, 1_000] {
        let (taken, breach, rest) = read(&bytes.concat(), piece_bytes);
        let whole = [
            Message::Ping(Bytes::from_static(b"there?")),
            Message::Text(Bytes::from_static("grün".as_bytes())),
            Message::Binary(Bytes::from(vec![0xff; 300])),
            Message::Close(Some(bye.clone())),
        ];
        assert_eq!((&taken[..], breach), (&whole[..], None), "in pieces of {piece_bytes}");
        assert_eq!(rest.capacity_bytes(), 0, "an empty buffer is given back");
    }
}

#[test]
fn what_is_not_a_clients() {
    let mut unmasked = Vec::new();
    Frame::message(&b"hello"[..], TEXT, true).format(&mut unmasked).unwrap();
    let mut compressed = masked(TEXT, true, b"hello");
    compressed[0] |= 0x40;
    let cases = [
        ("no mask", unmasked),
        ("a reserved bit", compressed),
        ("an operation that is not known", vec![0x83, 0x80, 1, 2, 3, 4]),
        ("a continuation of nothing", masked(MORE, true, b"x")),
        ("a text within a text", [masked(TEXT, false, b"x"), masked(TEXT, true, b"y")].concat()),
        ("a ping in pieces", masked(PING, false, b"x")),
        ("a long ping", masked(PING, true, &[0; 126])),
        ("half a close code", masked(CLOSE, true, b"\x03")),
        ("a reason that is not UTF-8", masked(CLOSE, true, b"\x03\xe8\xff")),
        ("a text that is not UTF-8", masked(TEXT, true, b"\xff")),
        ("a text that ends in a character", masked(TEXT, true, b"\xc3")),
    ];
    for (what, bytes) in cases {
        for piece_bytes in [1, 1_000] {
            let (taken, breach, _) = read(&bytes, piece_bytes);
            assert_eq!((taken, breach), (vec![], Some(Breach::Malformed)), "{what}");
        }
    }
}

#[test]
fn close_codes_that_do_not_go_over_the_wire_are_answered_with_another() {
    let (taken, ..) = read(&masked(CLOSE, true, &1_005_u16.to_be_bytes()), 100);
    let Some(Message::Close(Some(answer))) = taken.first() else { panic!("{taken:?}") };
    assert_eq!(answer.code, CloseCode::Protocol);
    assert_eq!(read(&masked(CLOSE, true, b""), 100).0, [Message::Close(None)]);
}

#[test]
fn a_message_at_its_limit_and_beyond() {
    assert_eq!(read(&masked(BINARY, true, &[7; 1_000]), 100).0.len(), 1);
    let halves = [masked(BINARY, false, &[7; 500]), masked(MORE, true, &[7; 500])].concat();
    assert_eq!(read(&halves, 100).0.len(), 1);
    // Beyond it the header is enough.
    assert_eq!(read(&masked(BINARY, true, &[7; 1_001])[..8], 100).1, Some(Breach::TooLarge));
    assert_eq!(
        read(&[0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4], 100).1,
        Some(Breach::TooLarge)
    );
    let halves = [masked(BINARY, false, &[7; 500]), masked(MORE, true, &[7; 501])].concat();
    assert_eq!(read(&halves, 100).1, Some(Breach::TooLarge));
}

#[test]
fn what_a_header_claims_takes_no_memory() {
    let mut messages = Messages::new(&[], 1 << 30);
    messages.input().extend_from_slice(&[0x82, 0xff, 0, 0, 0, 0, 0x3f, 0xff, 0xff, 0xff, 1, 2, 3, 4]);
    assert_eq!(messages.next(), Ok(None));
    assert!(messages.input().capacity() <= 2 * READ_BYTES_MAX);
}

proptest! {
    #[test]
    fn whatever_was_sent_is_read_in_whatever_pieces_it_comes(
        sent in proptest::collection::vec(proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..4), 1..8),
        piece_bytes in 1..400_usize,
    ) {
        let mut bytes = Vec::new();
        for pieces in &sent {
            for (at, piece) in pieces.iter().enumerate() {
                let opcode = if at == 0 { BINARY } else { MORE };
                bytes.extend(masked(opcode, at + 1 == pieces.len(), piece));
            }
        }
        let (taken, breach, rest) = read(&bytes, piece_bytes);
        let whole: Vec<_> = sent.iter().map(|pieces| Message::Binary(Bytes::from(pieces.concat()))).collect();
        prop_assert_eq!((taken, breach), (whole, None));
        prop_assert_eq!(rest.capacity_bytes(), 0);
    }

    #[test]
    fn garbage_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300), piece_bytes in 1..100_usize) {
        let (_, breach, _) = read(&bytes, piece_bytes);
        let (_, at_once, _) = read(&bytes, 1_000);
        prop_assert_eq!(breach, at_once);
    }
}
