//! `torture`: the server is killed under load, again and again, and a client now and then.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::cli::Torture;
use crate::load::REACH_HEAD_US;
use crate::progress::Progress;
use crate::run::Run;
use crate::server::Spawned;
use crate::stage::Stage;
use crate::torture::{Crowd, Member, Pace, Seat};
use crate::verdict::Ending;

/// How long writes may be unanswered after the last kill.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);

/// How much each client writes to each room.
const PACE: Pace = Pace { every: Duration::from_millis(2), unanswered_max: 16 };

/// One kill in this many comes while the server is still starting.
const EARLY_KILLS: u32 = 4;

/// In one life of the server in this many, a client is killed too.
const CLIENT_KILLS: u32 = 2;

/// The longest life of a server that is killed while it is starting, in milliseconds.
const EARLY_LIFE_MS_MAX: u64 = 60;

/// Runs it.
///
/// # Errors
/// Where the run could not be carried out; it needs a server of its own, to kill.
pub async fn run(options: &Torture) -> anyhow::Result<Ending> {
    let mut stage = Stage::set(&options.common, "torture", &[]).await?;
    let seed = stage.seed();
    eprintln!("torture: the seed is {seed}");
    let run = stage.begin()?;
    let mut report = stage.report();
    let rooms: Vec<_> = (0..options.rooms).map(|number| run.room(number)).collect();
    (report.rooms, report.connections) = (Some(options.rooms), Some(options.clients));

    let server = stage.own_server()?;
    let seat = Seat { endpoint: run.endpoint.clone(), node: "server".to_owned(), pace: PACE };
    let mut crowd = Crowd::gather(&run, &rooms, (0..options.clients).map(|_| seat.clone()), seed);
    let start = Instant::now();
    let torturer = Torturer { server, run: &run, members: crowd.members(), random: StdRng::seed_from_u64(seed) };
    let failed = tokio::select! {
        killed = torturer.kill_again_and_again(options) => {
            killed?;
            None
        }
        error = crowd.failed() => Some(error),
    };
    run.history.borrow_mut().faults_end(run.clock.now_us(), REACH_HEAD_US);
    let ended = match failed {
        Some(error) => Err(error),
        None => crowd.fall_silent(SILENCE_TIMEOUT).await,
    };
    if let Err(error) = ended {
        // No client may fail, whatever happens to its server. The log will tell more.
        run.complain(format!("{error:#}"));
        crowd.perish().await;
        server.be_up().await?;
    } else {
        if !crowd.converged(2 * Duration::from_micros(REACH_HEAD_US)).await {
            report.notes.push("not all clients have reached the heads of their rooms".to_owned());
        }
        crowd.leave().await?;
    }
    report.seconds = Some(start.elapsed().as_secs_f64());

    report.kills = Some(options.kills);
    (report.sent, report.acked) = (Some(run.tally.sent_all.get()), Some(run.tally.acked_all.get()));
    report.ack_ms = run.tally.ack.borrow().quantiles();
    report.delivery_ms = run.tally.delivery.borrow().quantiles();
    report.restarts = Some(run.tally.restarts.get());
    report.deliveries = Some(run.tally.deliveries_all.get());
    stage.close(&run, report).await
}

/// Who kills.
struct Torturer<'a> {
    server: &'a mut Spawned,
    run: &'a Run,
    members: Vec<Rc<Member>>,
    random: StdRng,
}

impl Torturer<'_> {
    async fn kill_again_and_again(mut self, options: &Torture) -> anyhow::Result<()> {
        let progress = Progress::begin("killing the server", options.kills);
        for kill in 1..=options.kills {
            let is_early = kill > 1 && self.random.random_ratio(1, EARLY_KILLS);
            if !is_early {
                self.server.wait_until_ready().await.with_context(|| format!("after {} kills", kill - 1))?;
            }
            let life_ms_max = if is_early { EARLY_LIFE_MS_MAX } else { options.life_ms_max };
            let life_us = self.random.random_range(0..=life_ms_max * 1_000);
            self.live_for(life_us).await;

            let killed_us = self.run.clock.now_us();
            self.server.kill().await?;
            self.run.history.borrow_mut().note(format!("kill {kill} at {killed_us} µs"));
            self.server.launch()?;
            progress.advance(1);
            let tally = &self.run.tally;
            progress.say(format!("{} acked, {} were in doubt", tally.acked_all.get(), tally.unknown.get()));
        }
        self.server.wait_until_ready().await.with_context(|| format!("after {} kills", options.kills))
    }

    /// Lets the server live for so long, in µs; in some of its lives a client dies meanwhile.
    async fn live_for(&mut self, life_us: u64) {
        let first_us = self.random.random_range(0..=life_us);
        tokio::time::sleep(Duration::from_micros(first_us)).await;
        if self.random.random_ratio(1, CLIENT_KILLS) {
            let member = self.random.random_range(0..self.members.len());
            self.members[member].kill();
        }
        tokio::time::sleep(Duration::from_micros(life_us - first_us)).await;
    }
}
