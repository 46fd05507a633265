//! What one of the formats could not tell is refused at the edge, so that no committed body can poison a reader.

use super::{from_json, from_msgpack, refusal};
use crate::Format;

#[test]
fn nesting_ends_at_64() {
    let json = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    let msgpack = |depth: usize| [vec![0x91; depth], vec![0x01]].concat();
    assert_eq!(from_json(&json(64)).unwrap().as_str(), json(64));
    assert_eq!(from_json(&objects(64)).unwrap().as_str(), objects(64));
    assert_eq!(from_msgpack(&msgpack(64)).unwrap().as_str(), json(64));
    for refused in [from_json(&json(65)), from_json(&objects(65)), from_msgpack(&msgpack(65))] {
        let reason = refusal(refused);
        assert!(reason.contains("nested more than 64 deep"), "{reason}");
    }
}

#[test]
fn nesting_of_10_000_is_refused_wherever_it_stands() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let objects = r#"{"a":"#.repeat(10_000);
    let msgpack = [vec![0x91; 10_000], vec![0x01]].concat();
    for json in [&deep, &objects] {
        assert!(refusal(from_json(json)).contains("nested more than 64 deep"));
        for frame in [format!(r#"{{"id":1,"send":{json}}}"#), json.clone()] {
            assert!(Format::Json.decode_command(frame.as_bytes()).is_err());
        }
    }
    assert!(refusal(from_msgpack(&msgpack)).contains("nested more than 64 deep"));
    for frame in [[b"\x82\xa2id\x01\xa4send".as_slice(), &msgpack].concat(), msgpack] {
        assert!(Format::MsgPack.decode_command(&frame).is_err());
        assert!(Format::MsgPack.decode(&frame).is_err());
    }
}

#[test]
fn deep_fields_that_nobody_reads_are_skipped_or_refused() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let frame = format!(r#"{{"id":1,"typing":{{"room":"r","x":{deep}}}}}"#);
    assert!(Format::Json.decode_command(frame.as_bytes()).is_ok(), "what is not read costs nothing");
    let deep = [vec![0x91; 10_000], vec![0x01]].concat();
    let frame = [b"\x82\xa2id\x01\xa6typing\x82\xa4room\xa1r\xa1x".as_slice(), &deep].concat();
    assert_eq!(Format::MsgPack.decode_command(&frame).unwrap_err().id, Some(1));
}

#[test]
fn json_that_is_not_a_body() {
    let refused = [
        "1e999",
        "-1e999",
        "[1e400]",
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800x""#,
        r#""\ud800\u0041""#,
        r#""\ud800\ud800""#,
        r#""\udc00\ud800""#,
        r#"{"\ud800":1}"#,
        r#"{"a":1,"a":2}"#,
        r#"{"a":1,"b":2,"\u0061":3}"#,
        r#"{"x":{"text":1,"te\u0078t":1}}"#,
        r#"{"\u00e4":1,"ä":1}"#,
        "NaN",
        "Infinity",
        "01",
        "1.",
        ".5",
        "+1",
        "'a'",
        "\"\n\"",
        "{a:1}",
        "[1,]",
        "{\"a\":1,}",
        "// no\n1",
        "",
    ];
    for json in refused {
        assert!(from_json(json).is_err(), "{json} was accepted");
    }
    for (json, expected) in
        [("1e999", "number out of range"), (r#""\udc00""#, "surrogate"), (r#"{"a":1,"a":2}"#, "twice")]
    {
        let reason = refusal(from_json(json));
        assert!(reason.contains(expected), "{json}: {reason}");
    }
}

#[test]
fn bytes_that_are_not_utf8_are_not_text() {
    for bytes in
        [b"\xed\xa0\x80".as_slice(), b"\xed\xb0\x80", b"\xff", b"\xc0\x80", b"\xf8\x88\x80\x80\x80", b"\xe2\x82"]
    {
        let json = [br#"{"id":1,"send":{"room":"r","n":1,"body":""#.as_slice(), bytes, b"\"}}"].concat();
        assert!(super::sent_body(Format::Json, &json).is_err(), "{bytes:x?} was accepted");
        let mut msgpack = vec![0xa0 | u8::try_from(bytes.len()).unwrap()];
        msgpack.extend(bytes);
        assert!(from_msgpack(&msgpack).is_err(), "{bytes:x?} was accepted");
        let as_key = [&[0x81], msgpack.as_slice(), &[1]].concat();
        assert!(from_msgpack(&as_key).is_err(), "{bytes:x?} was accepted as a key");
    }
}

#[test]
fn messagepack_that_is_not_a_body() {
    let refused: [(&str, &[u8]); 18] = [
        ("bin 8", b"\xc4\x01a"),
        ("bin 16", b"\xc5\x00\x01a"),
        ("bin 32", b"\xc6\x00\x00\x00\x01a"),
        ("bin in an array", b"\x91\xc4\x01a"),
        ("bin as a key", b"\x81\xc4\x01a\x01"),
        ("fixext 1", b"\xd4\x01a"),
        ("timestamp", b"\xd6\xff\x00\x00\x00\x00"),
        ("ext 8", b"\xc7\x01\x05a"),
        ("ext in a map", b"\x81\xa1a\xd4\x01a"),
        ("an integer key", b"\x81\x01\x01"),
        ("a nil key", b"\x81\xc0\x01"),
        ("an array key", b"\x81\x90\x01"),
        ("a key twice", b"\x82\xa1a\x01\xa1a\x02"),
        ("a key twice in two widths", b"\x82\xa1a\x01\xd9\x01a\x02"),
        ("f64 NaN", b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"),
        ("f64 infinity", b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00"),
        ("f32 -infinity", b"\xca\xff\x80\x00\x00"),
        ("the marker that is never used", b"\xc1"),
    ];
    for (what, bytes) in refused {
        assert!(from_msgpack(bytes).is_err(), "{what} was accepted");
    }
}

#[test]
fn headers_that_claim_more_than_there_is() {
    for header in [b"\xdf", b"\xdd", b"\xdb", b"\xc6", b"\xc9"] {
        let claim = [header.as_slice(), &[0xff; 4]].concat();
        assert!(from_msgpack(&claim).is_err(), "{claim:x?} was accepted");
        assert!(from_msgpack(&[claim.as_slice(), b"\xa1a\x01\xa1b\x02"].concat()).is_err(), "{claim:x?} was accepted");
        assert!(Format::MsgPack.decode_command(&claim).is_err());
        assert!(Format::MsgPack.decode(&claim).is_err());
    }
}

#[test]
fn messagepack_cut_at_any_byte() {
    let body =
        b"\x83\xa4text\xa5Hello\xa1a\x93\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00\xd9\x02ab\xc3\xa1b\x81\xa1c\xcd\x01\x00";
    let frame = super::msgpack_frame(body);
    assert!(super::sent_body(Format::MsgPack, &frame).is_ok());
    for length in 0..frame.len() {
        assert!(Format::MsgPack.decode_command(&frame[..length]).is_err(), "{length} bytes were accepted");
    }
    assert!(
        Format::MsgPack.decode_command(&[frame.as_slice(), &[0xc0]].concat()).is_err(),
        "a byte too many was accepted"
    );
}
