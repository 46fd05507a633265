//! The figures of one server with its embedded log.

use super::{Figure, Program, Report};

/// What one server by itself is measured by.
pub const FIGURES: &[Figure] = &[
    Figure {
        program: Program::Load,
        name: "1 room × 1,000 members, as fast as it goes",
        arguments: "fanout --rooms 1 --members 1000 --rate max --seconds 15 --body-bytes 128",
        target: "≤ 2.6 µs server CPU a delivery, ≥ 200,000 deliveries/s, delivery p99 < 250 ms",
        within: Some(|run| {
            run.number("server_cpu_us_per_delivery") <= 2.6
                && run.number("deliveries_per_s") >= 200_000.0
                && run.number("delivery_ms.p99") < 250.0
        }),
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
        program: Program::Load,
        name: "100 rooms × 10 members, 2,000 sends/s",
        arguments: "fanout --rooms 100 --members 10 --rate 2000 --seconds 15 --body-bytes 128",
        target: "≤ 7 µs server CPU a delivery",
        within: Some(|run| run.number("server_cpu_us_per_delivery") <= 7.0),
        reached: |run| {
            format!(
                "{:.1} µs; {:.1} entries a sync",
                run.number("server_cpu_us_per_delivery"),
                run.number("entries_per_sync"),
            )
        },
    },
    Figure {
        program: Program::Load,
        name: "10,000 idle connections",
        arguments: "idle --connections 10000 --seconds 10",
        target: "≤ 5 KiB RSS each",
        within: Some(|run| run.number("rss_kib_per_connection") <= 5.0),
        reached: |run| format!("{:.2} KiB", run.number("rss_kib_per_connection")),
    },
    Figure {
        program: Program::Load,
        name: "100 rooms, 64 unanswered in each",
        arguments: "sends --rooms 100 --seconds 15 --in-flight 64",
        target: "≥ 50,000 durable sends/s",
        within: Some(|run| run.number("sends_per_s") >= 50_000.0),
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
        program: Program::Load,
        name: "the same, open loop at half that rate",
        arguments: "sends --rooms 100 --seconds 15 --rate {half}",
        target: "ack p50 < 2 ms and p99 < 10 ms above the disk's own sync",
        within: Some(|run| {
            let above = |name: &str| run.number(&format!("ack_ms.{name}")) - run.number(&format!("fsync_ms.{name}"));
            above("p50") < 2.0 && above("p99") < 10.0
        }),
        reached: |run| {
            let [p50, p99] = ["p50", "p99"].map(|name| run.number(&format!("ack_ms.{name}")));
            let [disk50, disk99] = ["p50", "p99"].map(|name| run.number(&format!("fsync_ms.{name}")));
            format!("ack p50 {p50:.1} ms, p99 {p99:.1} ms; the disk's own sync p50 {disk50:.1} ms, p99 {disk99:.1} ms")
        },
    },
    Figure {
        program: Program::Load,
        name: "catch-up of 10,000 entries, 20 connections",
        arguments: "catchup --entries 10000 --connections 20",
        target: "≥ 500,000 entries/s",
        within: Some(|run| run.number("entries_per_s") >= 500_000.0),
        reached: |run| format!("{:.0} entries/s", run.number("entries_per_s")),
    },
    Figure {
        program: Program::Load,
        name: "catch-up of 10,000 entries, 1 connection",
        arguments: "catchup --entries 10000 --connections 1",
        target: "reported",
        within: None,
        reached: |run| format!("{:.0} entries/s", run.number("entries_per_s")),
    },
    Figure {
        program: Program::Load,
        name: "100,000 rooms of 50 entries activated and passivated",
        arguments: "activate --rooms 100000",
        target: "≥ 5,000 activations/s; ≤ 20 MiB above the memory after 1,000",
        within: Some(|run| run.number("activations_per_s") >= 5_000.0 && more_mib(run) <= 20.0),
        reached: |run| format!("{:.0} activations/s; {:.1} MiB", run.number("activations_per_s"), more_mib(run)),
    },
    Figure {
        program: Program::Load,
        name: "killed with -9 under load, 50 times",
        arguments: "torture --kills 50",
        target: "0 anomalies, at least one unknown outcome resolved",
        within: Some(|run| run.number("anomalies") == 0.0 && run.number("unknown") >= 1.0),
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

/// Returns the memory that 100,000 rooms have left behind, beyond that of 1,000.
fn more_mib(run: &Report) -> f64 {
    (run.number("rss_kib_after_all") - run.number("rss_kib_after_1000")) / 1024.0
}
