//! From the last ack of an owner that is stopped in order to the next owner's first.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::cli::FiguresCli;
use super::crowd::{Beat, until};
use super::failover::{bring_to_the_first, rooms_of_the_first};
use super::measured::Samples;
use crate::stage::Stage;

/// How long every room may take to answer under its next owner.
const ACKS_TIMEOUT: Duration = Duration::from_secs(30);

/// Stops the owner of all rooms with SIGTERM, again and again.
pub(super) async fn measure(stage: &Stage, cli: &FiguresCli) -> anyhow::Result<Samples> {
    let stop = CancellationToken::new();
    let beats = rooms_of_the_first(stage, cli, &stop).await?;
    let mut samples = Samples::none();
    for round in 1..=cli.rounds {
        bring_to_the_first(stage, &beats).await?;
        let drained_us = beats[0].now_us();
        stage.nodes[0].stop().await?;
        until(ACKS_TIMEOUT, || beats.iter().all(|beat| change(beat, drained_us).is_some())).await;
        for beat in &beats {
            match change(beat, drained_us) {
                Some(us) => samples.take(us),
                None => samples.missing += 1,
            }
        }
        eprintln!("handover: round {round} of {}", cli.rounds);
        stage.nodes[0].start().await?;
    }
    stop.cancel();
    Ok(samples)
}

/// Returns how long after the last ack of one epoch the first of the next came, the first time since a moment.
fn change(beat: &Beat, since_us: u64) -> Option<u64> {
    let acks = beat.acks();
    let acks = acks.iter().filter(|ack| ack.acked_us + 1_000_000 > since_us);
    let known: Vec<_> = acks.filter_map(|ack| Some((ack.acked_us, beat.epoch(ack.seq)?))).collect();
    let pair = known.windows(2).find(|pair| pair[0].1 != pair[1].1 && pair[1].0 > since_us)?;
    Some(pair[1].0 - pair[0].0)
}
