//! Many seeds, on all cores, and what came of them together.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::run::{Report, Settings, try_run};
use crate::sabotage::Sabotage;
use crate::totals::Totals;

/// A sabotage that is not noticed within so many seeds is a hole in the simulation.
pub const SABOTAGE_SEEDS_MAX: u64 = 200;

/// What came of a seed: a report, or what a machine panicked with.
pub type Outcome = Result<Report, String>;

/// What came of many seeds.
#[derive(Debug, Default)]
pub struct Results {
    /// What happened in all of them.
    pub totals: Totals,
    /// Those that failed, by their numbers.
    pub failed: Vec<(u64, Outcome)>,
    /// The longest that it took after the faults until everybody had read everything, in milliseconds.
    pub slowest_ms: u64,
    /// How many were run.
    pub seeds: u64,
    /// How long all took, in milliseconds.
    pub took_ms: u64,
}

/// A failing seed, with as few of its first faults as it fails with.
#[derive(Debug)]
pub struct Failure {
    /// Which.
    pub seed: u64,
    /// How many faults, from the first on.
    pub faults: usize,
    /// What came of it with those.
    pub outcome: Outcome,
}

/// Runs seeds; `settings` says how, for its seed is replaced. After each one `progress` is told how many are done, and how many of
/// them failed.
pub fn run_seeds(settings: Settings, from: u64, seeds: u64, progress: impl Fn(u64, usize) + Sync) -> Results {
    let began = Instant::now();
    let next = AtomicU64::new(from);
    let end = from + seeds;
    let results: Mutex<Results> = Mutex::default();
    let threads = if settings.is_verbose { 1 } else { std::thread::available_parallelism().map_or(1, usize::from) };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let outcome = try_run(Settings { seed, ..settings });
                    let mut results = results.lock().expect("no run panics while it is held");
                    results.add(seed, outcome);
                    progress(results.seeds, results.failed.len());
                }
            });
        }
    });
    let mut results = results.into_inner().expect("no run panicked");
    results.failed.sort_by_key(|(seed, _)| *seed);
    results.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
    results
}

impl Results {
    fn add(&mut self, seed: u64, outcome: Outcome) {
        self.seeds += 1;
        if let Ok(report) = &outcome {
            self.totals.merge(&report.totals);
            self.slowest_ms = self.slowest_ms.max(report.converged_after_ms.unwrap_or(0));
        }
        if !is_clean(&outcome) {
            self.failed.push((seed, outcome));
        }
    }

    /// Returns what has not happened in so many seeds though it must: they prove little.
    pub fn missing(&self) -> Vec<String> {
        self.totals.missing()
    }
}

/// Tells whether nothing went wrong that must not.
pub fn is_clean(outcome: &Outcome) -> bool {
    outcome.as_ref().is_ok_and(Report::is_clean)
}

/// Says in a line how a seed failed.
pub fn what_failed(outcome: &Outcome) -> String {
    match outcome {
        Ok(report) => {
            let rule = report.verdict.totals.first().map(|(rule, _)| rule.to_string());
            rule.or_else(|| report.damages.first().cloned()).unwrap_or_default()
        }
        Err(panic) => format!("a machine panicked: {panic}"),
    }
}

/// Finds the shortest prefix of a failing seed's faults with which it fails still. Without faults of its own a run is still one of
/// a cluster where now and then a message is lost.
pub fn shorten(settings: Settings, outcome: Outcome) -> Failure {
    let most = settings.faults_max.or(outcome.as_ref().ok().map(|report| report.faults)).unwrap_or(usize::MAX >> 1);
    for faults in 0..most.min(64) {
        let shorter = try_run(Settings { faults_max: Some(faults), is_verbose: false, ..settings });
        if !is_clean(&shorter) {
            return Failure { seed: settings.seed, faults, outcome: shorter };
        }
    }
    Failure { seed: settings.seed, faults: most, outcome }
}

/// Spoils one thing, and returns the number of the first seed that notices, and by what.
pub fn notice(sabotage: Sabotage, from: u64) -> Option<(u64, String)> {
    let run = |seed| (seed, try_run(Settings { seed, sabotage: Some(sabotage), ..Settings::default() }));
    let noticed = (from..from + SABOTAGE_SEEDS_MAX).map(run).find(|(_, outcome)| !is_clean(outcome));
    noticed.map(|(seed, outcome)| (seed, what_failed(&outcome)))
}
