//! What is not a command is refused with an error that names the place, repeats no value, and carries the id where it can.

use rollcall_protocol::{Format, Op};

use crate::wire::written;

/// Decodes JSON text in both formats and returns the id that the error carries, and the error.
#[track_caller]
fn refused(json: &str) -> (Option<u64>, String) {
    let [of_json, of_msgpack] =
        Format::ALL.map(|format| format.decode_command(&written(format, json)).expect_err("it was accepted"));
    assert_eq!(of_json.id, of_msgpack.id, "the formats differ in the id of {json}");
    (of_json.id, of_json.to_string())
}

#[test]
fn an_envelope_has_one_id_and_one_operation() {
    let typing = r#""typing":{"room":"r"}"#;
    let cases = [
        (format!("{{{typing}}}"), None, "missing field `id`"),
        (format!(r#"{{"id":1,"id":2,{typing}}}"#), None, "duplicate field `id`"),
        (format!(r#"{{"id":1,{typing},"id":1}}"#), None, "duplicate field `id`"),
        (format!(r#"{{"id":1,{typing},{typing}}}"#), Some(1), "one operation, not two"),
        (format!(r#"{{"id":1,{typing},"leave":{{"room":"r"}}}}"#), Some(1), "one operation, not two"),
        (format!(r#"{{{typing},"dance":{{}},"id":1}}"#), Some(1), "one operation, not two"),
        (r#"{"id":1,"a":1,"b":1}"#.to_owned(), Some(1), "one operation, not two"),
        (r#"{"id":1}"#.to_owned(), Some(1), "an operation beside its id"),
        ("{}".to_owned(), None, "an operation beside its id"),
        (format!(r#"{{"id":"1",{typing}}}"#), None, "id: "),
        (format!(r#"{{"id":-1,{typing}}}"#), None, "id: "),
        (format!(r#"{{"id":1.0,{typing}}}"#), None, "id: "),
        (format!(r#"{{"id":null,{typing}}}"#), None, "id: "),
        (format!(r#"{{"id":9007199254740992,{typing}}}"#), None, "2^53 - 1"),
        ("[1]".to_owned(), None, "a command"),
        ("7".to_owned(), None, "a command"),
        ("null".to_owned(), None, "a command"),
    ];
    for (json, id, expected) in cases {
        let (found, error) = refused(&json);
        assert_eq!(found, id, "{json}");
        assert!(error.contains(expected), "{json}: {error}");
    }
}

#[test]
fn only_pong_has_no_id() {
    for format in Format::ALL {
        assert_eq!(format.decode_command(&written(format, r#"{"pong":{}}"#)).unwrap().id, None);
        assert_eq!(format.decode_command(&written(format, r#"{"pong":{},"id":3}"#)).unwrap().id, Some(3));
    }
}

#[test]
fn what_is_no_frame_at_all() {
    for text in ["", " ", "{", "not json", "{\"id\":1,}", "{\"id\":1,\"pong\":{}} x", "\u{feff}{\"id\":1,\"pong\":{}}"]
    {
        assert!(Format::Json.decode_command(text.as_bytes()).is_err(), "{text} was accepted");
        assert!(Format::Json.decode(text.as_bytes()).is_err(), "{text} was accepted");
    }
    for bytes in [b"".as_slice(), b"\xc1", b"\x81", b"\x80\x80", b"\xff\xff"] {
        assert!(Format::MsgPack.decode_command(bytes).is_err(), "{bytes:x?} was accepted");
    }
}

#[test]
fn the_id_is_found_though_what_follows_is_broken() {
    let json = [
        r#"{"id":7,"send":{"room":"r","n":1,"body":"\ud800"}}"#,
        r#"{"id":7,"send":{"room":"r","n":1,"body":1e999}}"#,
        r#"{"id":7,"send":{"room":"#,
        r#"{"id":7,"#,
        r#"{"id":7,"send":{"room":"r"}} trailing"#,
    ];
    for json in json {
        assert_eq!(Format::Json.decode_command(json.as_bytes()).unwrap_err().id, Some(7), "{json}");
    }
    let whole = written(Format::MsgPack, r#"{"id":7,"typing":{"room":"general"}}"#);
    for length in 5..whole.len() {
        assert_eq!(Format::MsgPack.decode_command(&whole[..length]).unwrap_err().id, Some(7), "{length} bytes");
    }
    assert_eq!(Format::MsgPack.decode_command(&[whole, vec![0]].concat()).unwrap_err().id, Some(7));
    let broken_before = r#"{"typing":{"room":"r" "x"},"id":7}"#;
    assert_eq!(Format::Json.decode_command(broken_before.as_bytes()).unwrap_err().id, None);
}

#[test]
fn an_unknown_operation_is_told_by_its_id_and_a_short_name() {
    let long = "x".repeat(100);
    let names =
        [("dance", "dance"), ("", ""), ("Send", "Send"), (" send", "send"), ("sénd", "snd"), (&long, &long[..32])];
    for (sent, name) in names {
        for value in ["{}", "null", "[[1]]", r#"{"room":7}"#] {
            let json = format!(r#"{{"id":3,"{sent}":{value}}}"#);
            for format in Format::ALL {
                let command = format.decode_command(&written(format, &json)).unwrap();
                assert_eq!((command.id, command.op), (Some(3), Op::Unknown(name.to_owned())), "{json}");
            }
        }
    }
    let json = r#"{"id":3,"send\u0000":{"room":"r","n":1,"body":{}}}"#;
    let command = Format::Json.decode_command(json.as_bytes()).unwrap();
    assert_eq!(command.op, Op::Unknown("send".to_owned()), "a name with more in it is another name");
}

#[test]
fn unknown_fields_are_ignored_and_known_ones_are_not_repeated() {
    let plain = r#"{"id":1,"send":{"room":"r","n":1,"body":{}}}"#;
    let more = r#"{"id":1,"send":{"x":[{"room":7}],"room":"r","n":1,"":null,"body":{},"N":9}}"#;
    for format in Format::ALL {
        let [plain, more] = [plain, more].map(|json| format.decode_command(&written(format, json)).unwrap());
        assert_eq!(plain, more);
    }
    let (id, error) = refused(r#"{"id":1,"send":{"room":"r","n":1,"n":2,"body":{}}}"#);
    assert!(id == Some(1) && error.contains("duplicate field `n`"), "{error}");
}

#[test]
fn an_optional_field_that_is_null_is_left_out() {
    let cases = [
        (r#"{"id":1,"hello":{"token":null,"device":null,"session":null,"attempt":null}}"#, r#"{"id":1,"hello":{}}"#),
        (r#"{"id":1,"join":{"room":"r","after":null,"hash":null}}"#, r#"{"id":1,"join":{"room":"r"}}"#),
        (
            r#"{"id":1,"send":{"room":"r","n":1,"prev":null,"since":null,"target":null,"body":null}}"#,
            r#"{"id":1,"send":{"room":"r","n":1}}"#,
        ),
        (
            r#"{"id":1,"history":{"room":"r","after":null,"before":null,"around":null,"limit":null,"evidence":null}}"#,
            r#"{"id":1,"history":{"room":"r"}}"#,
        ),
    ];
    for (nulls, absent) in cases {
        for format in Format::ALL {
            let [nulls, absent] = [nulls, absent].map(|json| format.decode_command(&written(format, json)).unwrap());
            assert_eq!(nulls, absent);
        }
    }
}

#[test]
fn an_error_names_the_operation_and_the_field() {
    let cases = [
        (r#"{"id":1,"send":{"n":1}}"#, "send: missing field `room`"),
        (r#"{"id":1,"send":{"room":"r"}}"#, "send: missing field `n`"),
        (r#"{"id":1,"send":{"room":"r","n":-1}}"#, "send.n: "),
        (r#"{"id":1,"send":{"room":"../etc","n":1}}"#, "send.room: a room name"),
        (r#"{"id":1,"join":{"room":"r","hash":"12"}}"#, "join.hash: expected 64"),
        (r#"{"id":1,"hello":{"device":""}}"#, "hello.device: a device name"),
        (r#"{"id":1,"edit":{"room":"r","n":1,"body":{"a":{"b":1,"b":1}}}}"#, "edit.body: "),
        (r#"{"id":1,"join":["r"]}"#, "join: "),
        (r#"{"id":1,"join":"r"}"#, "join: "),
        (r#"{"id":1,"pong":[]}"#, "pong: "),
    ];
    for (json, expected) in cases {
        let (id, error) = refused(json);
        assert_eq!(id, Some(1), "{json}");
        assert!(error.starts_with(&format!("the frame is not a command: {expected}")), "{json}: {error}");
    }
    let (_, error) = refused(r#"{"id":1,"edit":{"room":"r","n":1,"body":{"private":{"b":1,"b":1}}}}"#);
    assert!(!error.contains("private"), "{error}");
}

#[test]
fn a_session_has_1_to_64_characters() {
    let hello = |session: &str| format!(r#"{{"id":1,"hello":{{"session":"{session}"}}}}"#);
    for session in ["s", &"é".repeat(64)] {
        assert!(Format::Json.decode_command(hello(session).as_bytes()).is_ok());
    }
    for session in ["", &"s".repeat(65)] {
        assert!(refused(&hello(session)).1.contains("hello.session: a session has 1 to 64 characters"));
    }
}
