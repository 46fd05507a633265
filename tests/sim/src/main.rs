//! Runs seeds and says what came of them.

use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::Parser;
use rollcall_sim::faults::FaultKind;
use rollcall_sim::many::{Failure, Results, SABOTAGE_SEEDS_MAX, notice, run_seeds, shorten, what_failed};
use rollcall_sim::run::Settings;
use rollcall_sim::sabotage::Sabotage;
use serde_json::json;

/// How often it is said how far it is.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Runs a cluster of the shipped machines in a simulated world, by seed. Exit code 1 if a seed fails, or if the seeds prove nothing.
#[derive(Debug, Parser)]
struct Args {
    /// How many seeds.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// From which on.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Only so many faults of each plan, from the first on.
    #[arg(long)]
    faults: Option<usize>,
    /// Faults of this kind alone.
    #[arg(long)]
    only: Option<FaultKind>,
    /// Spoil only this, and expect that it is noticed within 200 seeds.
    #[arg(long)]
    sabotage: Option<Sabotage>,
    /// Spoil one thing after the other, and expect that each is noticed within 200 seeds.
    #[arg(long)]
    sabotages: bool,
    /// Print one line of JSON instead of words.
    #[arg(long)]
    json: bool,
    /// Print all that happens.
    #[arg(long)]
    verbose: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    // What a machine panics with is told with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    let is_good = match args.sabotage {
        Some(sabotage) => all_are_noticed(&args, &[sabotage]),
        None if args.sabotages => all_are_noticed(&args, &Sabotage::ALL),
        None => all_are_clean(&args),
    };
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn all_are_clean(args: &Args) -> bool {
    let settings =
        Settings { faults_max: args.faults, only: args.only, is_verbose: args.verbose, ..Settings::default() };
    let said_at = Mutex::new(Instant::now());
    let progress = |done: u64, failed: usize| {
        let mut said_at = said_at.lock().expect("nothing panics while it is held");
        if said_at.elapsed() >= SAY_EVERY {
            *said_at = Instant::now();
            eprintln!("{done} of {} seeds, {failed} of them failed", args.seeds);
        }
    };
    let mut results = run_seeds(settings, args.from, args.seeds, progress);
    let is_whole = args.faults.is_none() && args.only.is_none() && args.seeds >= SABOTAGE_SEEDS_MAX;
    let missing = if is_whole { results.missing() } else { Vec::new() };
    let failed: Vec<(u64, String)> = results.failed.iter().map(|(seed, it)| (*seed, what_failed(it))).collect();
    let first = (!results.failed.is_empty()).then(|| results.failed.swap_remove(0));
    let shortest = first.map(|(seed, outcome)| shorten(Settings { seed, ..settings }, outcome));
    if args.json {
        println!("{}", to_json(&results, &failed, shortest.as_ref(), &missing));
    } else {
        tell(&results, &failed, shortest.as_ref(), &missing);
    }
    failed.is_empty() && missing.is_empty()
}

fn tell(results: &Results, failed: &[(u64, String)], shortest: Option<&Failure>, missing: &[String]) {
    print!("{}", results.totals);
    let a_second = results.seeds * 1_000 / results.took_ms;
    let &Results { seeds, took_ms, slowest_ms, .. } = results;
    println!(
        "{seeds} seeds in {took_ms} ms, {a_second} a second; at most {slowest_ms} ms after the faults all had read all"
    );
    if !failed.is_empty() {
        println!("{} seeds failed:", failed.len());
        failed.iter().take(20).for_each(|(seed, what)| println!("  seed {seed}: {what}"));
    }
    if let Some(Failure { seed, faults, outcome }) = shortest {
        println!("seed {seed} fails, with no more than the first {faults} of its faults:");
        match outcome {
            Ok(report) => {
                report.struck.iter().for_each(|fault| println!("  {fault:?}"));
                report.damages.iter().take(10).for_each(|damage| println!("  {damage}"));
                println!("{}", report.verdict);
            }
            Err(panic) => println!("  a machine panicked: {panic}"),
        }
        println!("see it by: cargo xtask sim --seeds 1 --from {seed} --faults {faults} --verbose");
    }
    if !missing.is_empty() {
        println!("these runs prove too little, for this never happened: {missing:?}");
    }
}

fn to_json(
    results: &Results,
    failed: &[(u64, String)],
    shortest: Option<&Failure>,
    missing: &[String],
) -> serde_json::Value {
    let failed: Vec<_> = failed.iter().map(|(seed, what)| json!({ "seed": seed, "what": what })).collect();
    let shortest = shortest.map(|it| json!({ "seed": it.seed, "faults": it.faults, "what": what_failed(&it.outcome) }));
    json!({
        "seeds": results.seeds,
        "took_ms": results.took_ms,
        "converged_after_ms_max": results.slowest_ms,
        "faults": results.totals.faults_by_name(),
        "counts": results.totals.counts(),
        "failed": failed,
        "shortest": shortest,
        "missing": missing,
    })
}

fn all_are_noticed(args: &Args, sabotages: &[Sabotage]) -> bool {
    let noticed: Vec<_> = sabotages.iter().map(|&sabotage| (sabotage, notice(sabotage, args.from))).collect();
    for (sabotage, by) in &noticed {
        if args.json {
            let (seed, what) = by.clone().unzip();
            println!("{}", json!({ "sabotage": sabotage.to_string(), "seed": seed, "what": what }));
        } else if let Some((seed, what)) = by {
            println!("{sabotage}: noticed at seed {} of {SABOTAGE_SEEDS_MAX}: {what}", seed - args.from + 1);
        } else {
            println!("{sabotage}: not noticed within {SABOTAGE_SEEDS_MAX} seeds");
        }
    }
    noticed.iter().all(|(_, by)| by.is_some())
}
