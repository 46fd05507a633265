//! Rule: a test waits for a condition, with a deadline, and never for time to pass.

use super::Tree;
use super::rules::Finding;
use super::rust_source::{RustSource, token_positions};

/// Starts the comment, on the line of the sleep or just above, that says why time is what this one needs: a load that
/// is paced, a deadline of the server that is waited out.
const REASON: &str = "// pace: ";

/// Finds sleeps in test code that give no reason.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, source) in tree.rust_files() {
        let is_test_file = tree.is_test_file(path);
        for (line, code) in source.code_lines() {
            if (is_test_file || source.is_test_line(line)) && sleeps(code) && !has_reason(source, line) {
                let advice =
                    "a sleep in a test: wait for the condition, with a deadline (or say `// pace: why` on the line)";
                findings.push(Finding::new(path, line, advice));
            }
        }
    }
    findings
}

/// Tells whether a line calls a free function `sleep`; a method of that name is somebody's own clock.
fn sleeps(code: &str) -> bool {
    token_positions(code, "sleep").any(|start| {
        let before = code[..start].trim_end();
        let is_called = code[start + "sleep".len()..].trim_start().starts_with('(');
        is_called && !before.ends_with('.') && !before.ends_with("fn")
    })
}

fn has_reason(source: &RustSource, line: usize) -> bool {
    let gives_reason = |comment: &str| comment.strip_prefix(REASON).is_some_and(|reason| !reason.trim().is_empty());
    gives_reason(source.comment_on(line)) || (line > 1 && gives_reason(source.comment_on(line - 1)))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::places;

    #[test]
    fn waiting_for_a_condition_and_pacing_are_kept() {
        let files = [
            ("src/backoff.rs", "async fn f() { tokio::time::sleep(d).await; }"),
            (
                "tests/it/tests/a.rs",
                "clock.sleep(d); // not time::sleep(d)\nsleep(d).await; // pace: 100 sends a second\n",
            ),
            ("tests/it/tests/b.rs", "// pace: the handshake's deadline\nsleep(d).await;\nfn sleep() {}"),
        ];
        assert_eq!(places(check, &files), [""; 0]);
    }

    #[test]
    fn sleeps_without_a_reason_are_found() {
        let files = [
            ("src/a.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { std::thread::sleep(d); }\n}"),
            ("tests/it/tests/a.rs", "tokio::time::sleep(d).await; // pace:  \nsleep(d).await;"),
        ];
        assert_eq!(places(check, &files), ["src/a.rs:4", "tests/it/tests/a.rs:1", "tests/it/tests/a.rs:2"]);
    }
}
