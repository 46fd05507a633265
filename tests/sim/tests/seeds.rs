//! What a seed promises: the same run again, and enough of everything in it.

use std::collections::BTreeSet;

use rollcall_sim::dice::Dice;
use rollcall_sim::plan::Plan;
use rollcall_sim::run::{Settings, run};

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..6 {
        let settings = Settings { seed, is_traced_fully: true, ..Settings::default() };
        let (first, second) = (run(settings), run(settings));
        assert_eq!((first.trace, first.events, first.totals), (second.trace, second.events, second.totals), "{seed}");
        assert_eq!(first.verdict.to_string(), second.verdict.to_string());
    }
}

#[test]
fn other_seeds_are_other_runs() {
    let traces: BTreeSet<u64> = (0..8).map(|seed| run(Settings { seed, ..Settings::default() }).trace).collect();
    assert_eq!(traces.len(), 8);
}

#[test]
fn a_run_with_fewer_faults_is_the_same_until_they_strike() {
    let with = |faults| run(Settings { faults_max: Some(faults), ..Settings::default() });
    let (none, all) = (with(0), with(usize::MAX));
    assert_eq!(none.struck, []);
    assert_eq!(all.struck.len(), all.faults);
    assert_ne!(none.trace, all.trace);
}

#[test]
fn every_plan_is_large_enough() {
    for seed in 0..1_000 {
        let plan = Plan::draw(&mut Dice::new(seed));
        assert!(plan.nodes >= 3 && plan.rooms.len() >= 3 && plan.clients >= 10, "{plan:?}");
        assert!(plan.writes.len() >= 300 && plan.faults.len() >= 15, "{plan:?}");
    }
}
