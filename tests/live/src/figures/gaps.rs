//! From an ack to its arrival at members of another node that hears nothing of Redis for a while.

use std::time::{Duration, Instant};

use rollcall_proxy::Direction;
use tokio_util::sync::CancellationToken;

use super::cli::FiguresCli;
use super::crowd::{connect, read, until, write};
use super::measured::Samples;
use crate::stage::Stage;

/// How long a node hears nothing: longer than a beacon, shorter than a lease.
const DEAF_MS: std::ops::RangeInclusive<u64> = 100..=2_000;

/// How long everything may take to arrive once the node hears again.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(30);

/// The pause between two times.
const PAUSE: Duration = Duration::from_secs(3);

/// Lets a node hear nothing, again and again, and takes every entry that was acknowledged meanwhile.
pub(super) async fn measure(stage: &Stage, cli: &FiguresCli) -> anyhow::Result<Samples> {
    let (began, stop) = (Instant::now(), CancellationToken::new());
    let every = Duration::from_millis(cli.every_ms);
    let (writer, reader) = (connect(&stage.endpoint(0), "writer").await?, connect(&stage.endpoint(1), "reader").await?);
    let (mut written, mut shown) = (Vec::new(), Vec::new());
    for number in 0..cli.rooms {
        let room = format!("figures-{number}");
        written.push(write(&writer, &room, every, began, &stop).await?);
        shown.push(read(&reader, &room, began, &stop).await?);
    }
    let names: Vec<String> = written.iter().map(|beat| beat.room.clone()).collect();
    until(ARRIVAL_TIMEOUT, || written.iter().all(|beat| beat.acked() > 0)).await;
    super::admin::gather(&names, &stage.nodes[0], &stage.nodes, &stage.folder).await?;
    let mut samples = Samples::none();
    for round in 1..=cli.rounds {
        tokio::time::sleep(PAUSE).await; // pace: nodes that hear each other again
        let deaf_us = written[0].now_us();
        let way = stage.nodes[1].to_redis.as_ref().expect("the nodes are a cluster");
        way.swallow(Direction::Down, true);
        tokio::time::sleep(Duration::from_millis(rand::random_range(DEAF_MS))).await; // pace: how long it hears nothing
        let heard_us = written[0].now_us();
        // What was swallowed in the middle of a connection is lost with it.
        way.cut();
        way.swallow(Direction::Down, false);
        let meanwhile = |acked_us: u64| (deaf_us..heard_us).contains(&acked_us);
        let all_came = || {
            written.iter().zip(&shown).all(|(written, shown)| {
                written.acks().iter().filter(|ack| meanwhile(ack.acked_us)).all(|ack| shown.seen_us(ack.seq).is_some())
            })
        };
        until(ARRIVAL_TIMEOUT, all_came).await;
        for (written, shown) in written.iter().zip(&shown) {
            for ack in written.acks().into_iter().filter(|ack| meanwhile(ack.acked_us)) {
                match shown.seen_us(ack.seq) {
                    Some(seen_us) => samples.take(seen_us.saturating_sub(ack.acked_us)),
                    None => samples.missing += 1,
                }
            }
        }
        eprintln!("gaps: round {round} of {}", cli.rounds);
    }
    stop.cancel();
    Ok(samples)
}
