//! What a seed promises: the same run again, and enough of everything in it.

use std::collections::BTreeSet;

use rollcall_sim::dice::Dice;
use rollcall_sim::faults::FaultKind;
use rollcall_sim::many::run_seeds;
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
    let with = |faults, until_ms| {
        let traced = Settings { is_traced_fully: true, traced_until_ms: Some(until_ms), ..Settings::default() };
        run(Settings { faults_max: Some(faults), ..traced })
    };
    let all = with(usize::MAX, u64::MAX);
    assert_eq!(all.struck.len(), all.faults);
    for left in [0, 1, all.faults / 2, all.faults - 1] {
        let strikes_ms = all.struck[left..].iter().map(|fault| fault.at_ms).min().unwrap();
        assert!(strikes_ms > 0);
        let (fewer, more) = (with(left, strikes_ms), with(usize::MAX, strikes_ms));
        assert_eq!(fewer.struck, all.struck[..left]);
        assert_eq!(fewer.trace, more.trace, "the first {left} of {} faults, until {strikes_ms} ms", all.faults);
        assert_ne!(fewer.trace, with(left, strikes_ms / 2).trace, "much happens in that time");
        // The next fault itself is the first thing that happens in one of them alone.
        assert_ne!(with(left, strikes_ms + 1).trace, with(usize::MAX, strikes_ms + 1).trace);
    }
}

#[test]
fn every_plan_is_large_enough() {
    for seed in 0..1_000 {
        let plan = Plan::draw(&mut Dice::new(seed), None);
        assert!(plan.nodes >= 3 && plan.rooms.len() >= 3 && plan.clients >= 10, "{plan:?}");
        assert!(plan.writes.len() >= 330 && plan.faults.len() >= 15, "{plan:?}");
    }
}

/// Of many seeds those that plan the fewest writes: none are made by a client whose program does not run.
#[test]
fn every_run_writes_enough() {
    let planned = |seed: &u64| Plan::draw(&mut Dice::new(*seed).split(), None).writes.len();
    let mut seeds: Vec<u64> = (0..1_000).collect();
    seeds.sort_by_cached_key(planned);
    for &seed in &seeds[..40] {
        let writes = run(Settings { seed, ..Settings::default() }).totals.get("writes");
        assert!(writes >= 300, "seed {seed}: {writes} of {} writes that were planned", planned(&seed));
    }
}

/// A room that is handed over opens without a takeover in the log, unless the word of it is lost, or the node that drains does not
/// know the others yet.
#[test]
fn where_a_node_drains_and_nothing_else_happens_few_takeovers_are_noted() {
    let settings = Settings { only: Some(FaultKind::Drain), faults_max: Some(1), ..Settings::default() };
    let results = run_seeds(settings, 0, 60, |_, _| {});
    assert_eq!(results.failed.len(), 0);
    let (handed_over, takeovers) = (results.totals.get("rooms handed over"), results.totals.get("takeovers noticed"));
    assert!(handed_over >= 30 && takeovers * 3 <= handed_over, "{handed_over} handed over, {takeovers} taken over");
}

/// Redis forgets nodes that live, and they are there again in a moment, unless it takes long to answer just then. Without that time more
/// than 300 owners are fenced.
#[test]
fn where_redis_is_wiped_and_nothing_else_happens_most_rooms_stay_where_they_are() {
    let settings = Settings { only: Some(FaultKind::RedisWiped), ..Settings::default() };
    let results = run_seeds(settings, 0, 60, |_, _| {});
    assert_eq!(results.failed.len(), 0);
    let (fenced, activated) = (results.totals.get("owners fenced"), results.totals.get("owners activated"));
    assert!(fenced <= 60 && activated >= 100, "{fenced} fenced of {activated}");
}
