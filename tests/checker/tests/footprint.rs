//! Memory does not grow with deliveries.

use rollcall_checker::{Checker, Footprint, JoinedEvent, PushRef};

const CONNECTIONS: usize = 1_000;
const ENTRIES: u64 = 1_000;

#[test]
fn a_million_pushes_keep_no_more_than_the_first_thousand() {
    let mut checker = Checker::new();
    let room = checker.room("general");
    let conns: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let conn = format!("c{number}");
            let joined = JoinedEvent { t: 0, conn: conn.clone(), room: "general".into(), after: 0, head: 0 };
            checker.observe_joined(&joined);
            checker.conn(&conn)
        })
        .collect();

    let mut footprints = Vec::new();
    for &conn in &conns {
        for seq in 1..=ENTRIES {
            let body_hash = [u8::try_from(seq % 250).unwrap(); 32];
            checker.observe_push(&PushRef { conn, room, seq, epoch: 1, body_hash, t: seq });
        }
        footprints.push(checker.footprint());
    }

    let after_one_connection = Footprint {
        seen: ENTRIES as usize,
        stored: 0,
        writes: 0,
        cursors: CONNECTIONS,
        // The room, the connections, and the empty name.
        names: 1 + CONNECTIONS + 1,
        anomalies: 0,
    };
    assert!(footprints.iter().all(|footprint| *footprint == after_one_connection), "{footprints:?}");
    assert_eq!(checker.finish().summary.deliveries, CONNECTIONS as u64 * ENTRIES);
}

#[test]
fn a_connection_that_left_is_forgotten() {
    let mut checker = Checker::new();
    for _ in 0..1_000 {
        let lines = concat!(
            r#"{"event":"joined","t":1,"conn":"c1","room":"a","after":0,"head":0}"#,
            "\n",
            r#"{"event":"joined","t":2,"conn":"c1","room":"b","after":0,"head":0}"#,
            "\n",
            r#"{"event":"left","t":3,"conn":"c1","room":"a"}"#,
            "\n",
            r#"{"event":"left","t":4,"conn":"c1","room":"b"}"#,
        );
        checker.observe_lines(lines.as_bytes()).unwrap();
    }
    // Two rooms, one connection, the empty name.
    assert_eq!(checker.footprint(), Footprint { names: 4, ..Footprint::default() });
}
