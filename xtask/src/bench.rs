//! Measures everything and writes the table into docs/performance.md.

mod alone;
mod cluster;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::process;
use crate::tools::{JAVA, MAVEN, REDIS};

const PAGE: &str = "docs/performance.md";
const END: &str = "<!-- end -->";

/// A table in the page.
struct Suite {
    figures: &'static [Figure],
    /// What it stands below in the page.
    begin: &'static str,
    /// How the machine is used.
    placement: &'static str,
    /// What the programs are built of.
    packages: &'static [&'static str],
}

/// One figure: what is run, and what of the run's report goes into the table.
struct Figure {
    /// What runs.
    program: Program,
    /// What is loaded, for people.
    name: &'static str,
    /// Its arguments; `{half}` is half of the sends a second that the figure before it reached.
    arguments: &'static str,
    /// What is asked for.
    target: &'static str,
    /// Whether a run has reached that; none where it is only reported.
    within: Option<fn(&Report) -> bool>,
    /// What was reached, from the report.
    reached: fn(&Report) -> String,
}

/// What measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    /// The load harness.
    Load,
    /// What measures how rooms change hands.
    Figures,
    /// What breaks everything, with its reports in a folder of this name.
    Live(&'static str),
}

impl Program {
    const fn name(self) -> &'static str {
        match self {
            Self::Load => "rollcall-load",
            Self::Figures => "rollcall-figures",
            Self::Live(_) => "rollcall-live",
        }
    }
}

const ALONE: Suite = Suite {
    figures: alone::FIGURES,
    begin: "<!-- measured: cargo xtask bench -->\n",
    placement: "server on one core, clients on another, JSON frames",
    packages: &["--package=rollcall", "--package=rollcall-load"],
};

const CLUSTER: Suite = Suite {
    figures: cluster::FIGURES,
    begin: "<!-- measured: cargo xtask bench cluster -->\n",
    placement: "servers, Redis, Cassandra and clients on all cores together, JSON frames",
    packages: &["--package=rollcall", "--package=rollcall-load", "--package=rollcall-live"],
};

/// What the table says of a figure that is what was asked for, and of one that is not.
const REACHED: &str = "reached";
const MISSED: &str = "**missed**";

impl Figure {
    /// Returns how its row in the table begins, up to the arguments.
    fn row_begin(&self) -> String {
        format!("| {}<br>", self.name)
    }

    /// Compares what a run has reported with what is asked for.
    fn verdict(&self, run: &Report) -> &'static str {
        match self.within {
            None => "",
            Some(within) if within(run) => REACHED,
            Some(_) => MISSED,
        }
    }
}

/// What a run reported.
struct Report(Value);

impl Report {
    /// Returns a figure by its key, such as `ack_ms.p99`; not a number where the run did not measure it.
    fn number(&self, key: &str) -> f64 {
        let found = key.split('.').try_fold(&self.0, |value, name| value.get(name));
        found.and_then(Value::as_f64).unwrap_or(f64::NAN)
    }

    /// Returns the figures by kind of a key, as words.
    fn by_kind(&self, key: &str) -> String {
        let kinds = self.0.get(key).and_then(Value::as_object);
        let words = kinds.into_iter().flatten().map(|(kind, count)| format!("{count} {}", kind.replace('_', " ")));
        let words = words.collect::<Vec<_>>().join(", ");
        if words.is_empty() { "none".to_owned() } else { words }
    }

    /// Returns how many things a list of the report has.
    fn count(&self, key: &str) -> f64 {
        let list = self.0.get(key).and_then(Value::as_array);
        list.map_or(f64::NAN, |list| u32::try_from(list.len()).map_or(f64::MAX, f64::from))
    }
}

/// Runs all figures of one server, or with `cluster` first among the names those of a cluster; or only those whose arguments begin
/// with another of the names. Writes what was measured into the table, whose other rows stay where they are of this machine.
///
/// # Errors
/// Where something could not be built, run or written. An anomaly is an exit code.
pub fn run(root: &Path, names: &[String]) -> Result<ExitCode> {
    let (suite, only) = match names.split_first() {
        Some((first, rest)) if first == "cluster" => (&CLUSTER, rest),
        _ => (&ALONE, names),
    };
    if suite.packages.len() > ALONE.packages.len() {
        for tool in [REDIS, JAVA, MAVEN] {
            tool.ensure().map_err(anyhow::Error::msg)?;
        }
    }
    let build: Vec<&str> = ["build", "--release"].into_iter().chain(suite.packages.iter().copied()).collect();
    let built = process::cargo(root, &build).status()?;
    ensure!(built.success(), "the release build failed");
    let mut rows = BTreeMap::new();
    let (mut clean, mut sends_per_s, mut missed) = (true, 0.0, Vec::new());
    for figure in suite.figures {
        if !only.is_empty() && !only.iter().any(|name| figure.arguments.starts_with(name.as_str())) {
            continue;
        }
        let arguments = figure.arguments.replace("{half}", &format!("{:.0}", sends_per_s / 2.0));
        let program = figure.program.name();
        println!("\n{}: {program} {arguments}", figure.name);
        let (report, passed) = measure(root, figure.program, &arguments)?;
        clean &= passed;
        if report.number("sends_per_s").is_finite() {
            sends_per_s = report.number("sends_per_s");
        }
        let reached = (figure.reached)(&report);
        let verdict = figure.verdict(&report);
        println!("{reached}: asked for: {} {verdict}", figure.target);
        let row = format!("{}`{arguments}` | {} | {reached} | {verdict} |", figure.row_begin(), figure.target);
        rows.insert(figure.name, row);
        if verdict == MISSED {
            missed.push(format!("{}: {reached}, asked for: {}", figure.name, figure.target));
        }
    }
    ensure!(!rows.is_empty(), "no figure's arguments begin with any of: {}", only.join(", "));
    for figure in &missed {
        println!("MISSED: {figure}");
    }
    let page = root.join(PAGE);
    let text = fs::read_to_string(&page).with_context(|| format!("failed to read {PAGE}"))?;
    let (head, rest) = text.split_once(suite.begin).context("the page has lost its mark for the table")?;
    let (before, tail) = rest.split_once(END).context("the page has lost its mark for the table's end")?;
    let (machine, table) = (machine(suite.placement), table(suite.figures, &rows, before));
    println!("\n{table}");
    let is_of_another = before.lines().any(|line| line.starts_with("Machine: ") && line != machine);
    if is_of_another && rows.len() < suite.figures.len() {
        println!(
            "not written to {PAGE}: the other rows were measured on another machine; measure all of them on this one"
        );
        return Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    fs::write(&page, format!("{head}{}{machine}\n\n{table}{END}{tail}", suite.begin))?;
    println!("written to {PAGE}");
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns the table: of each figure the row that was just measured, else the one that was there.
fn table(figures: &[Figure], measured: &BTreeMap<&str, String>, before: &str) -> String {
    let mut table = String::from("| load | asked for | measured | |\n|---|---|---|---|\n");
    for figure in figures {
        let there = || before.lines().find(|line| line.starts_with(&figure.row_begin())).map(str::to_owned);
        let unmeasured =
            || format!("{}`{}` | {} | not measured yet | |", figure.row_begin(), figure.arguments, figure.target);
        table += &measured.get(figure.name).cloned().or_else(there).unwrap_or_else(unmeasured);
        table.push('\n');
    }
    table
}

/// Runs a program; returns its report, and whether it found nothing wrong.
fn measure(root: &Path, program: Program, arguments: &str) -> Result<(Report, bool)> {
    let folder = root.join("target/bench");
    fs::create_dir_all(&folder).context("failed to make a folder for the reports")?;
    let report = match program {
        Program::Load | Program::Figures => folder.join("report.json"),
        Program::Live(own) => folder.join(own).join("report.json"),
    };
    let _ = fs::remove_file(&report);
    let line: Vec<&str> = std::iter::once(program.name()).chain(arguments.split(' ')).collect();
    let mut command = process::built(root, &line);
    match program {
        Program::Load => command.arg("--spawn").arg("--json").arg(&report),
        Program::Figures => command.arg("--json").arg(&report),
        Program::Live(own) => command.arg("--dir").arg(folder.join(own)),
    };
    let status = command.status()?;
    let text = fs::read_to_string(&report).context("the run ended without a report")?;
    Ok((Report(serde_json::from_str(&text)?), status.success()))
}

/// Names the machine that the figures are of.
fn machine(placement: &str) -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Machine: {}, {cores} cores, Linux {}; {placement}.", model.unwrap_or("unknown processor"), kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_has_not_reached_anything() {
        for figure in ALONE.figures.iter().chain(CLUSTER.figures) {
            let verdict = figure.verdict(&Report(serde_json::json!({})));
            assert_eq!(verdict.is_empty(), figure.target == "reported", "{}", figure.name);
            assert!(figure.within.is_none() || verdict == MISSED, "{}", figure.name);
        }
    }

    #[test]
    fn a_figure_is_compared_with_what_is_asked_for() {
        let verdict = |begin: &str, run: serde_json::Value| {
            let mut figures = ALONE.figures.iter().chain(CLUSTER.figures);
            let figure = figures.find(|figure| figure.arguments.starts_with(begin)).unwrap();
            figure.verdict(&Report(run))
        };
        assert_eq!(verdict("idle", serde_json::json!({"rss_kib_per_connection": 5.0})), REACHED);
        assert_eq!(verdict("idle", serde_json::json!({"rss_kib_per_connection": 5.01})), MISSED);
        assert_eq!(verdict("failover", serde_json::json!({"ms": {"p99": 4000}, "missing": 0})), REACHED);
        assert_eq!(verdict("failover", serde_json::json!({"ms": {"p99": 10}, "missing": 1})), MISSED);
        let broken =
            |anomalies: &[&str]| serde_json::json!({"anomalies": anomalies, "owners_fenced": 10, "unknown": 10});
        assert_eq!(verdict("--faults", broken(&[])), REACHED);
        assert_eq!(verdict("--faults", broken(&["one"])), MISSED);
    }

    #[test]
    fn a_row_stays_until_its_figure_is_measured_again() {
        let figures = &CLUSTER.figures[..3];
        let [first, second, third] = [0, 1, 2].map(|at| figures[at].row_begin());
        let before = format!("Machine: old\n\n| load |\n|---|\n{first}`a` | old |\n{second}`b` | old |\n");
        let measured = BTreeMap::from([(figures[1].name, format!("{second}`b` | new |"))]);
        let rows = table(figures, &measured, &before);
        let rows: Vec<&str> = rows.lines().skip(2).collect();
        assert_eq!(rows[..2], [format!("{first}`a` | old |"), format!("{second}`b` | new |")]);
        assert!(rows[2].starts_with(&third) && rows[2].contains("not measured yet"), "{}", rows[2]);
    }

    #[test]
    fn kinds_are_told_in_words() {
        let report = Report(serde_json::json!({"said": {"batch": 3, "submit_reply": 1}}));
        assert_eq!(report.by_kind("said"), "3 batch, 1 submit reply");
        assert_eq!(report.by_kind("other"), "none");
    }
}
