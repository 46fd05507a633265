//! `cargo xtask check`: everything that can be said about a change without running it.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::deploy_lint;
use crate::process::{cargo, in_ci};
use crate::report::{Outcome, Report};
use crate::tidy;
use crate::tools::{CLIPPY, RUSTFMT, Tool};

struct Step {
    name: &'static str,
    cargo: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
    needs: Option<Tool>,
}

const STEPS: &[Step] = &[
    Step { name: "fmt", cargo: &["fmt", "--all", "--check"], environment: &[], needs: Some(RUSTFMT) },
    Step {
        name: "clippy",
        cargo: &["clippy", "--workspace", "--all-targets", "--keep-going", "--", "-D", "warnings"],
        environment: &[],
        needs: Some(CLIPPY),
    },
    Step {
        name: "docs",
        cargo: &["doc", "--workspace", "--no-deps", "--keep-going"],
        environment: &[("RUSTDOCFLAGS", "-D warnings")],
        needs: None,
    },
];

/// Runs `tidy`, all steps and the linters of `deploy/`, whether the ones before failed or not, and prints a table of them.
///
/// # Errors
///
/// If the repository's files cannot be listed.
pub fn run(root: &Path) -> Result<ExitCode> {
    let mut report = Report::default();
    let violations = tidy::check_repository(root)?;
    report.step("tidy", || {
        tidy::print(&violations);
        match violations.len() {
            0 => Outcome::Ok,
            1 => Outcome::Failed("1 house rule is broken".to_owned()),
            broken => Outcome::Failed(format!("house rules are broken in {broken} places")),
        }
    });
    for step in STEPS {
        report.step(step.name, || run_step(root, step));
    }
    deploy_lint::lint(root, &mut report);
    Ok(report.finish())
}

fn run_step(root: &Path, step: &Step) -> Outcome {
    if let Some(Err(why)) = step.needs.as_ref().map(Tool::ensure) {
        return if in_ci() { Outcome::Failed(why) } else { Outcome::Skipped(why) };
    }
    let line = format!("cargo {}", step.cargo.join(" "));
    println!("$ {line}");
    match cargo(root, step.cargo).envs(step.environment.iter().copied()).status() {
        Ok(status) if status.success() => Outcome::Ok,
        Ok(_) => Outcome::Failed(line),
        Err(error) => Outcome::Failed(format!("{line}: {error}")),
    }
}
