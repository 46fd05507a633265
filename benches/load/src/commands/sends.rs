//! `sends`: one writer a room, and nobody who reads.

use std::time::Duration;

use anyhow::Context as _;

use crate::cli::Sends;
use crate::load::{Load, Loop};
use crate::seat::{Joining, SeatedRooms};
use crate::stage::Stage;
use crate::verdict::Ending;

/// Runs it.
///
/// # Errors
/// Where the run could not be carried out.
pub async fn run(options: &Sends) -> anyhow::Result<Ending> {
    let stage = Stage::set(&options.common, "sends", &[]).await?;
    let run = stage.begin()?;
    let mut report = stage.report();
    (report.rooms, report.connections) = (Some(options.rooms), Some(options.rooms));

    let seated = SeatedRooms::open(&run, options.rooms, 1, Joining::Not, options.body_bytes).await?;
    let in_flight = options.in_flight.map(|in_flight| Loop::Closed(usize::from(in_flight)));
    let writes = in_flight.or(options.rate.map(Loop::Open)).context("neither --in-flight nor --rate was given")?;
    let load = Load { run: &run, rooms: seated.rooms(), writes, readers: false };
    let (warm_up, window) =
        (Duration::from_secs_f64(options.warm_up_seconds), Duration::from_secs_f64(options.seconds));
    load.carry_out(&stage, &mut report, warm_up, window).await?;
    seated.close().await;
    stage.close(&run, report).await
}
