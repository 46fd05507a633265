//! `idle`: connections that do nothing any more, and the memory that each of them takes.

use std::time::Duration;

use anyhow::Context as _;

use crate::cli::Idle;
use crate::load::settled;
use crate::payload::BODY_BYTES_MIN;
use crate::progress::Progress;
use crate::seat::{Joining, Order, SeatedRooms};
use crate::server::Spawned;
use crate::stage::Stage;
use crate::verdict::Ending;

/// Members of a room.
const MEMBERS: u64 = 100;

/// How long those who send at one time, and those who read it, may take.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(120);

/// Runs it.
///
/// # Errors
/// Where the run could not be carried out.
pub async fn run(options: &Idle) -> anyhow::Result<Ending> {
    let stage = Stage::set(&options.common, "idle", &[]).await?;
    let run = stage.begin()?;
    let mut report = stage.report();
    // Of somebody else's server, nobody can tell the memory.
    let rss_kib = || stage.server().map(Spawned::rss_kib).transpose();
    let before_kib = rss_kib()?;
    let rooms = options.connections.div_ceil(MEMBERS);
    let members = options.connections / rooms;
    let connections = rooms * members;
    (report.rooms, report.connections) = (Some(rooms), Some(connections));
    let how = if options.burst { "all members of a room at once" } else { "one member of a room at a time" };
    report.load = Some(format!("one entry of each connection, {how}; then none"));

    let seated = SeatedRooms::open(&run, rooms, members, Joining::AtHead, BODY_BYTES_MIN)
        .await
        .context("not all connections could be opened; is the limit of open files high enough?")?;
    let (rounds, at_once) = if options.burst { (1, members) } else { (members, 1) };
    let progress = Progress::begin("sending one entry each", rounds);
    for _ in 0..rounds {
        for room in seated.rooms() {
            for _ in 0..at_once {
                room.order(Order::Now);
            }
        }
        if !settled(seated.rooms(), true, SETTLE_TIMEOUT).await {
            report.notes.push(format!("not all rooms were settled after {SETTLE_TIMEOUT:?}"));
        }
        progress.advance(1);
    }
    drop(progress);
    run.history.borrow_mut().faults_end(run.clock.now_us(), crate::load::REACH_HEAD_US);

    let start = stage.mark(&run).await?;
    tokio::time::sleep(Duration::from_secs_f64(options.seconds)).await;
    let end = stage.mark(&run).await?;
    let after_kib = rss_kib()?;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let each_kib =
        |(before_kib, after_kib): (u64, u64)| after_kib.saturating_sub(before_kib) as f64 / connections as f64;
    report.rss_kib_per_connection = before_kib.zip(after_kib).map(each_kib);
    report.seconds = Some(options.seconds);
    (report.rss_kib_before, report.rss_kib_after) = (before_kib, after_kib);
    (report.sent, report.acked) = (Some(run.tally.sent_all.get()), Some(run.tally.acked_all.get()));
    report.deliveries = Some(run.tally.deliveries_all.get());
    report.use_cpu(&start, &end);
    seated.close().await;
    stage.close(&run, report).await
}
