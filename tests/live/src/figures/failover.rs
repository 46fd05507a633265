//! From kill -9 of the rooms' owner to each room's next ack.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::admin::gather;
use super::cli::FiguresCli;
use super::crowd::{Beat, connect, until, write};
use super::measured::Samples;
use crate::stage::Stage;

/// How long every room may take to answer at all.
const ACKS_TIMEOUT: Duration = Duration::from_secs(60);

/// An ack that comes this soon after the kill, in µs, to a write from before it, may have been on its way.
const ON_ITS_WAY_US: u64 = 250_000;

/// Rooms whose writers are at all nodes but the first, and owned by the first.
pub(super) async fn rooms_of_the_first(
    stage: &Stage,
    cli: &FiguresCli,
    stop: &CancellationToken,
) -> anyhow::Result<Vec<Rc<Beat>>> {
    let began = Instant::now();
    let every = Duration::from_millis(cli.every_ms);
    let mut beats = Vec::new();
    let mut clients = Vec::new();
    for place in 1..stage.nodes.len() {
        clients.push(connect(&stage.endpoint(place), &format!("writer{place}")).await?);
    }
    for number in 0..cli.rooms {
        let client = &clients[number % clients.len()];
        beats.push(write(client, &format!("figures-{number}"), every, began, stop).await?);
    }
    anyhow::ensure!(until(ACKS_TIMEOUT, || beats.iter().all(|beat| beat.acked() > 0)).await, "not every room answers");
    // The clients live as long as the rooms' writers.
    drop(clients);
    Ok(beats)
}

/// Has the first node own all rooms, and waits until each was written to there.
pub(super) async fn bring_to_the_first(stage: &Stage, beats: &[Rc<Beat>]) -> anyhow::Result<()> {
    let names: Vec<String> = beats.iter().map(|beat| beat.room.clone()).collect();
    gather(&names, &stage.nodes[0], &stage.nodes, &stage.folder).await?;
    let before: Vec<usize> = beats.iter().map(|beat| beat.acked()).collect();
    let is_written = || beats.iter().zip(&before).all(|(beat, before)| beat.acked() > before + 1);
    anyhow::ensure!(until(ACKS_TIMEOUT, is_written).await, "not every room answers where it was moved to");
    Ok(())
}

/// Kills the owner of all rooms, again and again.
pub(super) async fn measure(stage: &Stage, cli: &FiguresCli) -> anyhow::Result<Samples> {
    let stop = CancellationToken::new();
    let beats = rooms_of_the_first(stage, cli, &stop).await?;
    let mut samples = Samples::none();
    for round in 1..=cli.rounds {
        bring_to_the_first(stage, &beats).await?;
        let killed_us = beats[0].now_us();
        stage.nodes[0].kill().await?;
        let next = |beat: &Beat| {
            let acks = beat.acks().into_iter().rev().take_while(|ack| ack.acked_us > killed_us);
            let counts =
                |ack: &super::crowd::Acked| ack.sent_us > killed_us || ack.acked_us > killed_us + ON_ITS_WAY_US;
            acks.filter(counts).map(|ack| ack.acked_us).last()
        };
        until(ACKS_TIMEOUT, || beats.iter().all(|beat| next(beat).is_some())).await;
        for beat in &beats {
            match next(beat) {
                Some(acked_us) => samples.take(acked_us - killed_us),
                None => samples.missing += 1,
            }
        }
        eprintln!("failover: round {round} of {}", cli.rounds);
        stage.nodes[0].start().await?;
    }
    stop.cancel();
    Ok(samples)
}
