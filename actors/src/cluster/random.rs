//! Random runs: nodes that own and show rooms, made of the machines of this module, on a bus that loses, repeats, delays and
//! reorders. Whatever happens there, every replica shows what the log has, in order, and no more than two seconds after it was
//! committed.

mod dice;
mod nodes;
mod totals;
mod world;

use self::totals::Totals;
use self::world::World;

/// One run: some seconds of commits and faults, of some seeds so many that watches expire, then two quiet ones after which
/// everything has come together.
fn run(seed: u64, log_fails: bool) -> Totals {
    let mut world = World::new(seed, log_fails);
    let faults_ms = if seed.is_multiple_of(4) { 40_000 } else { 12_000 };
    world.run_until(faults_ms);
    world.heal();
    world.run_until(faults_ms + 2_000);
    world.assert_together();
    world.totals
}

fn run_all(seeds: std::ops::Range<u64>, log_fails: bool) -> Totals {
    seeds.map(|seed| run(seed, log_fails)).fold(Totals::default(), Totals::plus)
}

#[test]
fn replicas_show_what_is_committed_within_two_seconds() {
    let totals = run_all(0..60, false);
    assert!(totals.each_happened(), "{totals:#?}");
}

#[test]
fn replicas_come_together_where_the_log_failed_too() {
    let totals = run_all(1_000..1_030, true);
    assert!(totals.each_happened() && totals.failed_reads > 100, "{totals:#?}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    assert_eq!(run(7, true), run(7, true));
}
