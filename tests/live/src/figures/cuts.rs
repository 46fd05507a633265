//! From an ack to its arrival at members of another node that hears nothing of Redis for a while: the first entry that each room misses.

use std::time::Duration;

use rollcall_proxy::Direction;
use tokio_util::sync::CancellationToken;

use super::cli::FiguresCli;
use super::crowd::until;
use super::gaps::{ARRIVAL_TIMEOUT, Shown, rooms_between};
use super::measured::Samples;
use crate::stage::Stage;

/// How long a node hears nothing: longer than a beacon, shorter than a lease.
const DEAF_MS: std::ops::RangeInclusive<u64> = 100..=2_000;

/// The pause between two times.
const PAUSE: Duration = Duration::from_secs(3);

/// Lets a node hear nothing, again and again.
pub(super) async fn measure(stage: &Stage, cli: &FiguresCli) -> anyhow::Result<Samples> {
    let stop = CancellationToken::new();
    let rooms = rooms_between(stage, cli, "figures", &stop).await?;
    let way = stage.nodes[1].to_redis.as_ref().expect("the nodes are a cluster");
    let mut samples = Samples::none();
    for round in 1..=cli.rounds {
        tokio::time::sleep(PAUSE).await; // pace: nodes that hear each other again
        let deaf_us = rooms[0].written.now_us();
        way.swallow(Direction::Down, true);
        tokio::time::sleep(Duration::from_millis(rand::random_range(DEAF_MS))).await; // pace: how long it hears nothing
        let heard_us = rooms[0].written.now_us();
        // What was swallowed in the middle of a connection is lost with it.
        way.cut();
        way.swallow(Direction::Down, false);
        let first = |room: &Shown| {
            let acks = room.written.acks().into_iter();
            acks.rev().take_while(|ack| ack.acked_us >= deaf_us).filter(|ack| ack.acked_us < heard_us).last()
        };
        let missed: Vec<_> = rooms.iter().filter_map(|room| Some((room, first(room)?))).collect();
        until(ARRIVAL_TIMEOUT, || missed.iter().all(|(room, ack)| room.shown.seen_us(ack.seq).is_some())).await;
        for (room, ack) in missed {
            samples.take_or_miss(room.shown.seen_us(ack.seq).map(|seen_us| seen_us.saturating_sub(ack.acked_us)));
        }
        eprintln!("cuts: round {round} of {}", cli.rounds);
    }
    stop.cancel();
    Ok(samples)
}
