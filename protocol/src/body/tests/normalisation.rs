//! However a value is written, in whichever format, its stored text is the same, and it reaches every reader as that.

use proptest::prelude::*;

use super::any_json::{Choices, any_json};
use super::{Body, from_json, from_msgpack};
use crate::hash::{self, Hash};
use crate::{Entries, Entry, Epoch, Format, Incoming, Kind, OutgoingPush, OwnerId, RoomId, Salt, Seq, UserId};

/// Sends a body to a reader and returns what it reads.
fn delivered(format: Format, body: &Body) -> Body {
    let entry = Entry {
        seq: Seq::FIRST,
        kind: Kind::Message,
        created_at_ms: 0,
        sender: UserId::parse("alice").unwrap(),
        device: None,
        n: 0,
        target: None,
        body: Some(body.clone()),
        salt: Some(Salt([0; 16])),
        content_hash: hash::content(&Salt([0; 16]), Some(body.as_str())),
        hash: Hash([0; 32]),
        epoch: Epoch::new(1),
        owner: OwnerId(1),
    };
    let room = RoomId::parse("r").unwrap();
    let frame = format.encode(&OutgoingPush::Entries(Entries { room: &room, list: &[entry] }));
    match format.decode(&frame) {
        Ok(Incoming::Entries(mut entries)) => entries.list.remove(0).body.expect("the entry has a body"),
        other => panic!("{other:?} instead of entries"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn one_value_is_one_text(value in any_json(), mut choices in Choices::any()) {
        let (mut json, mut msgpack) = (String::new(), Vec::new());
        value.write_json(&mut choices, &mut json);
        value.write_msgpack(&mut choices, &mut msgpack);
        prop_assume!(json.trim() != "null"); // stands for no body at all
        let body = from_json(&json).unwrap();
        prop_assert_eq!(body.as_str(), value.stored());
        prop_assert_eq!(&from_msgpack(&msgpack).unwrap(), &body);
        for format in Format::ALL {
            prop_assert_eq!(&delivered(format, &body), &body, "{:?}", format);
        }
        prop_assert_eq!(&from_json(body.as_str()).unwrap(), &body, "normalising again changes nothing");
    }
}

#[test]
fn numbers_keep_their_value_and_their_type() {
    let numbers = [
        ("0", "0"),
        ("-0", "-0.0"),
        ("-0.0", "-0.0"),
        ("0.000", "0.0"),
        ("1.0", "1.0"),
        ("1e2", "100.0"),
        ("1E+2", "100.0"),
        ("0.1", "0.1"),
        ("1e-5", "0.00001"),
        ("1e-7", "1e-7"),
        ("0.0000001", "1e-7"),
        ("1e15", "1000000000000000.0"),
        ("1e16", "1e+16"),
        ("5e-324", "5e-324"),
        ("1e-999", "0.0"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("9223372036854775807", "9223372036854775807"),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", "1.8446744073709552e+19"),
        ("-9223372036854775809", "-9.223372036854776e+18"),
        // Halfway cases, which a parser that rounds twice gets wrong by one bit.
        ("9007199254740993.0", "9007199254740992.0"),
        ("2.2250738585072011e-308", "2.225073858507201e-308"),
        ("-6.9178240170798495e-203", "-6.917824017079849e-203"),
        ("964540467094019.25", "964540467094019.2"),
    ];
    for (sent, stored) in numbers {
        let body = from_json(sent).unwrap();
        assert_eq!(body.as_str(), stored, "{sent}");
        assert_eq!(delivered(Format::MsgPack, &body), body, "{sent}");
    }
}

#[test]
fn messagepack_numbers_of_each_width_are_the_same_numbers() {
    let numbers: [(&[u8], &str); 8] = [
        (b"\x05", "5"),
        (b"\xcc\x05", "5"),
        (b"\xd0\x05", "5"),
        (b"\xd3\x00\x00\x00\x00\x00\x00\x00\x05", "5"),
        (b"\xff", "-1"),
        (b"\xd1\xff\xff", "-1"),
        (b"\xca\x3f\x00\x00\x00", "0.5"),
        (b"\xca\x3d\xcc\xcc\xcd", "0.10000000149011612"),
    ];
    for (sent, stored) in numbers {
        assert_eq!(from_msgpack(sent).unwrap().as_str(), stored);
    }
}

#[test]
fn the_order_of_fields_and_unknown_ones_are_kept() {
    let body = from_json(r#" { "z" : 1 , "text" : "\u0048i" , "a" : [ ] , "" : { } } "#).unwrap();
    assert_eq!(body.as_str(), r#"{"z":1,"text":"Hi","a":[],"":{}}"#);
}

#[test]
fn a_body_that_is_null_is_no_body() {
    assert_eq!(super::refusal(from_json("null")), "no body");
    assert_eq!(super::refusal(from_msgpack(b"\xc0")), "no body");
}
