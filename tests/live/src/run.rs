//! A run: everything is started, broken step by step, healed, and judged.

use std::fs;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use rollcall_checker::Verdict;
use rollcall_load::history::History;
use rollcall_load::latency::Latency;
use rollcall_load::run::Run;
use rollcall_load::torture::{Crowd, Pace, Seat};
use rollcall_load::verdict::verdict_on;
use tokio::time::sleep;

use crate::cli::Cli;
use crate::counters::Counters;
use crate::fault::{Fault, Kind, node_name};
use crate::heads::{differences, heads_at};
use crate::nemesis::{Nemesis, until};
use crate::plan::{Shape, Step, draw};
use crate::report::{Report, StepReport, millis, seconds};
use crate::server_log::ServerLog;
use crate::stage::Stage;

/// How long every room may take to answer for the first time.
const FIRST_ACKS_TIMEOUT: Duration = Duration::from_secs(30);

/// How long every room may take to answer after a fault was healed: clients and nodes wait up to 20 s before they try again.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(40);

/// How long members may take to reach the head after the last fault, in µs; a client that failed often waits up to 20 s before it
/// connects again.
const REACH_HEAD_US: u64 = 30_000_000;

/// How long writes may be unanswered after the last fault.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);

/// Writes that a client leaves unanswered in a room.
const UNANSWERED_MAX: usize = 16;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// No rule was broken, and the run shows something.
    Clean,
    /// A rule was broken.
    Anomalies,
    /// No rule was broken, but what would have broken it did not happen.
    ProvesNothing,
    /// The machine cannot run the servers.
    Skipped,
}

/// Runs it all.
///
/// # Errors
/// Where the run could not be carried out.
pub async fn run(cli: &Cli) -> anyhow::Result<Ending> {
    // Readers of JSON hold integers up to 2^53.
    let seed = cli.seed.unwrap_or_else(|| rand::random::<u64>() >> 11);
    let shape = shape_of(cli)?;
    let folder = match &cli.dir {
        Some(folder) => folder.clone(),
        None => folder_under_target("rollcall-live", seed)?,
    };
    println!(
        "live: seed {seed}, {} faults, {} nodes, {}, {} Cassandra, in {}",
        cli.faults,
        cli.nodes,
        cli.redis,
        cli.cassandra_nodes,
        folder.display()
    );
    let Some(stage) = Stage::set(cli, folder).await? else { return Ok(Ending::Skipped) };
    let mut history = History::begin(Some(&stage.folder.join("history.jsonl")))?;
    history.note(format!("live with the seed {seed}"));
    let run = Run::begin(stage.endpoint(0), history, seed);
    let counters = Counters::default();
    let live = Live { cli, stage: &stage, run: &run, counters: &counters };
    let mut report = Report {
        seed,
        nodes: stage.nodes.len(),
        cassandra_nodes: cli.cassandra_nodes,
        redis: cli.redis,
        rooms: cli.rooms,
        clients: stage.doors.len(),
        ..Report::default()
    };
    let steps = draw(seed, cli.faults, &shape);
    tokio::select! {
        () = counters.watch(&stage.nodes) => {}
        played = live.play(&steps, &mut report) => played?,
    }
    let verdict = verdict_on(&run).await?;
    live.conclude(&verdict, &mut report)?;
    report.anomalies.extend(live.compare_nodes().await);
    for node in &stage.nodes {
        node.stop().await.unwrap_or_else(|error| report.anomalies.push(format!("{error:#}")));
    }
    live.finish(&report)
}

fn shape_of(cli: &Cli) -> anyhow::Result<Shape> {
    let kind = |name: &String| {
        let known = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        known.ok_or_else(|| anyhow!("{name} is no kind of fault: they are {}", Kind::ALL.map(Kind::name).join(", ")))
    };
    let only = cli.only.iter().map(kind).collect::<anyhow::Result<Vec<_>>>()?;
    if let Some(kind) = only.iter().find(|kind| !kind.happens_with(cli.redis)) {
        bail!("{} cannot happen to {}", kind.name(), cli.redis);
    }
    Ok(Shape { nodes: usize::from(cli.nodes), cassandra_nodes: cli.cassandra_nodes, redis: cli.redis, only })
}

/// A folder of a run's own in the target folder of this very program.
///
/// # Errors
/// Where the program's own file is not to be found.
pub fn folder_under_target(program: &str, run: impl std::fmt::Display) -> anyhow::Result<PathBuf> {
    let file = std::env::current_exe().context("failed to find this program's own file")?;
    let target = file.ancestors().nth(2).context("this program lies in no folder")?;
    Ok(target.join(program).join(run.to_string()))
}

struct Live<'a> {
    cli: &'a Cli,
    stage: &'a Stage,
    run: &'a Rc<Run>,
    counters: &'a Counters,
}

impl Live<'_> {
    /// Lets clients write while one fault follows another, and waits until all is answered and shown.
    async fn play(&self, steps: &[Step], report: &mut Report) -> anyhow::Result<()> {
        let Self { cli, stage, run, .. } = *self;
        let rooms: Vec<_> = (0..cli.rooms).map(|number| run.room(number)).collect();
        let pace = Pace { every: Duration::from_millis(cli.every_ms), unanswered_max: UNANSWERED_MAX };
        let seat =
            |door: usize| Seat { endpoint: stage.client_endpoint(door), node: node_name(stage.doors[door].home), pace };
        let mut crowd = Crowd::gather(run, &rooms, (0..stage.doors.len()).map(seat), report.seed);
        let began_us = run.clock.now_us();
        let failed = tokio::select! {
            () = self.break_everything(steps, rooms.len(), report) => None,
            error = crowd.failed() => Some(error),
        };
        stage.heal().await?;
        run.history.borrow_mut().faults_end(run.clock.now_us(), REACH_HEAD_US);
        let ended = match failed {
            Some(error) => Err(error),
            None => crowd.fall_silent(SILENCE_TIMEOUT).await,
        };
        if let Err(error) = ended {
            // No client may fail, whatever happens to the servers. The log will tell more.
            run.complain(format!("{error:#}"));
            crowd.perish().await;
        } else {
            if !crowd.converged(2 * Duration::from_micros(REACH_HEAD_US)).await {
                report.notes.push("not all clients have reached the heads of their rooms".to_owned());
            }
            crowd.leave().await?;
        }
        report.seconds = seconds(run.clock.now_us() - began_us);
        for node in &stage.nodes {
            self.counters.look(node).await;
        }
        Ok(())
    }

    /// Carries the steps out. A server that does not do as it is told, and a room that stays silent, are complained about, and end it.
    async fn break_everything(&self, steps: &[Step], rooms: usize, report: &mut Report) {
        let Self { stage, run, counters, .. } = *self;
        if !until(FIRST_ACKS_TIMEOUT, || run.pulse.rooms() == rooms).await {
            run.complain(format!("only {} of {rooms} rooms answered in {FIRST_ACKS_TIMEOUT:?}", run.pulse.rooms()));
            return;
        }
        let nemesis = Nemesis { stage, run, counters };
        let mut fail_over = Latency::new();
        for (number, step) in (1..).zip(steps) {
            if let Err(error) = self.suffer(&nemesis, step, report, &mut fail_over).await {
                run.complain(format!("step {number} ({}): {error:#}", told(step)));
                break;
            }
            self.say(number, steps.len(), report);
        }
        report.fail_over_ms = fail_over.quantiles();
    }

    async fn suffer(
        &self,
        nemesis: &Nemesis<'_>,
        step: &Step,
        report: &mut Report,
        fail_over: &mut Latency,
    ) -> anyhow::Result<()> {
        let run = self.run;
        sleep(Duration::from_millis(step.calm_ms)).await; // pace: the calm before a fault
        let began_us = run.clock.now_us();
        run.history.borrow_mut().note(format!("{began_us} µs: {}", told(step)));
        run.pulse.watch();
        let fenced_before = self.counters.total().fenced;
        match &*step.faults {
            [one, other] => {
                let (one, other) = tokio::join!(nemesis.inflict(one), nemesis.inflict(other));
                report.appends_held += one? + other?;
            }
            faults => {
                for fault in faults {
                    report.appends_held += nemesis.inflict(fault).await?;
                }
            }
        }
        let healed_us = run.clock.now_us();
        run.history.borrow_mut().note(format!("{healed_us} µs: healed"));
        let is_well = until(RECOVERY_TIMEOUT, || run.pulse.silent_since(healed_us).is_empty()).await;
        let now_us = run.clock.now_us();
        for node in &self.stage.nodes {
            self.counters.look(node).await;
        }
        let owners_fenced = self.counters.total().fenced - fenced_before;
        let silence_us = run.pulse.longest_silence_us(now_us);
        report.steps.push(StepReport {
            began_us,
            healed_us,
            faults: step.faults.iter().map(Fault::to_string).collect(),
            silence_ms: millis(silence_us),
            recovered_ms: millis(now_us - healed_us),
        });
        for fault in &step.faults {
            let suffering = report.faults.entry(fault.kind().name()).or_default();
            suffering.count += 1;
            suffering.owners_fenced += owners_fenced;
            suffering.silence_ms_max = suffering.silence_ms_max.max(millis(silence_us));
        }
        if step.faults.iter().any(|fault| fault.kind().takes_an_owner()) {
            fail_over.record_us(silence_us);
        }
        if is_well {
            return Ok(());
        }
        let rooms = run.pulse.silent_since(healed_us).join(", ");
        Err(anyhow!("{RECOVERY_TIMEOUT:?} after all was healed, these rooms had answered nobody: {rooms}"))
    }

    fn say(&self, number: usize, of: usize, report: &Report) {
        let (tally, Some(step)) = (&self.run.tally, report.steps.last()) else { return };
        println!(
            "{:>6.1} s  {number}/{of}  {} · silent {:.1} s · {} acked, {} were unknown, {} fenced",
            seconds(self.run.clock.now_us()),
            step.faults.join(" + "),
            step.silence_ms / 1e3,
            tally.acked_all.get(),
            tally.unknown.get(),
            self.counters.total().fenced,
        );
    }

    /// Has every node tell where the rooms end, and returns what is wrong with that.
    async fn compare_nodes(&self) -> Vec<String> {
        let mut told = Vec::new();
        for (place, node) in self.stage.nodes.iter().enumerate() {
            match heads_at(self.run, &self.stage.endpoint(place)).await {
                Ok(heads) => told.push((node.name.clone(), heads)),
                Err(error) => return vec![format!("{} does not tell history: {error:#}", node.name)],
            }
        }
        differences(&told)
    }

    /// Puts everything into the report that is known at the end.
    fn conclude(&self, verdict: &Verdict, report: &mut Report) -> anyhow::Result<()> {
        let (tally, counted) = (&self.run.tally, self.counters.total());
        (report.sent, report.acked) = (tally.sent_all.get(), tally.acked_all.get());
        report.refused = tally.refused.get();
        (report.unknown, report.unknown_stored) = (tally.unknown.get(), tally.unknown_stored.get());
        report.unknown_absent = report.unknown - report.unknown_stored;
        (report.owners_fenced, report.unknown_answers) = (counted.fenced, counted.unknown_answers);
        report.appends_settled_applied = counted.appends_settled_applied;
        report.appends_settled_not_applied = counted.appends_settled_not_applied;
        (report.owners, report.deliveries) = (verdict.summary.owners, verdict.summary.deliveries);
        report.stored = verdict.summary.stored;
        report.ack_ms = tally.ack.borrow().quantiles();

        report.anomalies.extend(verdict.anomalies.iter().map(ToString::to_string));
        let kept = verdict.anomalies.len() as u64;
        if verdict.anomalies_total() > kept {
            report.anomalies.push(format!("and {} more", verdict.anomalies_total() - kept));
        }
        report.anomalies.extend(self.run.complaints());
        for node in &self.stage.nodes {
            let log = ServerLog::read(&self.stage.folder.join(&node.name).join("server.log"))?;
            report.anomalies.extend(log.panics.iter().map(|line| format!("{} panicked: {line}", node.name)));
            let complaints = log.complaints.iter().map(|(words, times)| format!("{} × {times}: {words}", node.name));
            report.notes.extend(complaints);
        }
        report.proves_nothing = missing(report, self.stage.nodes.len() > 1, self.cli.at_least);
        Ok(())
    }

    /// Writes and prints the report, and keeps or removes what the servers left.
    fn finish(&self, report: &Report) -> anyhow::Result<Ending> {
        let folder = &self.stage.folder;
        report.write(folder)?;
        if self.cli.json {
            println!("{}", report.json()?);
        } else {
            println!("\n{}", report.markdown());
        }
        let ending = match (report.anomalies.is_empty(), report.proves_nothing.is_empty()) {
            (false, _) => Ending::Anomalies,
            (true, false) => Ending::ProvesNothing,
            (true, true) => Ending::Clean,
        };
        if ending == Ending::Clean && self.cli.keep {
            println!("live: clean; history, logs and data are kept in {}", folder.display());
        } else if ending == Ending::Clean {
            fs::remove_file(folder.join("history.jsonl")).context("failed to remove the history")?;
            for node in &self.stage.nodes {
                fs::remove_dir_all(folder.join(&node.name)).context("failed to remove a node's folder")?;
            }
            println!("live: clean; the reports are in {}", folder.display());
        } else {
            eprintln!(
                "live: {}; history, logs and data are kept in {}; again: --seed {} --faults {} --redis {} --cassandra-nodes {}",
                if ending == Ending::Anomalies { "ANOMALIES" } else { "it proves nothing" },
                folder.display(),
                report.seed,
                self.cli.faults,
                self.cli.redis.name(),
                self.cli.cassandra_nodes,
            );
        }
        Ok(ending)
    }
}

fn told(step: &Step) -> String {
    step.faults.iter().map(Fault::to_string).collect::<Vec<_>>().join(" + ")
}

/// Returns what should have happened, so often, and did not.
fn missing(report: &Report, is_cluster: bool, at_least: u64) -> Vec<String> {
    let mut missing = Vec::new();
    let mut ask_for = |what: &str, count: u64, at_least: u64, about: &str| {
        if count < at_least {
            missing
                .push(format!("{what}: {count}, and {at_least} were asked for, so too little about {about} is proved"));
        }
    };
    // What a client did not know, by writes, and what a node did not know, by appends, are two things: an answer is lost on the way to the
    // client though its node had it, and a node settles an append before any client has waited too long. So each is asked for.
    ask_for("writes with an unknown outcome", report.unknown, at_least, "lost answers");
    if loses_answers_of_the_log(report) {
        let settled = report.appends_settled_applied + report.appends_settled_not_applied;
        let what = "appends of an unknown outcome that were settled";
        ask_for(what, settled, at_least.min(1), "answers that the log lost");
    }
    if holds_appends_back(report) {
        ask_for("appends held back", report.appends_held as u64, at_least.min(1), "late appends");
    }
    if is_cluster {
        ask_for("owners that were fenced", report.owners_fenced, at_least, "replaced owners");
    }
    missing
}

/// Tells whether faults struck between nodes and the log that lose answers: a server that is killed does, a link that is cut or late may.
fn loses_answers_of_the_log(report: &Report) -> bool {
    struck(report, Kind::CassandraKilled) > 0 || struck(report, Kind::LinkToCassandra) >= 3
}

/// Tells whether so many faults were to hold appends back that one must have: one or two may strike while no node makes any.
fn holds_appends_back(report: &Report) -> bool {
    struck(report, Kind::HeldAppendKilled) + struck(report, Kind::HeldAppendPaused) >= 3
}

/// Returns how many faults of a kind there were.
fn struck(report: &Report, kind: Kind) -> u64 {
    report.faults.get(kind.name()).map_or(0, |suffering| suffering.count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Suffering;

    fn after(kind: Kind, count: u64) -> Report {
        let faults = [(kind.name(), Suffering { count, ..Suffering::default() })].into();
        Report { faults, unknown: 10, owners_fenced: 9, ..Report::default() }
    }

    #[test]
    fn a_run_with_fewer_than_were_asked_for_proves_nothing() {
        let report = Report { appends_settled_applied: 1, ..after(Kind::CassandraKilled, 1) };
        assert_eq!(missing(&report, true, 9), [""; 0]);
        let missing = missing(&report, true, 10);
        assert_eq!(missing.len(), 1);
        assert!(missing[0].starts_with("owners that were fenced: 9, and 10 were asked for"), "{}", missing[0]);
    }

    #[test]
    fn a_run_without_unknowns_or_fenced_owners_proves_nothing() {
        let report = Report { appends_settled_not_applied: 1, ..after(Kind::CassandraKilled, 1) };
        assert!(missing(&report, true, 1).is_empty());
        let none_settled = Report { appends_settled_not_applied: 0, unknown: 99, ..report.clone() };
        assert_eq!(missing(&none_settled, true, 1).len(), 1, "what clients did not know is another thing");
        for (kind, count, asks) in
            [(Kind::LinkToCassandra, 3, true), (Kind::LinkToCassandra, 2, false), (Kind::RedisMasterKilled, 9, false)]
        {
            assert_eq!(missing(&after(kind, count), true, 1).len(), usize::from(asks), "{kind:?}");
        }
        let applied = Report { appends_settled_applied: 1, ..none_settled };
        assert!(missing(&applied, true, 1).is_empty());
        assert_eq!(missing(&Report { unknown: 0, ..report.clone() }, true, 1).len(), 1);
        assert_eq!(missing(&Report { owners_fenced: 0, ..report.clone() }, true, 1).len(), 1);
        assert!(missing(&Report { owners_fenced: 0, ..report }, false, 1).is_empty());
    }

    #[test]
    fn a_run_that_was_to_hold_appends_back_and_held_none_proves_nothing() {
        let (killed, paused) = (after(Kind::HeldAppendKilled, 2), after(Kind::HeldAppendPaused, 2));
        for two in [&killed, &paused] {
            assert_eq!(missing(two, true, 1), [""; 0], "they may strike while no node makes an append");
        }
        let faults = killed.faults.into_iter().chain(paused.faults).collect();
        let two_of_each = Report { faults, ..after(Kind::Kill, 1) };
        for none_held in [two_of_each, after(Kind::HeldAppendKilled, 3), after(Kind::HeldAppendPaused, 3)] {
            let said = missing(&none_held, true, 9);
            assert_eq!(said.len(), 1, "{said:?}");
            assert!(said[0].starts_with("appends held back: 0, and 1 were asked for"), "{}", said[0]);
            assert_eq!(missing(&Report { appends_held: 1, ..none_held }, true, 9), [""; 0]);
        }
    }
}
