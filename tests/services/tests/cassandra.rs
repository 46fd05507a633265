//! Cassandra for real: one node and three, killed, stopped, started again, and gone at the end.

mod support;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rollcall_services::{Cassandra, Consistency, Ending, QueryError, Row, unless_skipped};
use support::{assert_no_process_in, processes_in};

/// Each test takes the whole machine while its nodes start.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start(folder: &Path, nodes: usize) -> Option<Cassandra> {
    let start = Instant::now();
    let cassandra = unless_skipped(Cassandra::start(folder, nodes))?;
    println!("Cassandra {}, {nodes} of {nodes} nodes: {:.1?}", cassandra.version(), start.elapsed());
    Some(cassandra)
}

fn run(cassandra: &Cassandra, node: usize, statement: &str) -> Vec<Row> {
    let nodes = cassandra.contact_points().len();
    let consistency = if nodes == 1 { Consistency::One } else { Consistency::Quorum };
    cassandra.query(node, statement, consistency).unwrap_or_else(|error| panic!("{statement}: {error}"))
}

fn make_table(cassandra: &Cassandra) {
    let factor = cassandra.contact_points().len();
    for statement in [
        format!(
            "CREATE KEYSPACE t WITH replication = {{'class': 'NetworkTopologyStrategy', '{}': {factor}}}",
            Cassandra::DATACENTER
        ),
        "CREATE TABLE t.messages (room text, seq bigint, head bigint static, PRIMARY KEY (room, seq))".to_owned(),
    ] {
        run(cassandra, 0, &statement);
        cassandra.wait_until_agreed().expect("the nodes have the new schema");
    }
}

/// Puts an entry behind a condition, as the log does; returns whether it was applied.
fn append(cassandra: &Cassandra, node: usize, seq: u64) -> bool {
    let statement = format!(
        "BEGIN UNLOGGED BATCH UPDATE t.messages SET head = {seq} WHERE room = 'r' IF head = {}; \
         INSERT INTO t.messages (room, seq) VALUES ('r', {seq}); APPLY BATCH",
        seq - 1
    );
    run(cassandra, node, &statement)[0][0].as_deref() == Some(&[1])
}

fn seqs(cassandra: &Cassandra, node: usize) -> Vec<u64> {
    let rows = run(cassandra, node, "SELECT seq FROM t.messages WHERE room = 'r'");
    let seq = |row: &Row| Some(u64::from_be_bytes(row[0].as_deref()?.try_into().ok()?));
    rows.iter().map(|row| seq(row).expect("a bigint")).collect()
}

#[test]
fn cassandra_keeps_what_it_acknowledged_when_killed() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let Some(cassandra) = start(folder.path(), 1) else { return };
    make_table(&cassandra);
    run(&cassandra, 0, "INSERT INTO t.messages (room, head) VALUES ('r', 0)");
    assert!(append(&cassandra, 0, 1) && !append(&cassandra, 0, 1) && append(&cassandra, 0, 2));
    let settings = run(&cassandra, 0, "SELECT value FROM system_views.settings WHERE name = 'paxos_variant'");
    assert_eq!(settings, [[Some(b"v2".to_vec())]]);

    cassandra.kill(0);
    assert_no_process_in(folder.path());
    let gone = cassandra.query(0, "SELECT key FROM system.local", Consistency::One).unwrap_err();
    assert!(matches!(&gone, QueryError::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused), "{gone}");

    let again = Instant::now();
    cassandra.restart(0).unwrap();
    println!("killed and back: {:.1?}", again.elapsed());
    assert_eq!(seqs(&cassandra, 0), [1, 2]);
    assert!(append(&cassandra, 0, 3));
    assert_eq!(processes_in(folder.path()).len(), 2, "the server and its guard");

    assert_eq!(cassandra.shut_down(0), Ending::Ended);
    assert_no_process_in(folder.path());
    drop(cassandra);
}

#[test]
fn cassandra_of_three_goes_on_without_one() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let Some(cassandra) = start(folder.path(), 3) else { return };
    make_table(&cassandra);
    run(&cassandra, 0, "INSERT INTO t.messages (room, head) VALUES ('r', 0)");
    assert!(append(&cassandra, 1, 1));

    cassandra.kill(0);
    assert!(append(&cassandra, 1, 2) && append(&cassandra, 2, 3));
    assert_eq!(seqs(&cassandra, 2), [1, 2, 3]);

    let again = Instant::now();
    cassandra.restart(0).unwrap();
    println!("one of three killed and back: {:.1?}", again.elapsed());
    assert_eq!(seqs(&cassandra, 0), [1, 2, 3]);
    let of_all = cassandra.query(0, "SELECT seq FROM t.messages WHERE room = 'r'", Consistency::All).unwrap();
    assert_eq!(of_all.len(), 3);

    drop(cassandra);
    assert_no_process_in(folder.path());
}
