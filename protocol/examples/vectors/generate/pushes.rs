//! A golden frame for each push.

use std::collections::BTreeMap;

use rollcall_protocol::{
    Entries, Entry, ErrorCode, ErrorFrame, GoingAway, Left, OutgoingPush, Ping, RoomId, Seq, Signal, SignalKind,
};

use super::room::{entries, room_id, user};
use super::vector::Vector;

fn list(name: &'static str, shows: &'static str, list: &[Entry]) -> Vector {
    Vector::server(name, shows, &OutgoingPush::Entries(Entries { room: &room_id(), list }))
}

/// What the server sends of its own accord.
pub fn pushes() -> Vec<Vector> {
    let entries = entries();
    let signal = Signal { room: room_id(), user: user("bob"), kind: SignalKind::Typing };
    let quiet = RoomId::parse("quiet").expect("a name");
    let ping = Ping { heads: BTreeMap::from([(room_id(), Seq::new(8)), (quiet, Seq::ZERO)]) };
    let left = Left {
        room: room_id(),
        error: ErrorFrame::new(ErrorCode::Expired, "entries before 4097 have expired")
            .detail("from", 6)
            .detail("to", 4096),
    };
    vec![
        list("entries", "One message: the usual push.", &entries[1..2]),
        list("entries_batch", "Five entries of one batch: a creation, messages, an edit, a reaction.", &entries[..5]),
        list(
            "entries_redacted",
            "A redacted entry, its redaction, and a member's new role; a later epoch.",
            &entries[5..],
        ),
        Vector::server("signal_typing", "Somebody types.", &OutgoingPush::Signal(&signal)),
        Vector::server("ping", "Asks for a pong, and names the head of each joined room.", &OutgoingPush::Ping(&ping)),
        Vector::server(
            "ping_without_rooms",
            "A ping to a connection that joined no room.",
            &OutgoingPush::Ping(&Ping::default()),
        ),
        Vector::server(
            "left",
            "The server ended a subscription: its reader fell behind the floor.",
            &OutgoingPush::Left(&left),
        ),
        Vector::server(
            "going_away",
            "The server stops: connect again after the pause.",
            &OutgoingPush::GoingAway(GoingAway { retry_after_ms: 1_250 }),
        ),
    ]
}
