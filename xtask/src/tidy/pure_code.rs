//! Rule: pure code has no clock, no randomness, no unordered iteration, no async, no I/O and no log lines.
//!
//! Such code takes time and chance as arguments and gives back plain data, so that a test compares its effects with
//! `assert_eq!`, and a simulator runs the very code that ships, the same way each time.

use std::collections::BTreeSet;

use super::Tree;
use super::rules::Finding;
use super::rust_source::contains_token;
use super::use_paths::use_paths;

/// Files, and folders with a `/` at their end, whose code is pure; their tests may do as they like.
const PURE: &[&str] =
    &["protocol/src/", "actors/src/room/", "actors/src/cluster/", "actors/src/fencing/", "clients/rust/src/session/"];

/// What pure code must not name, and what to do instead.
const FORBIDDEN: &[(&[&str], &str)] = &[
    (&["Instant::now", "SystemTime::now", ".elapsed()"], "no clock in pure code: take the time as an argument"),
    (
        &["rand::", "getrandom", "Uuid::new_v4", "Uuid::now_v7", "RandomState"],
        "no randomness in pure code: take what was drawn as an argument",
    ),
    (&["HashMap", "HashSet"], "no unordered iteration in pure code: use BTreeMap, BTreeSet or a Vec"),
    (&["async", ".await"], "no async in pure code: return an effect and let the shell wait for it"),
    (
        &["std::fs", "std::net", "std::io", "std::env", "std::process", "std::thread", "tokio::"],
        "no I/O in pure code: return an effect and let the shell carry it out",
    ),
    (
        &["println!", "eprintln!", "print!", "eprint!", "dbg!", "tracing::", "metrics::", "prometheus_client::"],
        "no output in pure code: return an effect or a value and let the shell report it",
    ),
];

/// Finds impure names in pure code, other than in its tests.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let is_pure =
        |path: &str| PURE.iter().any(|pure| if pure.ends_with('/') { path.starts_with(pure) } else { path == *pure });
    let mut findings = BTreeSet::new();
    for (path, source) in tree.rust_files().filter(|(path, _)| is_pure(path) && !tree.is_test_file(path)) {
        let used = use_paths(source);
        let used =
            used.iter().map(|(line, path)| (*line, path.as_str())).filter(|(line, _)| !source.is_test_line(*line));
        for (line, code) in source.shipped_lines().chain(used) {
            for (names, advice) in FORBIDDEN {
                if let Some(name) = names.iter().find(|name| contains_token(code, name)) {
                    findings.insert(Finding::new(path, line, format!("`{name}`: {advice}")));
                }
            }
        }
    }
    findings.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::{FORBIDDEN, check};
    use crate::tidy::testing::places;

    #[test]
    fn pure_code_and_its_tests_are_kept() {
        let clean = "//! No HashMap, no tokio::time.\nuse std::time::{Duration, Instant};\nuse std::collections::BTreeMap;\n\
                     fn handle(now: Instant) { let text = \"rand::random()\"; operand::new(); }\n\
                     #[cfg(test)]\nmod tests { use std::collections::HashMap; }";
        let files = [
            ("protocol/src/frame.rs", clean),
            ("actors/src/room/tests.rs", "use std::collections::HashMap;"),
            ("actors/src/directory.rs", "async fn f() { tokio::time::sleep(d).await }"),
        ];
        assert_eq!(places(check, &files), [""; 0]);
    }

    #[test]
    fn every_impure_name_is_found() {
        for name in FORBIDDEN.iter().flat_map(|(names, _)| *names) {
            let space = if name.starts_with('.') { "" } else { " " };
            let code = format!("fn f() {{\n    x{space}{name};\n}}");
            assert_eq!(places(check, &[("actors/src/room/core.rs", &code)]), ["actors/src/room/core.rs:2"], "{code}");
        }
    }

    #[test]
    fn impure_names_are_found_in_groups() {
        let code = "use std::{\n    collections::BTreeMap,\n    fs,\n};";
        assert_eq!(places(check, &[("clients/rust/src/session/mod.rs", code)]), ["clients/rust/src/session/mod.rs:3"]);
    }
}
