//! `activate`: rooms that were in no memory are joined after a restart, and leave memory again.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail, ensure};
use futures_util::future::try_join_all;
use rollcall_protocol::{Body, Command, Incoming, Join, Leave, Op, RoomId};

use crate::cli::Activate;
use crate::clock::micros;
use crate::commands::fill::{ENTRIES, Filler};
use crate::latency::Latency;
use crate::link::{ASKED_ID_MAX, Link};
use crate::progress::Progress;
use crate::run::Run;
use crate::server::{Spawned, usage};
use crate::stage::Stage;
use crate::verdict::Ending;

/// How long a room without members and writes stays in the server's memory, in milliseconds.
const IDLE_MS: u64 = 1_000;

/// Rooms that are activated before memory is read for the first time.
const FIRST_ROOMS: usize = 1_000;

/// Connections that join rooms.
const JOINERS: u64 = 4;

/// Rooms that each of them asks for at once.
const ASKED_MAX: usize = 64;

/// How long rooms may stay in memory after the last of them was left.
const PASSIVATION_TIMEOUT: Duration = Duration::from_secs(120);

/// Memory is read once it has not fallen for this long: what is freed is given back to the system a little later.
const MEMORY_STEADY_FOR: Duration = Duration::from_secs(5);

/// Less than this is no fall, in KiB.
const MEMORY_FALL_KIB_MIN: u64 = 256;

/// How often the server is asked how many rooms it has in memory.
const PASSIVATION_POLL: Duration = Duration::from_millis(50);

/// The gauge of rooms in memory.
const ROOMS_GAUGE: &str = "rollcall_rooms";

/// Runs it.
///
/// # Errors
/// Where the run could not be carried out; it needs a server of its own, to stop and start it.
pub async fn run(options: &Activate) -> anyhow::Result<Ending> {
    let settings = [("ROOMS__IDLE_MS", IDLE_MS.to_string())];
    let mut stage = Stage::set(&options.common, "activate", &settings).await?;
    stage.own_server()?;
    let run = stage.begin()?;
    let mut report = stage.report();
    let rooms: Vec<RoomId> = (0..options.rooms).map(|number| run.room(number)).collect();
    (report.rooms, report.entries) = (Some(options.rooms), Some(options.rooms * ENTRIES));

    Filler::fill(&run, &rooms).await.context("failed to fill the rooms")?;
    (report.sent, report.acked) = (Some(run.tally.sent_all.get()), Some(run.tally.acked_all.get()));
    let server = stage.own_server()?;
    let stop = Instant::now();
    server.stop().await?;
    report.stop_ms = Some(stop.elapsed().as_secs_f64() * 1e3);
    let start = Instant::now();
    server.start_again().await?;
    report.start_ms = Some(start.elapsed().as_secs_f64() * 1e3);
    report.rss_kib_before = Some(server.rss_kib()?);

    let (first, rest) = rooms.split_at(rooms.len().min(FIRST_ROOMS));
    let latency = RefCell::new(Latency::new());
    let first_seconds = activate(&run, first, &latency).await?;
    wait_until_passive(server).await?;
    report.rss_kib_after_1000 = Some(steady_rss_kib(server).await?);

    let start = stage.mark(&run).await?;
    let rest_seconds = if rest.is_empty() { None } else { Some(activate(&run, rest, &latency).await?) };
    let end = stage.mark(&run).await?;
    report.use_cpu(&start, &end);
    let server = stage.own_server()?;
    wait_until_passive(server).await?;
    report.rss_kib_after_all = Some(steady_rss_kib(server).await?);
    report.rss_kib_peak = Some(usage::rss_peak_kib(server.pid()?)?);
    // The first ones found a server that was just started; they are measured alone where there are no others.
    let (count, seconds) = rest_seconds.map_or((first.len(), first_seconds), |seconds| (rest.len(), seconds));
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    {
        report.activations_per_s = Some(count as f64 / seconds);
    }
    report.seconds = Some(seconds);
    report.activation_ms = latency.into_inner().quantiles();
    stage.close(&run, report).await
}

/// Has all rooms joined and left once, and returns how long that took, in seconds.
async fn activate(run: &Rc<Run>, rooms: &[RoomId], latency: &RefCell<Latency>) -> anyhow::Result<f64> {
    let queue = RefCell::new(VecDeque::from_iter(rooms));
    let mut joiners = Vec::new();
    for number in 0..JOINERS {
        joiners.push(Joiner::open(run, number).await?);
    }
    let progress = Progress::begin("activating rooms", rooms.len() as u64);
    let start = Instant::now();
    try_join_all(joiners.iter_mut().map(|joiner| joiner.join_all(run, &queue, latency, &progress))).await?;
    Ok(start.elapsed().as_secs_f64())
}

async fn wait_until_passive(server: &Spawned) -> anyhow::Result<()> {
    let deadline = Instant::now() + PASSIVATION_TIMEOUT;
    loop {
        let rooms = server.metrics().await?.count(ROOMS_GAUGE).with_context(|| format!("there is no {ROOMS_GAUGE}"))?;
        if rooms == 0 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{rooms} rooms were in memory {PASSIVATION_TIMEOUT:?} after they were left");
        tokio::time::sleep(PASSIVATION_POLL).await;
    }
}

async fn steady_rss_kib(server: &Spawned) -> anyhow::Result<u64> {
    let mut lowest_kib = server.rss_kib()?;
    let mut since = Instant::now();
    while since.elapsed() < MEMORY_STEADY_FOR {
        tokio::time::sleep(PASSIVATION_POLL).await;
        let rss_kib = server.rss_kib()?;
        if rss_kib + MEMORY_FALL_KIB_MIN < lowest_kib {
            (lowest_kib, since) = (rss_kib, Instant::now());
        }
    }
    server.rss_kib()
}

/// A connection that joins one room after the other, and leaves each at once.
struct Joiner {
    link: Link,
    name: String,
    /// The number of its last command.
    id: u64,
    /// Joins without an answer, in their order: the command's number, the room, and when it was asked for.
    asked: VecDeque<(u64, RoomId, Instant)>,
}

impl Joiner {
    async fn open(run: &Run, number: u64) -> anyhow::Result<Self> {
        let name = format!("joiner-{number}");
        let (link, _) = Link::open(&run.endpoint, &run.user(number), "joiner").await?;
        Ok(Self { link, name, id: ASKED_ID_MAX, asked: VecDeque::new() })
    }

    async fn join_all(
        &mut self,
        run: &Run,
        queue: &RefCell<VecDeque<&RoomId>>,
        latency: &RefCell<Latency>,
        progress: &Progress,
    ) -> anyhow::Result<()> {
        loop {
            while self.asked.len() < ASKED_MAX {
                let Some(room) = queue.borrow_mut().pop_front() else { break };
                let id = self.feed(Op::Join(Join { room: room.clone(), after: None, hash: None }))?;
                self.asked.push_back((id, room.clone(), Instant::now()));
            }
            if self.asked.is_empty() {
                return Ok(());
            }
            match self.link.next().await? {
                Some(Incoming::Ok(id, fields)) => {
                    let place = self.asked.iter().position(|(asked, ..)| *asked == id);
                    // Answers to leave have nothing to say.
                    let Some((_, room, since)) = place.and_then(|place| self.asked.remove(place)) else { continue };
                    latency.borrow_mut().record_us(micros(since.elapsed()));
                    let head = fields.joined().context("that is no answer to join")?.head.get();
                    // The first entry is the server's: the room itself.
                    ensure!(head == ENTRIES + 1, "room {room} came back with the head {head}");
                    self.left_again(run, &room, head)?;
                    progress.advance(1);
                }
                Some(Incoming::Error(_, error)) => return Err(error.into()),
                Some(Incoming::Left(left)) => return Err(left.error.into()),
                Some(Incoming::Entries(frame)) => bail!("room {} pushed an entry that nobody wrote", frame.room),
                Some(_) => {}
                None => return Err(anyhow!("the server closed the connection")),
            }
        }
    }

    fn left_again(&mut self, run: &Run, room: &RoomId, head: u64) -> anyhow::Result<()> {
        let mut history = run.history.borrow_mut();
        let place = history.place(&self.name, room.as_str());
        history.joined(&place, run.clock.now_us(), head, head);
        history.left(&self.name, Some(room.as_str()), run.clock.now_us());
        drop(history);
        self.feed(Op::Leave(Leave { room: room.clone() })).map(drop)
    }

    fn feed(&mut self, op: Op<Body>) -> anyhow::Result<u64> {
        self.id += 1;
        self.link.feed(&Command { id: Some(self.id), op })?;
        Ok(self.id)
    }
}
