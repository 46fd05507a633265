//! A golden frame for each reply that says success.

use rollcall_protocol::{Ack, EntryList, Epoch, HistoryView, Joined, Nothing, Outgoing, RoomId, Seq, Welcome, limits};
use serde::Serialize;

use super::room::{START_MS, device, entries, room_id, user};
use super::vector::Vector;

fn vector(name: &'static str, shows: &'static str, id: u64, ok: impl Serialize) -> Vector {
    Vector::server(name, shows, &Outgoing::Ok(id, ok))
}

/// The replies to the commands of the same names.
pub fn replies() -> Vec<Vector> {
    let entries = entries();
    let head = entries.last().expect("the room has entries");
    let joined =
        Joined { room: room_id(), epoch: head.epoch, head: head.seq, floor: Seq::FIRST, hash: head.hash, last_n: 2 };
    let empty_room = RoomId::parse("empty").expect("a name");
    let welcome = Welcome {
        connection: "n1-42".to_owned(),
        user: user("alice"),
        device: device("alice-phone"),
        token: None,
        server_time_ms: START_MS,
        ping_interval_ms: limits::PING_INTERVAL_MS,
        pong_timeout_ms: limits::PONG_TIMEOUT_MS,
        expires_at_ms: Some(START_MS + 3_600_000),
    };
    let guest = Welcome {
        user: user("guest-7d4f1c"),
        device: device("d-90b2e6"),
        token: Some("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJndWVzdC03ZDRmMWMifQ.c2lnbmF0dXJl".to_owned()),
        expires_at_ms: None,
        ..welcome.clone()
    };
    vec![
        vector("reply_hello", "Welcomes a user; says when the token expires.", 1, welcome),
        vector(
            "reply_hello_guest",
            "Welcomes a guest, with a token that proves the same name the next time.",
            1,
            guest,
        ),
        vector("reply_join", "The subscription stands; everything after the cursor follows.", 2, joined),
        vector(
            "reply_join_empty",
            "A room that nobody wrote to: head 0, and the hash that is made of its name.",
            3,
            Joined {
                hash: rollcall_protocol::hash::genesis(&empty_room),
                room: empty_room,
                epoch: Epoch::ZERO,
                head: Seq::ZERO,
                floor: Seq::FIRST,
                last_n: 0,
            },
        ),
        vector("reply_nothing", "Leave, typing and other commands succeed with nothing to say.", 5, Nothing {}),
        vector("reply_ack", "A write is committed under this number.", 6, Ack { seq: Seq::new(2), duplicate: false }),
        vector(
            "reply_ack_duplicate",
            "The write had been committed before: the answer of the first time again.",
            6,
            Ack { seq: Seq::new(2), duplicate: true },
        ),
        vector(
            "reply_history",
            "A page of history: contiguous, in order; one entry is redacted.",
            12,
            HistoryView {
                room: &room_id(),
                head: head.seq,
                floor: Seq::FIRST,
                list: EntryList { list: &entries[4..], evidence: false },
                hash_before: None,
            },
        ),
        vector(
            "reply_history_evidence",
            "A page with what proves each entry: salts, hashes, epochs, owners, and the hash before the first.",
            13,
            HistoryView {
                room: &room_id(),
                head: head.seq,
                floor: Seq::FIRST,
                list: EntryList { list: &entries[2..], evidence: true },
                hash_before: Some(entries[1].hash),
            },
        ),
        vector(
            "reply_history_empty",
            "A page with nothing on it: no hash.",
            14,
            HistoryView {
                room: &room_id(),
                head: head.seq,
                floor: Seq::FIRST,
                list: EntryList { list: &[], evidence: false },
                hash_before: None,
            },
        ),
    ]
}
