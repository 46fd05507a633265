//! `catchup`: connections that resume from places far behind, all at once.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use futures_util::future::try_join_all;
use rollcall_protocol::{Hash, History, Incoming, Join, Leave, Op, RoomId, Seq};

use crate::cli::Catchup;
use crate::history::Place;
use crate::link::Link;
use crate::load::{REACH_HEAD_US, settled};
use crate::progress::Progress;
use crate::run::Run;
use crate::seat::{Joining, Order, SeatedRooms, take_entries};
use crate::stage::Stage;
use crate::verdict::Ending;

/// Connections that fill the room before.
const WRITERS: u64 = 8;

/// How long filling may take for each entry and in all, at least.
const FILL_TIMEOUT_MIN: Duration = Duration::from_secs(60);

/// How long a connection may take to catch up.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(120);

/// A connection that was away.
struct Reader {
    link: Link,
    place: Place,
    room: RoomId,
    /// The last entry that it has.
    after: Seq,
    /// That entry's hash, which it shows as proof.
    hash: Option<Hash>,
}

/// Runs it.
///
/// # Errors
/// Where the run could not be carried out.
pub async fn run(options: &Catchup) -> anyhow::Result<Ending> {
    let stage = Stage::set(&options.common, "catchup", &[]).await?;
    let run = stage.begin()?;
    let mut report = stage.report();
    (report.rooms, report.connections) = (Some(1), Some(options.connections));

    let head = fill(&run, options).await.context("failed to fill the room")?;
    run.history.borrow_mut().faults_end(run.clock.now_us(), REACH_HEAD_US);
    let room = run.rooms().into_iter().next().context("the run has no room")?;
    let mut readers = Vec::new();
    for number in 0..options.connections {
        let after = head - options.entries + number * options.entries / options.connections;
        readers.push(Reader::open(&run, &room, WRITERS + number, after).await?);
    }
    let each_round: u64 = readers.iter().map(|reader| head - reader.after.get()).sum();

    let start = stage.mark(&run).await?;
    let progress = Progress::begin("catching up", options.rounds);
    let mut round_us = Vec::new();
    for _ in 0..options.rounds {
        let began_us = run.clock.now_us();
        let rounds = readers.iter_mut().map(|reader| reader.catch_up(&run, head));
        tokio::time::timeout(CATCH_UP_TIMEOUT, try_join_all(rounds))
            .await
            .map_err(|_| anyhow!("not everybody had caught up after {CATCH_UP_TIMEOUT:?}"))??;
        round_us.push(run.clock.now_us() - began_us);
        for reader in &mut readers {
            reader.leave(&run).await?;
        }
        progress.advance(1);
    }
    drop(progress);
    let end = stage.mark(&run).await?;

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    {
        let seconds = round_us.iter().sum::<u64>() as f64 / 1e6;
        report.seconds = Some(seconds);
        report.entries_per_s = Some((each_round * options.rounds) as f64 / seconds);
        report.deliveries_per_s = report.entries_per_s;
        report.entries_per_s_first = Some(each_round as f64 * 1e6 / round_us[0] as f64);
        let server_cpu_us = end.server_cpu_us_since(&start);
        report.server_cpu_us_per_delivery = server_cpu_us.map(|us| us as f64 / (each_round * options.rounds) as f64);
    }
    report.entries = Some(each_round * options.rounds);
    report.deliveries = Some(run.tally.deliveries_all.get());
    (report.sent, report.acked) = (Some(run.tally.sent_all.get()), Some(run.tally.acked_all.get()));
    report.use_cpu(&start, &end);
    drop(readers);
    stage.close(&run, report).await
}

/// Fills the room, and returns its head.
async fn fill(run: &Rc<Run>, options: &Catchup) -> anyhow::Result<u64> {
    let writers = SeatedRooms::open(run, 1, WRITERS, Joining::Not, options.body_bytes).await?;
    let room = &writers.rooms()[0];
    for _ in 0..options.entries {
        room.order(Order::Now);
    }
    let timeout = FILL_TIMEOUT_MIN + Duration::from_millis(options.entries);
    ensure!(settled(writers.rooms(), false, timeout).await, "not all was written after {timeout:?}");
    let head = room.head();
    writers.close().await;
    ensure!(head >= options.entries, "the room ends at {head}");
    Ok(head)
}

impl Reader {
    async fn open(run: &Run, room: &RoomId, number: u64, after: u64) -> anyhow::Result<Self> {
        let (mut link, _) = Link::open(&run.endpoint, &run.user(number), "reader").await?;
        let place = run.history.borrow_mut().place(&format!("c{number}"), room.as_str());
        let after = Seq::new(after);
        let mut hash = None;
        if after > Seq::ZERO {
            let mut history = History::latest(room.clone());
            (history.after, history.limit, history.evidence) = (Some(after.previous()), Some(1), true);
            let page = link.ask(Op::History(history)).await?.history().context("that is no page of history")?;
            hash = page.list.first().filter(|entry| entry.seq == after).and_then(|entry| entry.hash);
        }
        Ok(Self { link, place, room: room.clone(), after, hash })
    }

    /// Joins from where it was, and takes all that follows.
    async fn catch_up(&mut self, run: &Run, head: u64) -> anyhow::Result<()> {
        let join = Join { room: self.room.clone(), after: Some(self.after), hash: self.hash };
        let joined = self.link.ask(Op::Join(join)).await?.joined().context("that is no answer to join")?;
        run.history.borrow_mut().joined(&self.place, run.clock.now_us(), self.after.get(), joined.head.get());
        let mut last = self.after.get();
        while last < head {
            match self.link.next().await? {
                Some(Incoming::Entries(frame)) => last = take_entries(run, &self.place, &frame)?,
                Some(Incoming::Left(left)) => return Err(left.error.into()),
                Some(_) => {}
                None => return Err(anyhow!("the server closed the connection")),
            }
        }
        Ok(())
    }

    async fn leave(&mut self, run: &Run) -> anyhow::Result<()> {
        let leave = Op::Leave(Leave { room: self.room.clone() });
        self.link.ask(leave).await?;
        run.history.borrow_mut().left(&self.place.conn, Some(&self.place.room), run.clock.now_us());
        Ok(())
    }
}
