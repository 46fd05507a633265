//! The vectors of bodies: how each is sent in either format, and the one text as which it is stored; and what is no body.

use rollcall_protocol::{Body, Format, Op, OutgoingCommand, Write, WriteOp};
use serde_json::{Value, json};

use super::chain::hex;
use super::room::room_id;

/// Bodies as somebody might write them in JSON.
const ACCEPTED: &[(&str, &str)] = &[
    (r#" { "text" : "Hello" , "n" : 1 } "#, "whitespace between tokens goes, the order of fields stays"),
    (r#""\u0041\/\u00e9\ud83d\udc4b""#, "what needs no escape has none"),
    (r#""\u0022\u005c\u0008\u000c\u000a\u000d\u0009""#, "the seven short escapes"),
    (r#""\u0000\u001F\u007f\u2028""#, "other control characters below U+0020 as \\u00xx, all else as it is"),
    (r#"[0,-1,9223372036854775807,-9223372036854775808,18446744073709551615]"#, "integers of 64 bits"),
    (r#"[1.0,-0,0.10,1e2,1E-5,0.000001,1e15,1e16,123456789012345678.0]"#, "the shortest form of a float"),
    (r#"[18446744073709551616,-9223372036854775809]"#, "an integer beyond 64 bits is a float"),
    (r#"[964540467094019.25,9007199254740993.0,5e-324,1.7976931348623157e308,1e-999]"#, "floats at their edges"),
    (r#"{"":{},"a":[[],[true,false,null]]}"#, "empty and nested"),
];

/// What no body is, in JSON.
const REFUSED_JSON: &[(&str, &str)] = &[
    ("1e999", "not a finite number"),
    (r#""\ud800""#, "half of a surrogate pair"),
    (r#""\udc00\ud800""#, "a surrogate pair the wrong way round"),
    (r#"{"a":1,"\u0061":2}"#, "a key twice"),
    ("[1,]", "not JSON"),
];

/// What no body is, in MessagePack.
const REFUSED_MSGPACK: &[(&[u8], &str)] = &[
    (b"\xc4\x01a", "bin"),
    (b"\xd6\xff\x00\x00\x00\x00", "ext"),
    (b"\x81\x01\x02", "a key that is not a string"),
    (b"\x82\xa1a\x01\xa1a\x02", "a key twice"),
    (b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", "not a number"),
    (b"\xa1\xff", "not UTF-8"),
    (b"\x92\x01", "cut short"),
    (b"\xdf\xff\xff\xff\xff\xa1a\x01", "a header that claims more than there is"),
];

/// All of them.
pub fn bodies() -> Value {
    let accepted = ACCEPTED.iter().map(|(sent, shows)| {
        let body = stored(sent);
        json!({"shows": shows, "json": sent, "msgpack": hex(msgpack(&body)), "stored": body.as_str()})
    });
    let refused_json = REFUSED_JSON.iter().map(|(sent, why)| json!({"why": why, "json": sent}));
    let refused_msgpack = REFUSED_MSGPACK.iter().map(|(sent, why)| json!({"why": why, "msgpack": hex(sent)}));
    json!({
        "about": [
            "json: a body as a sender's JSON; msgpack: the same as MessagePack, in hexadecimal; stored: the text that is \
             stored, hashed and delivered, whichever of the two was sent.",
            "What is refused would be refused alone as well as within another value.",
        ],
        "accepted": accepted.collect::<Vec<_>>(),
        "refused": refused_json.chain(refused_msgpack).collect::<Vec<_>>(),
    })
}

/// Sends a body as JSON through the code that ships.
fn stored(sent: &str) -> Body {
    let frame = format!(r#"{{"id":1,"send":{{"room":"general","n":1,"body":{sent}}}}}"#);
    let command = Format::Json.decode_command(frame.as_bytes()).expect("the accepted bodies are accepted");
    let Op::Write(_, write) = command.op else { panic!("a send is a write") };
    write.body.expect("it has a body").check().expect("it is small")
}

/// Writes a body as MessagePack: what follows the same frame with no body in it.
fn msgpack(body: &Body) -> Vec<u8> {
    let frame = |body| {
        let write = Write { room: room_id(), n: 1, prev: None, since: None, target: None, body };
        Format::MsgPack.encode_command(&OutgoingCommand { id: Some(1), op: Op::Write(WriteOp::Send, write) })
    };
    let before = frame(None).len() + b"\xa4body".len();
    frame(Some(body.clone())).split_off(before)
}
