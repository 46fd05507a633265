//! Measures what one push costs the checker: `cargo run --release -p rollcall-checker --example push_rate`.

use std::time::Instant;

use rollcall_checker::{Checker, ConnIx, JoinedEvent, PushRef, RoomIx};

/// A load: `rooms` × `members` connections (a connection is in one room), `entries` for each room, delivered `batch` at a time to
/// one member after the other, as a server does.
struct Shape {
    rooms: u64,
    members: u64,
    entries: u64,
    batch: u64,
}

fn main() {
    println!(
        "{:>6} {:>8} {:>8} {:>6} {:>10} {:>10} {:>12}",
        "rooms", "members", "entries", "batch", "pushes", "ns/push", "pushes/s"
    );
    for shape in [
        Shape { rooms: 1, members: 1_000, entries: 10_000, batch: 1 },
        Shape { rooms: 1, members: 1_000, entries: 10_000, batch: 64 },
        Shape { rooms: 100, members: 10, entries: 10_000, batch: 1 },
        Shape { rooms: 100, members: 10, entries: 10_000, batch: 16 },
        Shape { rooms: 10_000, members: 1, entries: 500, batch: 1 },
        Shape { rooms: 1, members: 20, entries: 500_000, batch: 500 },
    ] {
        measure(&shape);
    }
}

fn measure(shape: &Shape) {
    let mut checker = Checker::new();
    let seats = take_seats(&mut checker, shape);
    let begin = Instant::now();
    for first in (1..=shape.entries).step_by(usize::try_from(shape.batch).unwrap_or(1)) {
        for &(conn, room) in &seats {
            for seq in first..(first + shape.batch).min(shape.entries + 1) {
                // As different as real hashes are, and as cheap to get as they are to a client that has them already.
                let mut body_hash = [7; 32];
                body_hash[..8].copy_from_slice(&seq.to_le_bytes());
                checker.observe_push(&PushRef { conn, room, seq, epoch: 1, body_hash, t: seq });
            }
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    let pushes = shape.rooms * shape.members * shape.entries;
    let footprint = checker.footprint();
    assert_eq!((footprint.anomalies, footprint.seen as u64), (0, shape.rooms * shape.entries));
    println!(
        "{:>6} {:>8} {:>8} {:>6} {:>10} {:>10.1} {:>12.0}",
        shape.rooms,
        shape.members,
        shape.entries,
        shape.batch,
        pushes,
        seconds * 1e9 / pushes as f64,
        pushes as f64 / seconds
    );
}

fn take_seats(checker: &mut Checker, shape: &Shape) -> Vec<(ConnIx, RoomIx)> {
    let mut seats = Vec::new();
    for room in 0..shape.rooms {
        for member in 0..shape.members {
            let (conn, room) = (format!("conn-{room}-{member}"), format!("room-{room}"));
            seats.push((checker.conn(&conn), checker.room(&room)));
            checker.observe_joined(&JoinedEvent { t: 0, conn, room, after: 0, head: 0 });
        }
    }
    seats
}
