//! `fanout`: rooms whose members all read, and take turns in writing.

use std::time::Duration;

use crate::cli::Fanout;
use crate::load::Load;
use crate::seat::{Joining, SeatedRooms};
use crate::stage::Stage;
use crate::verdict::Ending;

/// Runs it.
///
/// # Errors
/// Where the run could not be carried out.
pub async fn run(options: &Fanout) -> anyhow::Result<Ending> {
    let stage = Stage::set(&options.common, "fanout", &[]).await?;
    let run = stage.begin()?;
    let mut report = stage.report();
    (report.rooms, report.connections) = (Some(options.rooms), Some(options.rooms * options.members));

    let seated = SeatedRooms::open(&run, options.rooms, options.members, Joining::AtHead, options.body_bytes).await?;
    let load = Load { run: &run, rooms: seated.rooms(), writes: options.rate.into(), readers: true };
    let (warm_up, window) =
        (Duration::from_secs_f64(options.warm_up_seconds), Duration::from_secs_f64(options.seconds));
    load.carry_out(&stage, &mut report, warm_up, window).await?;
    seated.close().await;
    stage.close(&run, report).await
}
