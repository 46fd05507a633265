//! Measures everything and writes the table into docs/performance.md.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::process;

const PAGE: &str = "docs/performance.md";
const BEGIN: &str = "<!-- measured: cargo xtask bench -->\n";
const END: &str = "<!-- end -->";

/// One figure: what is run, and what of the run's report goes into the table.
struct Figure {
    /// What is loaded, for people.
    name: &'static str,
    /// The arguments of `rollcall-load`; `{half}` is half of the sends a second that the figure before it reached.
    arguments: &'static str,
    /// What is asked for.
    target: &'static str,
    /// What was reached, from the report.
    reached: fn(&Report) -> String,
}

const FIGURES: &[Figure] = &[
    Figure {
        name: "1 room × 1,000 members, as fast as it goes",
        arguments: "fanout --rooms 1 --members 1000 --rate max --seconds 15 --body-bytes 128",
        target: "≤ 2.6 µs server CPU a delivery, ≥ 200,000 deliveries/s, delivery p99 < 250 ms",
        reached: |run| {
            format!(
                "{:.2} µs, {:.0} deliveries/s, p99 {:.0} ms",
                run.number("server_cpu_us_per_delivery"),
                run.number("deliveries_per_s"),
                run.number("delivery_ms.p99"),
            )
        },
    },
    Figure {
        name: "100 rooms × 10 members, 2,000 sends/s",
        arguments: "fanout --rooms 100 --members 10 --rate 2000 --seconds 15 --body-bytes 128",
        target: "≤ 7 µs server CPU a delivery",
        reached: |run| {
            format!(
                "{:.1} µs; {:.1} entries a sync",
                run.number("server_cpu_us_per_delivery"),
                run.number("entries_per_sync"),
            )
        },
    },
    Figure {
        name: "10,000 idle connections",
        arguments: "idle --connections 10000 --seconds 10",
        target: "≤ 5 KiB RSS each",
        reached: |run| format!("{:.2} KiB", run.number("rss_kib_per_connection")),
    },
    Figure {
        name: "100 rooms, 64 unanswered in each",
        arguments: "sends --rooms 100 --seconds 15 --in-flight 64",
        target: "≥ 50,000 durable sends/s",
        reached: |run| {
            format!(
                "{:.0} sends/s, {:.1} µs server CPU a send, {:.0} entries a sync",
                run.number("sends_per_s"),
                run.number("server_cpu_us_per_send"),
                run.number("entries_per_sync"),
            )
        },
    },
    Figure {
        name: "the same, open loop at half that rate",
        arguments: "sends --rooms 100 --seconds 15 --rate {half}",
        target: "ack p50 < 2 ms and p99 < 10 ms above the disk's own sync",
        reached: |run| {
            let [p50, p99] = ["p50", "p99"].map(|name| run.number(&format!("ack_ms.{name}")));
            let [disk50, disk99] = ["p50", "p99"].map(|name| run.number(&format!("fsync_ms.{name}")));
            format!("ack p50 {p50:.1} ms, p99 {p99:.1} ms; the disk's own sync p50 {disk50:.1} ms, p99 {disk99:.1} ms")
        },
    },
    Figure {
        name: "catch-up of 10,000 entries, 20 connections",
        arguments: "catchup --entries 10000 --connections 20",
        target: "≥ 500,000 entries/s",
        reached: |run| format!("{:.0} entries/s", run.number("entries_per_s")),
    },
    Figure {
        name: "catch-up of 10,000 entries, 1 connection",
        arguments: "catchup --entries 10000 --connections 1",
        target: "reported",
        reached: |run| format!("{:.0} entries/s", run.number("entries_per_s")),
    },
    Figure {
        name: "100,000 rooms of 50 entries activated and passivated",
        arguments: "activate --rooms 100000",
        target: "≥ 5,000 activations/s; ≤ 20 MiB above the memory after 1,000",
        reached: |run| {
            let more_mib = (run.number("rss_kib_after_all") - run.number("rss_kib_after_1000")) / 1024.0;
            format!("{:.0} activations/s; {more_mib:.1} MiB", run.number("activations_per_s"))
        },
    },
    Figure {
        name: "killed with -9 under load, 50 times",
        arguments: "torture --kills 50",
        target: "0 anomalies, at least one unknown outcome resolved",
        reached: |run| {
            format!(
                "{:.0} anomalies, {:.0} unknown outcomes resolved, {:.0} kills",
                run.number("anomalies"),
                run.number("unknown"),
                run.number("kills"),
            )
        },
    },
];

/// What a run reported.
struct Report(Value);

impl Report {
    /// Returns a figure by its key, such as `ack_ms.p99`; not a number where the run did not measure it.
    fn number(&self, key: &str) -> f64 {
        let found = key.split('.').try_fold(&self.0, |value, name| value.get(name));
        found.and_then(Value::as_f64).unwrap_or(f64::NAN)
    }
}

/// Runs all figures, or those whose arguments begin with one of `only`, and writes the table if all were run.
///
/// # Errors
/// Where something could not be built, run or written. An anomaly is an exit code.
pub fn run(root: &Path, only: &[String]) -> Result<ExitCode> {
    let built =
        process::cargo(root, &["build", "--release", "--package=rollcall", "--package=rollcall-load"]).status()?;
    ensure!(built.success(), "the release build failed");
    let mut table = String::from("| load | asked for | reached |\n|---|---|---|\n");
    let (mut clean, mut sends_per_s) = (true, 0.0);
    for figure in FIGURES {
        if !only.is_empty() && !only.iter().any(|name| figure.arguments.starts_with(name.as_str())) {
            continue;
        }
        let arguments = figure.arguments.replace("{half}", &format!("{:.0}", sends_per_s / 2.0));
        println!("\n{}: rollcall-load {arguments} --spawn", figure.name);
        let (report, passed) = measure(root, &arguments)?;
        clean &= passed;
        if report.number("sends_per_s").is_finite() {
            sends_per_s = report.number("sends_per_s");
        }
        writeln!(table, "| {}<br>`{arguments}` | {} | {} |", figure.name, figure.target, (figure.reached)(&report))?;
    }
    println!("\n{table}");
    if only.is_empty() {
        let page = root.join(PAGE);
        let text = fs::read_to_string(&page).with_context(|| format!("failed to read {PAGE}"))?;
        let (head, rest) = text.split_once(BEGIN).context("the page has lost its mark for the table")?;
        let (_, tail) = rest.split_once(END).context("the page has lost its mark for the table's end")?;
        fs::write(&page, format!("{head}{BEGIN}{}\n\n{table}{END}{tail}", machine()))?;
        println!("written to {PAGE}");
    }
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the load harness; returns its report, and whether it found nothing wrong.
fn measure(root: &Path, arguments: &str) -> Result<(Report, bool)> {
    let json = root.join("target/bench.json");
    let _ = fs::remove_file(&json);
    let line: Vec<&str> = std::iter::once("rollcall-load").chain(arguments.split(' ')).collect();
    let status = process::built(root, &line).arg("--spawn").arg("--json").arg(&json).status()?;
    let text = fs::read_to_string(&json).context("the run ended without a report")?;
    Ok((Report(serde_json::from_str(&text)?), status.success()))
}

/// Names the machine that the figures are of.
fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "Machine: {}, {cores} cores, Linux {}; server on one core, clients on another, JSON frames.",
        model.unwrap_or("unknown processor"),
        kernel.trim(),
    )
}
