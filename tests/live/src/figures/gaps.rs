//! From an ack to its arrival at members of another node, where the envelope that takes it there is lost on its way.
//!
//! ```text
//! writer of a room ─ a marked entry ─▶ node 1, its owner ─ batch ─▶ Redis ─ proxy: loses what is marked ─╳ node 2 ─▶ reader
//! ```
//! The connection lives and all else comes through, so that nothing but what comes after it shows that something was lost.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio_util::sync::CancellationToken;

use super::cli::FiguresCli;
use super::crowd::{Beat, Mark, connect, read, until, write};
use super::measured::Samples;
use crate::stage::Stage;

/// How long everything may take to arrive.
pub(super) const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(30);

/// What a lost entry says. Nothing else that nodes say to each other does.
const MARK: &str = "this is to be lost on its way";

/// The losses of one round begin within this time.
const SPREAD_MS: u64 = 1_000;

/// What follows in the room of a lost entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    /// The next entries, at once.
    More,
    /// Nothing, before it was seen.
    Nothing,
}

/// A room that is written to on the first node, its owner, and shown on the second.
pub(super) struct Shown {
    pub written: Rc<Beat>,
    pub shown: Rc<Beat>,
}

/// Rooms that are owned by the first node and written to there, and read on the second.
pub(super) async fn rooms_between(
    stage: &Stage,
    cli: &FiguresCli,
    name: &str,
    stop: &CancellationToken,
) -> anyhow::Result<Vec<Shown>> {
    let (began, every) = (Instant::now(), Duration::from_millis(cli.every_ms));
    let writer = connect(&stage.endpoint(0), &format!("{name}-writer")).await?;
    let reader = connect(&stage.endpoint(1), &format!("{name}-reader")).await?;
    let mut rooms = Vec::new();
    for number in 0..cli.rooms {
        let room = format!("{name}-{number}");
        let written = write(&writer, &room, every, began, stop).await?;
        rooms.push(Shown { written, shown: read(&reader, &room, began, stop).await? });
    }
    until(ARRIVAL_TIMEOUT, || rooms.iter().all(|room| room.written.acked() > 0)).await;
    let names: Vec<String> = rooms.iter().map(|room| room.written.room.clone()).collect();
    super::admin::gather(&names, &stage.nodes[0], &stage.nodes, &stage.folder).await?;
    Ok(rooms)
}

/// Loses an envelope of each room, again and again, while as many other rooms go on all the time.
pub(super) async fn measure(stage: &Stage, cli: &FiguresCli, follows: Follows) -> anyhow::Result<Samples> {
    let stop = CancellationToken::new();
    let rooms = rooms_between(stage, cli, "figures", &stop).await?;
    let load = rooms_between(stage, cli, "load", &stop).await?;
    let way = stage.nodes[1].to_redis.as_ref().expect("the nodes are a cluster");
    way.lose_published(Some(MARK.as_bytes()));
    let mut samples = Samples::none();
    for round in 1..=cli.rounds {
        let (lost_before, loaded_before) = (way.lost_published(), load[0].written.acked());
        let lose_one = |room: &Shown| lose(Rc::clone(&room.written), Rc::clone(&room.shown), follows);
        let losses: Vec<_> = rooms.iter().map(|room| tokio::task::spawn_local(lose_one(room))).collect();
        for loss in losses {
            samples.take_or_miss(loss.await.context("a loss was not measured")?);
        }
        let lost = way.lost_published() - lost_before;
        ensure!(lost >= rooms.len() as u64, "of {} marked entries {lost} were lost on their way", rooms.len());
        ensure!(load[0].written.acked() > loaded_before, "there was no load");
        eprintln!("{}: round {round} of {}", if follows == Follows::More { "gaps" } else { "tails" }, cli.rounds);
    }
    stop.cancel();
    Ok(samples)
}

/// Has one entry of a room be lost. Returns how long after its ack it was seen all the same, in µs, if that came in time.
async fn lose(written: Rc<Beat>, shown: Rc<Beat>, follows: Follows) -> Option<u64> {
    tokio::time::sleep(Duration::from_millis(rand::random_range(0..SPREAD_MS))).await; // pace: not all at one moment
    written.mark_next(Mark { text: MARK, is_last: follows == Follows::Nothing });
    until(ARRIVAL_TIMEOUT, || written.marked().is_some()).await;
    let ack = written.marked()?;
    until(ARRIVAL_TIMEOUT, || shown.seen_us(ack.seq).is_some()).await;
    written.go_on();
    Some(shown.seen_us(ack.seq)?.saturating_sub(ack.acked_us))
}
