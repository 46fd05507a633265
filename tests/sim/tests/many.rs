//! Many seeds are clean, and everything happened in them that must. `cargo xtask test sim` runs a thousand others.

use rollcall_sim::many::{run_seeds, shorten, what_failed};
use rollcall_sim::run::Settings;
use rollcall_sim::totals::MUST_OCCUR;

const FROM: u64 = 1_000_000;
const SEEDS: u64 = 300;

#[test]
fn many_seeds_are_clean_and_everything_happens_in_them() {
    let mut results = run_seeds(Settings::default(), FROM, SEEDS, |_, _| {});
    println!("{}", results.totals);
    println!("{SEEDS} seeds in {} ms", results.took_ms);
    if let Some((seed, outcome)) = results.failed.pop() {
        let shortest = shorten(Settings { seed, ..Settings::default() }, outcome);
        let (faults, what) = (shortest.faults, what_failed(&shortest.outcome));
        panic!(
            "{} seeds failed, of them {seed}: {what}; see it by: cargo xtask sim --seeds 1 --from {seed} --faults {faults} --verbose",
            results.failed.len() + 1
        );
    }
    assert_eq!(results.seeds, SEEDS);
    assert_eq!(results.missing(), [] as [String; 0]);
    // What is rarer is hardly explored.
    let rare: Vec<_> = MUST_OCCUR.iter().filter(|what| results.totals.get(what) < SEEDS / 100).collect();
    assert_eq!(rare, [] as [&&str; 0]);
}
