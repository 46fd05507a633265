//! The vectors of the hash chain: a room with entries of all kinds, and for each the very bytes that are hashed.

use std::fmt::Write;

use rollcall_protocol::{Body, DeviceId, Entry, Hash, Seq, hash};
use serde_json::{Value, json};

use super::room::{entries, room_id};

/// The room of the examples, entry by entry.
pub fn hash_chain() -> Value {
    let room = room_id();
    let genesis = hash::genesis(&room);
    let entries = entries();
    let before = std::iter::once(genesis).chain(entries.iter().map(|entry| entry.hash));
    let rows: Vec<_> = entries.iter().zip(before).map(|(entry, before)| row(entry, before)).collect();
    json!({
        "about": [
            "hash(0) is the SHA-256 of genesis_bytes; hash(i) is the SHA-256 of the bytes of entry i, which begin with hash(i - 1).",
            "content_hash is the SHA-256 of content_bytes: the salt, then the stored text of the body, if there is one.",
            "Of a redacted entry salt and body are gone; its content_hash stays, and the chain holds over it.",
            "Bytes are in hexadecimal; body is the stored text, byte for byte, as a string.",
        ],
        "room": room,
        "genesis_bytes": hex([b"rollcall.v1\0", room.as_str().as_bytes()].concat()),
        "genesis": genesis,
        "entries": rows,
    })
}

fn row(entry: &Entry, before: Hash) -> Value {
    let content_bytes = entry.salt.map(|salt| {
        let body = entry.body.as_ref().map_or("", Body::as_str);
        hex([salt.0.as_slice(), body.as_bytes()].concat())
    });
    json!({
        "seq": entry.seq,
        "kind": entry.kind,
        "kind_number": entry.kind.number(),
        "created_at": entry.created_at_ms,
        "sender": entry.sender,
        "device": entry.device,
        "n": entry.n,
        "target": entry.target,
        "redacted": entry.is_redacted(),
        "body": entry.body.as_ref().map(Body::as_str),
        "salt": entry.salt,
        "content_bytes": content_bytes,
        "content_hash": entry.content_hash,
        "bytes": hex(hashed_bytes(entry, before)),
        "hash": entry.hash,
    })
}

/// Puts together what is hashed, as the docs describe it, apart from the code that ships.
fn hashed_bytes(entry: &Entry, before: Hash) -> Vec<u8> {
    let device = entry.device.as_ref().map_or("", DeviceId::as_str);
    let text = |text: &str| {
        let length = u32::try_from(text.len()).expect("names are short").to_be_bytes();
        [length.as_slice(), text.as_bytes()].concat()
    };
    [
        before.0.to_vec(),
        entry.seq.get().to_be_bytes().to_vec(),
        vec![entry.kind.number()],
        entry.created_at_ms.to_be_bytes().to_vec(),
        entry.n.to_be_bytes().to_vec(),
        entry.target.map_or(0, Seq::get).to_be_bytes().to_vec(),
        text(entry.sender.as_str()),
        text(device),
        entry.content_hash.0.to_vec(),
    ]
    .concat()
}

/// Writes bytes as hexadecimal digits.
pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}
