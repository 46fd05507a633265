//! Rule: the gateway never names the log.
//!
//! What a connection reads of a room, it reads through the room's actor and its tail: this is why nothing that is not yet
//! durable can reach a socket, and why the log can be replaced without a look at the gateway.

use super::Tree;
use super::rules::Finding;
use super::rust_source::contains_token;
use super::use_paths::use_paths;

/// The one folder that must not name the other module.
const GATEWAY: &str = "src/gateway/";
const GATEWAY_ROOT: &str = "src/gateway.rs";

/// Ways to name the log from within the server: its adapters, the port, and what the port is asked for.
const LOG_PATHS: &[&str] = &["crate::log", "rollcall::log", "super::log", "ports::Log", "ports::ReadRange"];

/// Finds places where the gateway names the log, other than tests.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let gateway = tree.rust_files().filter(|(path, _)| path.starts_with(GATEWAY) || *path == GATEWAY_ROOT);
    for (path, source) in gateway.filter(|(path, _)| !tree.is_test_file(path)) {
        let names_log = |code: &str| LOG_PATHS.iter().any(|log| contains_token(code, log));
        let used = use_paths(source).into_iter().filter(|(line, _)| !source.is_test_line(*line));
        let lines = source.shipped_lines().filter(|(_, code)| names_log(code)).map(|(line, _)| line);
        let mut lines: Vec<usize> =
            lines.chain(used.filter(|(_, path)| names_log(path)).map(|(line, _)| line)).collect();
        lines.sort_unstable();
        lines.dedup();
        let advice = "the gateway must not know the log: ask the room through its handle";
        findings.extend(lines.into_iter().map(|line| Finding::new(path, line, advice)));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::places;

    #[test]
    fn others_may_name_the_log_and_so_may_tests_of_the_gateway() {
        let files = [
            ("src/app.rs", "use crate::log::MemoryLog;"),
            ("src/gateway/mod.rs", "//! Not crate::log.\nuse crate::{config::Config, logging};"),
            ("src/gateway/writer.rs", "use super::logging;\n#[cfg(test)]\nmod tests { use crate::log::MemoryLog; }"),
            ("src/gateway/tests.rs", "use crate::log::MemoryLog;"),
            ("src/gateway/history.rs", "use rollcall_actors::ports::{Clock, LogError};"),
            ("src/server.rs", "use rollcall_actors::ports::{Log, ReadRange};"),
        ];
        assert_eq!(places(check, &files), [""; 0]);
    }

    #[test]
    fn every_way_to_name_the_log_is_found() {
        let files = [
            ("src/gateway/a.rs", "use crate::{\n    config::Config,\n    log::MemoryLog,\n};"),
            ("src/gateway/b.rs", "fn f(log: &super::super::log::EmbeddedLog) {}"),
            ("src/gateway/c.rs", "use crate::log;"),
            ("src/gateway/d.rs", "use rollcall_actors::ports::{\n    Clock,\n    Log,\n};"),
            ("src/gateway/e.rs", "fn f(range: rollcall_actors::ports::ReadRange) {}"),
        ];
        assert_eq!(
            places(check, &files),
            [
                "src/gateway/a.rs:3",
                "src/gateway/b.rs:1",
                "src/gateway/c.rs:1",
                "src/gateway/d.rs:3",
                "src/gateway/e.rs:1",
            ]
        );
    }
}
