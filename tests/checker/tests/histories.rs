//! Every rule has histories that break it and no other; with the rule taken out they pass. Clean ones pass as they are.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use rollcall_checker::{Caveat, Checker, Rule, Verdict, check_reader};

/// The recorded histories: (what its name says, its name, its lines).
fn histories() -> Vec<(String, String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("histories");
    let files = fs::read_dir(folder).expect("the folder of histories");
    let paths = files.map(|file| file.expect("a file of the folder").path());
    let mut histories: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .map(|path| {
            let name = path.file_stem().and_then(OsStr::to_str).expect("a name in ASCII").to_owned();
            let (expected, _case) = name.split_once('.').expect("RULE.CASE.jsonl");
            (expected.to_owned(), name.clone(), fs::read_to_string(&path).expect("a readable history"))
        })
        .collect();
    histories.sort();
    histories
}

fn rule_of(expected: &str) -> Option<Rule> {
    (expected != "clean").then(|| Rule::ALL.into_iter().find(|rule| rule.name() == expected).expect(expected))
}

fn judge_without(rule: Rule, history: &str) -> Verdict {
    let mut checker = Checker::new().without(rule);
    checker.observe_lines(history.as_bytes()).expect("a readable history");
    checker.finish()
}

#[test]
fn each_history_breaks_the_rule_that_it_is_named_after_and_no_other() {
    for (expected, name, history) in histories() {
        let verdict = check_reader(history.as_bytes()).unwrap();
        let broken: Vec<Rule> = verdict.totals.iter().map(|(rule, _)| *rule).collect();
        assert_eq!(broken, Vec::from_iter(rule_of(&expected)), "{name}: {verdict}");
        assert!(verdict.anomalies.iter().all(|anomaly| !anomaly.evidence.is_empty()), "{name}: {verdict}");
    }
}

#[test]
fn with_its_rule_taken_out_each_history_passes() {
    for (expected, name, history) in histories() {
        if let Some(rule) = rule_of(&expected) {
            let verdict = judge_without(rule, &history);
            assert!(verdict.is_clean(), "{name}: {verdict}");
        }
    }
}

#[test]
fn every_rule_has_a_history_that_breaks_it() {
    let broken: BTreeSet<Rule> = histories().iter().filter_map(|(expected, _, _)| rule_of(expected)).collect();
    assert_eq!(broken, BTreeSet::from(Rule::ALL));
}

#[test]
fn the_clean_history_is_counted_and_proves_something() {
    let history = include_str!("../histories/clean.everything.jsonl");
    let verdict = check_reader(history.as_bytes()).unwrap();
    let summary = verdict.summary;
    assert_eq!((summary.acked, summary.failed, summary.unknown), (4, 1, 2));
    assert_eq!((summary.unknown_stored, summary.unknown_absent), (1, 1));
    assert_eq!((summary.stored, summary.stored_unexplained, summary.stored_erased), (7, 0, 1));
    assert_eq!((summary.rooms, summary.owners, summary.rooms_with_several_owners), (1, 3, 1));
    assert_eq!(summary.deliveries, 4 + 3 + 5 + 2 + 7 + 3);
    assert_eq!(verdict.caveats, []);
    assert!(verdict.proves_something());
}

#[test]
fn a_run_without_unknowns_second_owners_faults_or_dump_says_so() {
    let verdict = check_reader(&b""[..]).unwrap();
    assert!(verdict.is_clean() && !verdict.proves_something());
    let caveats = [Caveat::NoUnknownOutcome, Caveat::NoFencedOwner, Caveat::ConvergenceNotJudged, Caveat::NoDump];
    assert_eq!(verdict.caveats, caveats);
}

#[test]
fn an_anomaly_prints_its_events_as_lines() {
    let history = include_str!("../histories/acked_is_stored.overwritten.jsonl");
    let verdict = check_reader(history.as_bytes()).unwrap();
    let printed = verdict.anomalies[0].to_string();
    let lines: Vec<&str> = printed.lines().map(str::trim).collect();
    assert_eq!(lines[0], "acked_is_stored in room \"general\": acknowledged at seq 1, where it is not stored");
    assert_eq!(lines[1], history.lines().next().unwrap());
    assert!(lines[2].starts_with(r#"{"event":"stored","room":"general","seq":1,"#), "{printed}");
    let read_back: Verdict = serde_json::from_str(&serde_json::to_string(&verdict).unwrap()).unwrap();
    assert_eq!(read_back, verdict);
}

#[test]
fn a_flood_of_anomalies_is_counted_but_not_kept() {
    let push = include_str!("../histories/pushes_in_order.not_joined.jsonl").lines().next().unwrap();
    let mut checker = Checker::new().keeping(3);
    for _ in 0..1_000 {
        checker.observe_lines(push.as_bytes()).unwrap();
    }
    assert_eq!(checker.footprint().anomalies, 3);
    let verdict = checker.finish();
    assert_eq!(verdict.totals[0], (Rule::PushesInOrder, 1_000));
    assert_eq!(verdict.anomalies_total(), 1_001, "and the entry is not stored: {verdict}");
}
