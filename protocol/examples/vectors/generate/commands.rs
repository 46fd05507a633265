//! A golden frame for each command.

use rollcall_protocol::{Hello, History, Join, Leave, Op, OutgoingCommand, Pong, Refresh, Seq, Typing, Write, WriteOp};
use serde_json::json;

use super::room::{body, device, entries, rich_body, room_id};
use super::vector::Vector;

fn vector(name: &'static str, shows: &'static str, id: u64, op: Op<rollcall_protocol::Body>) -> Vector {
    Vector::command(name, shows, &OutgoingCommand { id: Some(id), op })
}

/// The commands of a session's life.
pub fn commands() -> Vec<Vector> {
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl".to_owned();
    let head = entries()[4].hash;
    [
        vec![
            vector(
                "hello_guest",
                "The shortest hello: a new guest, under a device name that the server draws.",
                1,
                Op::Hello(Hello::default()),
            ),
            vector(
                "hello",
                "Hello with a token, a device of one's own, and the session's counter of connections.",
                1,
                Op::Hello(Hello {
                    token: Some(token.clone()),
                    device: Some(device("alice-phone")),
                    session: Some("5f2c9a".to_owned()),
                    attempt: 2,
                }),
            ),
            vector(
                "join",
                "Joins at the head: only what is written from now on follows.",
                2,
                Op::Join(Join { room: room_id(), after: None, hash: None }),
            ),
            vector(
                "join_from_start",
                "Joins from the start: everything that the room keeps follows.",
                3,
                Op::Join(Join { room: room_id(), after: Some(Seq::ZERO), hash: None }),
            ),
            vector(
                "join_resume",
                "Resumes after entry 5, and shows its hash.",
                4,
                Op::Join(Join { room: room_id(), after: Some(Seq::new(5)), hash: Some(head) }),
            ),
            vector("leave", "Ends the subscription to a room.", 5, Op::Leave(Leave { room: room_id() })),
        ],
        writes(),
        histories(),
        vec![
            vector(
                "typing",
                "Tells those who joined the room that the user types.",
                16,
                Op::Typing(Typing { room: room_id() }),
            ),
            vector("refresh", "Brings a new token before the old one expires.", 17, Op::Refresh(Refresh { token })),
            Vector::command(
                "pong",
                "Answers a ping: no id, and no reply follows.",
                &OutgoingCommand { id: None, op: Op::Pong(Pong {}) },
            ),
        ],
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn writes() -> Vec<Vector> {
    let plain = Write { room: room_id(), n: 1, prev: None, since: None, target: None, body: None };
    let target = Some(Seq::new(2));
    vec![
        vector(
            "send_first",
            "The first message of a device to a room: n is 1, and since names a head seen before.",
            6,
            Op::Write(
                WriteOp::Send,
                Write { since: Some(Seq::new(1)), body: Some(body(&json!({"text": "Hello"}))), ..plain.clone() },
            ),
        ),
        vector(
            "send",
            "A message with all that a body has by convention, and fields of its own.",
            7,
            Op::Write(WriteOp::Send, Write { body: Some(rich_body()), ..plain.clone() }),
        ),
        vector(
            "send_after_drop",
            "A message after a write that was refused and dropped: prev names the last accepted n.",
            8,
            Op::Write(
                WriteOp::Send,
                Write { n: 5, prev: Some(3), body: Some(body(&json!({"text": "again"}))), ..plain.clone() },
            ),
        ),
        vector(
            "edit",
            "A new body for message 2.",
            9,
            Op::Write(
                WriteOp::Edit,
                Write { n: 2, target, body: Some(body(&json!({"text": "Hello, world"}))), ..plain.clone() },
            ),
        ),
        vector(
            "react",
            "A reaction to message 2.",
            10,
            Op::Write(
                WriteOp::React,
                Write { n: 2, target, body: Some(body(&json!({"emoji": "👍"}))), ..plain.clone() },
            ),
        ),
        vector(
            "redact",
            "Takes the body of entry 6 away; a redaction may go without a body.",
            11,
            Op::Write(WriteOp::Redact, Write { n: 3, prev: Some(1), target: Some(Seq::new(6)), ..plain }),
        ),
    ]
}

fn histories() -> Vec<Vector> {
    let latest = History::latest(room_id());
    vec![
        vector("history", "The latest page of a room.", 12, Op::History(latest.clone())),
        vector(
            "history_after",
            "The page that begins after entry 2, and what proves each entry.",
            13,
            Op::History(History { after: Some(Seq::new(2)), limit: Some(6), evidence: true, ..latest.clone() }),
        ),
        vector(
            "history_before",
            "The page that ends before entry 8.",
            14,
            Op::History(History { before: Some(Seq::new(8)), limit: Some(3), ..latest.clone() }),
        ),
        vector(
            "history_around",
            "The page with entry 4 in its middle.",
            15,
            Op::History(History { around: Some(Seq::new(4)), limit: Some(5), ..latest }),
        ),
    ]
}
