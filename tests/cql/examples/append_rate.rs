//! How fast rooms append to the CQL log: one Cassandra on this machine, one batch in flight in each room.
//!
//! `cargo run --release --package rollcall-cql-tests --example append_rate -- [ROOMS [ENTRIES_IN_A_BATCH [SECONDS]]]`, by default
//! 100 rooms, 16 entries and 10 seconds; bodies of 200 bytes.
#![expect(clippy::unwrap_used, reason = "a tool of ours: what cannot be done ends it")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use rollcall::log::cql::schema::{self, Replicas};
use rollcall::log::{CqlLog, CqlOptions};
use rollcall_actors::ports::AppendOutcome;
use rollcall_actors::ports::Log as _;
use rollcall_it::scribe::Scribe;
use rollcall_services::Cassandra;
use tokio::task::JoinSet;

const BODY_BYTES: usize = 200;

#[tokio::main]
async fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>().expect("a number"));
    let rooms = numbers.next().unwrap_or(100);
    let batch = numbers.next().unwrap_or(16);
    let time = Duration::from_secs(numbers.next().unwrap_or(10));

    let folder = tempfile::tempdir().unwrap();
    let cassandra = tokio::task::block_in_place(|| Cassandra::start(folder.path(), 1)).unwrap();
    let options = CqlOptions::new(vec![cassandra.contact_points()[0].to_string()], "append_rate");
    let replicas = [Replicas { datacenter: Cassandra::DATACENTER.to_owned(), factor: 1 }];
    schema::apply(&options, &replicas).await.unwrap();
    let log = Arc::new(CqlLog::open(options).await.unwrap());

    // Cassandra's own code is slow until it was compiled.
    append(&log, "warm-up", rooms, batch, time / 2).await;
    let start = Instant::now();
    let mut took = append(&log, "room", rooms, batch, time).await;
    let seconds = start.elapsed().as_secs_f64();
    took.sort_unstable();
    let appends = took.len() as f64 / seconds;
    let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize];
    println!(
        "Cassandra {}: {rooms} rooms, batches of {batch}: {appends:.0} appends/s, {:.0} entries/s, p50 {:.1?}, p99 {:.1?}",
        cassandra.version(),
        appends * batch as f64,
        at(0.5),
        at(0.99),
    );
}

/// Appends to many rooms for some time, and returns how long each append took.
async fn append(log: &Arc<CqlLog>, name: &str, rooms: u64, batch: u64, time: Duration) -> Vec<Duration> {
    let mut writers = JoinSet::new();
    for room in 0..rooms {
        let (log, name) = (Arc::clone(log), format!("{name}{room}"));
        writers.spawn(async move {
            let mut scribe = Scribe::activate(&*log, &name, 1).await;
            let text = "x".repeat(BODY_BYTES);
            let end = Instant::now() + time;
            let mut took = Vec::new();
            while Instant::now() < end {
                // Buckets are of 4,096 entries, which batches of a power of two fill without a rest.
                let entries = (0..batch).map(|_| scribe.message(&text)).collect();
                let start = Instant::now();
                assert_eq!(log.append(scribe.append(entries)).await, AppendOutcome::Committed);
                took.push(start.elapsed());
            }
            took
        });
    }
    writers.join_all().await.concat()
}
