//! What is told of a failing seed is the shortest prefix of its faults with which it fails, and not a shorter one.

use rollcall_sim::many::{is_clean, shorten, what_failed};
use rollcall_sim::run::{Settings, try_run};
use rollcall_sim::sabotage::Sabotage;

/// A sabotage that shows only where an owner was replaced while it lived, which takes a fault or several.
const SABOTAGE: Sabotage = Sabotage::NoFenceOnAppend;

/// How many seeds are looked through.
const SEEDS_MAX: u64 = 200;

fn with(settings: Settings, faults: usize) -> Settings {
    Settings { faults_max: Some(faults), ..settings }
}

#[test]
fn a_failing_seed_is_told_with_no_more_of_its_faults_than_it_takes() {
    let spoilt = |seed| Settings { seed, sabotage: Some(SABOTAGE), ..Settings::default() };
    // One that fails neither without faults nor only with the last of them.
    let failure = (0..SEEDS_MAX)
        .map(|seed| (spoilt(seed), try_run(spoilt(seed))))
        .filter(|(_, outcome)| !is_clean(outcome))
        .map(|(settings, outcome)| (settings, outcome.as_ref().map_or(usize::MAX, |report| report.faults), outcome))
        .map(|(settings, faults, outcome)| (settings, faults, shorten(settings, outcome)))
        .find(|(_, faults, failure)| (1..*faults).contains(&failure.faults));
    let (settings, faults, failure) = failure.expect("of so many seeds one fails so");
    println!("seed {}: {} of {faults} faults: {}", failure.seed, failure.faults, what_failed(&failure.outcome));
    assert_eq!(failure.seed, settings.seed);
    assert!(!is_clean(&failure.outcome));
    let again = try_run(with(settings, failure.faults));
    assert_eq!(what_failed(&again), what_failed(&failure.outcome), "it fails so by itself");
    assert!(!is_clean(&again));
    for shorter in 0..failure.faults {
        assert!(is_clean(&try_run(with(settings, shorter))), "{shorter} faults are not enough");
    }
    let honest = Settings { sabotage: None, ..with(settings, failure.faults) };
    assert!(is_clean(&try_run(honest)), "without the sabotage it does not fail");
}

/// A seed that fails by what is spoilt alone is told with none.
#[test]
fn a_seed_that_fails_without_faults_is_told_with_none() {
    let settings = Settings { sabotage: Some(Sabotage::PushedTwice), ..Settings::default() };
    let failure = shorten(settings, try_run(settings));
    assert_eq!(failure.faults, 0);
    assert!(!is_clean(&failure.outcome));
}
