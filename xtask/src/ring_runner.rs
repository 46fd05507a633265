//! `cargo xtask test`: runs rings of tests and prints the time of each.

use std::path::Path;
use std::process::ExitCode;

use crate::process::{built, cargo, in_ci};
use crate::report::{Outcome, Report};
use crate::rings::{RINGS, Ring, Step};
use crate::tools::Tool;

/// Runs the rings of these names, or all if none is named, whether the ones before failed or not.
pub fn run(root: &Path, names: &[String]) -> ExitCode {
    let mut report = Report::default();
    for ring in chosen(names) {
        report.step(ring.name, || run_ring(root, ring));
    }
    report.finish()
}

fn chosen(names: &[String]) -> Vec<&'static Ring> {
    if names.is_empty() {
        return RINGS.iter().collect();
    }
    names.iter().filter_map(|name| RINGS.iter().find(|ring| ring.name == name)).collect()
}

fn run_ring(root: &Path, ring: &Ring) -> Outcome {
    let mut missing: Vec<&Tool> = Vec::new();
    for tool in ring.needs {
        if let Err(why) = tool.ensure() {
            if in_ci() {
                return Outcome::Failed(why);
            }
            println!("━━ {why}: tests with `{}` in their name are SKIPPED", tool.test_word);
            missing.push(tool);
        }
    }
    for step in ring.steps {
        let (mut command, line) = match step {
            Step::Cargo(arguments) => {
                let arguments = with_skips(arguments, &missing);
                (cargo(root, &arguments), format!("cargo {}", arguments.join(" ")))
            }
            Step::Built(line) => (built(root, line), line.join(" ")),
        };
        println!("$ {line}");
        match command.status() {
            Ok(status) if status.success() => {}
            Ok(_) => return Outcome::Failed(line),
            Err(error) => return Outcome::Failed(format!("{line}: {error}")),
        }
    }
    if missing.is_empty() {
        return Outcome::Ok;
    }
    let programs: Vec<&str> = missing.iter().map(|tool| tool.program).collect();
    Outcome::OkWithout(format!("WITHOUT THE TESTS THAT NEED {}", programs.join(", ")))
}

/// Adds to a `cargo test` what leaves out the tests that need a missing tool.
fn with_skips(step: &[&'static str], missing: &[&Tool]) -> Vec<&'static str> {
    let mut arguments = step.to_vec();
    if step.first() == Some(&"test") && !missing.is_empty() {
        if !step.contains(&"--") {
            arguments.push("--");
        }
        arguments.extend(missing.iter().flat_map(|tool| ["--skip", tool.test_word]));
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::{chosen, with_skips};
    use crate::rings::names;
    use crate::tools::STRACE;

    #[test]
    fn rings_are_run_in_the_order_asked_for_and_all_by_default() {
        let run = |asked: &[&str]| -> Vec<&str> {
            let asked: Vec<String> = asked.iter().map(|&name| name.to_owned()).collect();
            chosen(&asked).iter().map(|ring| ring.name).collect()
        };
        assert_eq!(run(&[]), names());
        assert_eq!(run(&["it", "core"]), ["it", "core"]);
    }

    #[test]
    fn only_tests_that_need_a_missing_tool_are_left_out() {
        assert_eq!(with_skips(&["test", "-p", "x"], &[]), ["test", "-p", "x"]);
        assert_eq!(with_skips(&["test", "-p", "x"], &[&STRACE]), ["test", "-p", "x", "--", "--skip", "strace"]);
        assert_eq!(
            with_skips(&["test", "--", "--test-threads=1"], &[&STRACE]),
            ["test", "--", "--test-threads=1", "--skip", "strace"]
        );
        assert_eq!(with_skips(&["build"], &[&STRACE]), ["build"]);
    }
}
