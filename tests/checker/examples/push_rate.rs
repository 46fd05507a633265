//! Measures what a push, and what a write with its stored entry, costs the checker: `cargo run --release -p rollcall-checker --example push_rate`.

use std::time::{Duration, Instant};

use rollcall_checker::{
    Checker, ConnIx, DumpEvent, JoinedEvent, Kind, NO_BODY, Op, Outcome, PushRef, RoomIx, WriteEvent, chain,
};

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
    measure_writes(1_000_000);
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

/// Judges acknowledged writes of 100 devices to 100 rooms, the hash chain included.
fn measure_writes(count: u64) {
    let mut checker = Checker::new();
    let (mut writing, mut dumping) = (Duration::ZERO, Duration::ZERO);
    for room in 0..100 {
        let (name, device) = (format!("room-{room}"), format!("device-{room}"));
        let mut hash = chain::start(&name);
        for seq in 1..=count / 100 {
            let write = WriteEvent {
                op: Op::Send,
                t_invoke: seq * 10,
                t_return: seq * 10 + 50,
                conn: format!("conn-{room}"),
                node: "node".to_owned(),
                room: name.clone(),
                user: "user".to_owned(),
                device: device.clone(),
                n: seq,
                target: None,
                body_hash: Some([7; 32]),
                outcome: Outcome::Ok,
                seq: Some(seq),
                epoch: Some(1),
            };
            let mut entry = DumpEvent {
                room: name.clone(),
                seq,
                epoch: 1,
                owner: "owner".to_owned(),
                kind: Kind::Message,
                user: Some("user".to_owned()),
                device: Some(device.clone()),
                n: seq,
                target: None,
                created_at: 0,
                salt: Some([7; 16]),
                content_hash: [7; 32],
                hash: NO_BODY,
                body_hash: Some([7; 32]),
                body: None,
            };
            hash = chain::next(&hash, &entry);
            entry.hash = hash;
            let begin = Instant::now();
            checker.observe_write(&write);
            let middle = Instant::now();
            checker.observe_dump(&entry);
            writing += middle - begin;
            dumping += middle.elapsed();
        }
    }
    let begin = Instant::now();
    let verdict = checker.finish();
    let finishing = begin.elapsed();
    assert!(verdict.is_clean(), "{verdict}");
    let each = |time: Duration| time.as_secs_f64() * 1e9 / count as f64;
    println!(
        "write: {:.0} ns, dump: {:.0} ns, finish: {:.0} ns an entry",
        each(writing),
        each(dumping),
        each(finishing)
    );
}
