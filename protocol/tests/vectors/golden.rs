//! The golden files are what the code writes, both formats of a frame say the same, and no kind of frame is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use rollcall_protocol::{Body, Format, Incoming, Op};
use serde_json::Value;

use crate::generate::document::fill_in;
use crate::generate::files::{files, frames};
use crate::generate::vector::Direction;
use crate::wire::{as_sent, unhex, value};

const HOW: &str = "run `cargo run -p rollcall-protocol --example vectors -- protocol/vectors docs/protocol.md`, and look at \
                   what git shows: a changed frame is a changed protocol";

#[test]
fn the_files_are_what_the_code_writes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let stored: BTreeMap<_, _> = fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap())
        .map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()))
        .collect();
    let written = files();
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&stored), names(&written), "{HOW}");
    for (name, bytes) in &written {
        assert!(stored[name] == *bytes, "{name} differs: {HOW}");
    }
}

#[test]
fn the_generated_parts_of_the_page_are_up_to_date() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md");
    let text = fs::read_to_string(page).unwrap();
    assert!(fill_in(&text).unwrap() == text, "docs/protocol.md differs: {HOW}");
    for part in ["errors", "close codes", "limits"] {
        assert!(text.contains(&format!("<!-- generated: {part} -->")), "docs/protocol.md has no table of {part}");
    }
}

#[test]
fn a_page_is_filled_in_or_refused() {
    let filled = fill_in("a\n<!-- generated: example leave -->\nold\n<!-- end -->\nb\n").unwrap();
    let example = r#"{"id": 5, "leave": {"room": "general"}}"#;
    assert_eq!(filled, format!("a\n<!-- generated: example leave -->\n```json\n{example}\n```\n<!-- end -->\nb\n"));
    assert_eq!(fill_in(&filled).unwrap(), filled);
    assert!(fill_in("<!-- generated: example nothing -->\n<!-- end -->").is_err());
    assert!(fill_in("<!-- generated: limits -->\n").is_err());
}

#[test]
fn both_formats_of_a_frame_say_the_same() {
    for vector in frames() {
        let values = [value(Format::Json, &vector.json), value(Format::MsgPack, &vector.msgpack)];
        assert_eq!(values[0], values[1], "{}", vector.name);
        match vector.direction {
            Direction::ToServer => {
                let json = Format::Json.decode_command(&vector.json).unwrap();
                assert_eq!(Format::MsgPack.decode_command(&vector.msgpack).unwrap(), json, "{}", vector.name);
            }
            Direction::ToClient => {
                let json = Format::Json.decode(&vector.json).unwrap();
                assert_eq!(Format::MsgPack.decode(&vector.msgpack).unwrap(), json, "{}", vector.name);
            }
        }
    }
}

#[test]
fn a_command_that_was_read_is_the_one_that_was_written() {
    for vector in frames().into_iter().filter(|vector| vector.direction == Direction::ToServer) {
        if vector.name.starts_with("newer") {
            continue;
        }
        for (format, bytes) in Format::ALL.into_iter().zip([&vector.json, &vector.msgpack]) {
            let command = as_sent(format.decode_command(bytes).unwrap()).unwrap();
            assert_eq!(format.encode_command(&command), *bytes, "{}", vector.name);
        }
    }
}

#[test]
fn every_kind_of_frame_has_a_vector() {
    let mut found = BTreeSet::new();
    for vector in frames() {
        match vector.direction {
            Direction::ToServer => {
                let op = Format::Json.decode_command(&vector.json).unwrap().op;
                found.insert(match op {
                    Op::Unknown(_) => "unknown op".to_owned(),
                    op => op.name().to_owned(),
                });
            }
            Direction::ToClient => {
                let name = match Format::Json.decode(&vector.json).unwrap() {
                    Incoming::Ok(_, fields) => {
                        let kinds = [
                            fields.ack().is_some(),
                            fields.clone().joined().is_some(),
                            fields.clone().history().is_some(),
                            fields.welcome().is_some(),
                        ];
                        ["ack", "joined", "page", "welcome", "nothing"][kinds.iter().position(|&is| is).unwrap_or(4)]
                    }
                    Incoming::Error(Some(_), _) => "error",
                    Incoming::Error(None, _) => "error without id",
                    Incoming::Entries(_) => "entries",
                    Incoming::Signal(_) => "signal",
                    Incoming::Ping(_) => "ping",
                    Incoming::Left(_) => "left",
                    Incoming::GoingAway(_) => "going_away",
                    Incoming::Unknown => "unknown",
                };
                found.insert(name.to_owned());
            }
        }
    }
    let expected = [
        "ack",
        "edit",
        "entries",
        "error",
        "error without id",
        "going_away",
        "hello",
        "history",
        "join",
        "joined",
        "leave",
        "left",
        "nothing",
        "page",
        "ping",
        "pong",
        "react",
        "redact",
        "refresh",
        "send",
        "signal",
        "typing",
        "unknown",
        "unknown op",
        "welcome",
    ];
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

#[test]
fn what_is_newer_is_ignored() {
    let decoded = |name: &str| {
        let vector = frames().into_iter().find(|vector| vector.name == name).unwrap();
        Format::Json.decode(&vector.json).unwrap()
    };
    assert_eq!(decoded("newer_push"), Incoming::Unknown);
    assert_eq!(decoded("newer_signal"), Incoming::Unknown);
    let Incoming::Ok(6, fields) = decoded("newer_fields") else { panic!("not the reply to 6") };
    assert_eq!(fields.ack().unwrap().seq.get(), 2);
    let Incoming::Error(Some(9), error) = decoded("newer_error") else { panic!("not the error of 9") };
    assert!(error.retryable && error.retry_after_ms == Some(50));
}

#[test]
fn the_vectors_of_bodies_hold_in_both_formats() {
    let bodies: Value = serde_json::from_slice(&files()["bodies.json"]).unwrap();
    let body = |format: Format, sent: &[u8]| -> Result<Body, String> {
        let (before, after): (&[u8], &[u8]) = match format {
            Format::Json => (br#"{"id":1,"send":{"room":"r","n":1,"body":"#, b"}}"),
            Format::MsgPack => (b"\x82\xa2id\x01\xa4send\x83\xa4room\xa1r\xa1n\x01\xa4body", b""),
        };
        let frame = [before, sent, after].concat();
        match format.decode_command(&frame).map_err(|error| error.to_string())?.op {
            Op::Write(_, write) => write.body.unwrap().check().map_err(|error| error.to_string()),
            _ => Err("not a write".to_owned()),
        }
    };
    for row in bodies["accepted"].as_array().unwrap() {
        let json = body(Format::Json, row["json"].as_str().unwrap().as_bytes());
        let msgpack = body(Format::MsgPack, &unhex(row["msgpack"].as_str().unwrap()));
        assert_eq!(json.as_ref().map(Body::as_str).ok(), row["stored"].as_str());
        assert_eq!(msgpack, json);
    }
    for row in bodies["refused"].as_array().unwrap() {
        let refused = match (&row["json"], &row["msgpack"]) {
            (Value::String(json), _) => body(Format::Json, json.as_bytes()),
            (_, msgpack) => body(Format::MsgPack, &unhex(msgpack.as_str().unwrap())),
        };
        assert!(refused.is_err(), "{row} was accepted");
    }
}
