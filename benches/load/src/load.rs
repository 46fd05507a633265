//! Load on rooms for a while: a warm-up, a measured window, and the wait until all is answered and shown.

use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use rollcall_protocol::limits;

use crate::cli::Rate;
use crate::progress::{Progress, SHOWN_EVERY};
use crate::report::Report;
use crate::run::Run;
use crate::seat::{Order, RoomLoad, Schedule};
use crate::stage::{Mark, Stage};

/// How long members may take to reach the head once the load has ended, in µs.
pub const REACH_HEAD_US: u64 = 10_000_000;

/// How long to wait for what is unanswered or not shown yet, before the judge is asked what is missing.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How often to look whether all is settled.
const SETTLE_POLL: Duration = Duration::from_millis(2);

/// How writes come.
#[derive(Debug, Clone, Copy)]
pub enum Loop {
    /// When they are due, so many a second over all rooms.
    Open(f64),
    /// When others were answered: so many are unanswered in each room.
    Closed(usize),
}

impl From<Rate> for Loop {
    fn from(rate: Rate) -> Self {
        match rate {
            Rate::PerSecond(per_s) => Self::Open(per_s),
            Rate::Max => Self::Closed(limits::UNANSWERED_WRITES_MAX),
        }
    }
}

impl std::fmt::Display for Loop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open(per_s) => write!(f, "open loop, {per_s} writes/s over all rooms"),
            Self::Closed(unanswered) => write!(f, "closed loop, {unanswered} unanswered in each room"),
        }
    }
}

/// Rooms under load.
pub struct Load<'a> {
    /// The run.
    pub run: &'a Run,
    /// The rooms, with their members seated.
    pub rooms: &'a [Rc<RoomLoad>],
    /// How writes come.
    pub writes: Loop,
    /// Whether the members read.
    pub readers: bool,
}

impl Load<'_> {
    /// Loads the rooms for a warm-up and a measured window, then waits until they have settled. Puts the figures of the window
    /// into the report.
    ///
    /// # Errors
    /// Where the server cannot be asked for its counters, or the timer fails.
    pub async fn carry_out(
        &self,
        stage: &Stage,
        report: &mut Report,
        warm_up: Duration,
        window: Duration,
    ) -> anyhow::Result<()> {
        let measure = async {
            tokio::time::sleep(warm_up).await;
            let start = stage.mark(self.run).await?;
            self.run.tally.open_window(start.at_us());
            self.watch(window).await;
            let end = stage.mark(self.run).await?;
            self.run.tally.close_window(end.at_us());
            anyhow::Ok((start, end))
        };
        let (start, end): (Mark, Mark) = tokio::select! {
            marks = measure => marks?,
            failed = self.write_on() => return failed.context("failed to keep to the schedule"),
        };
        for room in self.rooms {
            room.end_loop();
        }
        self.run.history.borrow_mut().faults_end(self.run.clock.now_us(), REACH_HEAD_US);
        if !settled(self.rooms, self.readers, SETTLE_TIMEOUT).await {
            report.notes.push(format!("{SETTLE_TIMEOUT:?} after the load not all was answered and shown"));
        }
        report.load = Some(self.writes.to_string());
        report.measure(self.run, &start, &end);
        if matches!(self.writes, Loop::Open(_)) {
            report.late = Some(self.run.tally.late.get());
        }
        Ok(())
    }

    /// Orders writes until it is dropped.
    async fn write_on(&self) -> anyhow::Result<()> {
        match self.writes {
            Loop::Open(per_s) => {
                let mut schedule = Schedule::begin(self.run.clock, per_s)?;
                let mut turns = self.rooms.iter().cycle();
                loop {
                    for due_us in schedule.due().await {
                        if let Some(room) = turns.next() {
                            room.order(Order::Due(due_us));
                        }
                    }
                }
            }
            Loop::Closed(unanswered) => {
                for room in self.rooms {
                    room.close_loop(unanswered);
                }
                pending().await
            }
        }
    }

    /// Shows progress for the time of the window.
    async fn watch(&self, window: Duration) {
        let start = tokio::time::Instant::now();
        let progress = Progress::begin("loading", window.as_secs());
        let tally = &self.run.tally;
        while let Some(left) = window.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
            tokio::time::sleep(SHOWN_EVERY.min(left)).await;
            let seconds = start.elapsed().as_secs_f64();
            progress.at(start.elapsed().as_secs());
            #[expect(clippy::cast_precision_loss, reason = "figures for people")]
            let [sends, deliveries] = [&tally.acked, &tally.deliveries].map(|count| count.get() as f64 / seconds);
            progress.say(format!("{sends:.0} sends/s, {deliveries:.0} deliveries/s"));
        }
    }
}

/// Waits until every write in the rooms was answered and, where `readers` is set, shown to every member. Tells whether that came
/// in time.
pub async fn settled(rooms: &[Rc<RoomLoad>], readers: bool, timeout: Duration) -> bool {
    let all_settled = async {
        while !rooms.iter().all(|room| room.is_settled(readers)) {
            tokio::time::sleep(SETTLE_POLL).await;
        }
    };
    tokio::time::timeout(timeout, all_settled).await.is_ok()
}
