//! The figures of servers that are a cluster, with a Redis and a Cassandra of its own.

use super::{Figure, Program, Report};

/// What a cluster is measured by.
pub const FIGURES: &[Figure] = &[
    Figure {
        program: Program::Load,
        name: "2 nodes, 1 Cassandra: 100 rooms, 64 unanswered in each",
        arguments: "sends --nodes 2 --rooms 100 --seconds 20 --in-flight 64",
        target: "≥ 5,000 durable sends/s",
        within: Some(|run| run.number("sends_per_s") >= 5_000.0),
        reached: |run| {
            let per_append = run.number("acked") / run.number("log_appends");
            format!("{:.0} sends/s, {per_append:.1} entries an append", run.number("sends_per_s"))
        },
    },
    Figure {
        program: Program::Load,
        name: "2 nodes, 1 Cassandra: 16 rooms, 1,000 sends/s, open loop",
        arguments: "sends --nodes 2 --rooms 16 --seconds 20 --rate 1000",
        target: "ack p99 < 100 ms",
        within: Some(|run| run.number("ack_ms.p99") < 100.0),
        reached: |run| format!("p50 {:.0} ms, p99 {:.0} ms", run.number("ack_ms.p50"), run.number("ack_ms.p99")),
    },
    Figure {
        program: Program::Load,
        name: "2 nodes, members on both: 100 rooms × 10, 500 sends/s",
        arguments: "fanout --nodes 2 --rooms 100 --members 10 --rate 500 --seconds 20",
        target: "≤ 18 µs of both nodes' CPU a delivery",
        within: Some(|run| costs_at_most(run, 18.0)),
        reached: cost,
    },
    Figure {
        program: Program::Load,
        name: "2 nodes, members on both: 10 rooms × 100, 200 sends/s",
        arguments: "fanout --nodes 2 --rooms 10 --members 100 --rate 200 --seconds 20",
        target: "≤ 6 µs of both nodes' CPU a delivery",
        within: Some(|run| costs_at_most(run, 6.0)),
        reached: cost,
    },
    Figure {
        program: Program::Load,
        name: "2 nodes, 100 rooms × 10, 500 sends/s: Redis commands that publish a committed batch",
        arguments: "fanout --nodes 2 --rooms 100 --members 10 --rate 500 --seconds 10",
        target: "exactly one PUBLISH for each batch and watching node, replies to that node riding in it; \
                 the rest counted apart",
        within: Some(publishes_each_batch_once),
        reached: between_nodes,
    },
    Figure {
        program: Program::Figures,
        name: "100 active rooms, 1 Cassandra: from kill -9 of their owner to each room's next ack",
        arguments: "failover --rooms 100 --rounds 3 --every-ms 100",
        target: "p99 ≤ 4 s",
        within: Some(|run| ninety_nine_in(run, 4_000.0)),
        reached: quantiles,
    },
    Figure {
        program: Program::Figures,
        name: "the same, 3 Cassandras",
        arguments: "failover --rooms 100 --rounds 2 --every-ms 100 --cassandra-nodes 3",
        target: "reported",
        within: None,
        reached: quantiles,
    },
    Figure {
        program: Program::Figures,
        name: "planned drain of 100 rooms: from the old owner's last ack to the new one's first, each",
        arguments: "handover --rooms 100 --rounds 3 --every-ms 100",
        target: "p99 ≤ 200 ms",
        within: Some(|run| ninety_nine_in(run, 200.0)),
        reached: quantiles,
    },
    Figure {
        program: Program::Figures,
        name: "one envelope lost, and more follow: from the ack of the first entry in it to its members on the other node",
        arguments: "gaps --rooms 20 --rounds 20",
        target: "p99 ≤ 2 s",
        within: Some(|run| ninety_nine_in(run, 2_000.0)),
        reached: quantiles,
    },
    Figure {
        program: Program::Figures,
        name: "the same, and nothing follows in its room",
        arguments: "tails --rooms 20 --rounds 20",
        target: "p99 ≤ 2 s",
        within: Some(|run| ninety_nine_in(run, 2_000.0)),
        reached: quantiles,
    },
    Figure {
        program: Program::Figures,
        name: "a node hears nothing of Redis for up to 2 s: the first entry of each room that it misses",
        arguments: "cuts --rooms 20 --rounds 20",
        target: "p99 ≤ 2 s",
        within: Some(|run| ninety_nine_in(run, 2_000.0)),
        reached: quantiles,
    },
    Figure {
        program: Program::Live("live-1"),
        name: "200 faults, 1 Cassandra",
        arguments: "--faults 200 --cassandra-nodes 1 --seed 201 --at-least 10",
        target: "0 anomalies, ≥ 10 owners fenced, ≥ 10 unknown outcomes resolved",
        within: Some(|run| {
            run.count("anomalies") == 0.0 && run.number("owners_fenced") >= 10.0 && run.number("unknown") >= 10.0
        }),
        reached: broken,
    },
    Figure {
        program: Program::Live("live-3"),
        name: "200 faults, 3 Cassandras",
        arguments: "--faults 200 --cassandra-nodes 3 --seed 203 --at-least 10",
        target: "0 anomalies, ≥ 10 owners fenced, ≥ 10 unknown outcomes resolved",
        within: Some(|run| {
            run.count("anomalies") == 0.0 && run.number("owners_fenced") >= 10.0 && run.number("unknown") >= 10.0
        }),
        reached: broken,
    },
];

fn cost(run: &Report) -> String {
    format!("{:.1} µs; delivery p99 {:.0} ms", run.number("server_cpu_us_per_delivery"), run.number("delivery_ms.p99"))
}

fn between_nodes(run: &Report) -> String {
    format!(
        "{:.0} appends; {:.0} batches for another node; {:.0} PUBLISH, by what they were for: {}; in those of batches \
         went besides: {}; {:.0} of the watches were renewals; other commands: {}",
        run.number("log_appends"),
        run.number("said.batch"),
        run.number("redis_published"),
        run.by_kind("published_for"),
        run.by_kind("sent_with_batches"),
        run.number("watches_renewed"),
        run.by_kind("redis_commands"),
    )
}

/// A delivery costs no more than so many µs of both nodes' CPU.
fn costs_at_most(run: &Report, us: f64) -> bool {
    run.number("server_cpu_us_per_delivery") <= us
}

/// Each batch that the log took cost one PUBLISH, for the other node, which shows every room. The numbers may differ by
/// what was counted while they were read.
fn publishes_each_batch_once(run: &Report) -> bool {
    let [published, said, appended] = ["published_for.batch", "said.batch", "log_appends"].map(|name| run.number(name));
    (published - said).abs() <= 2.0 && (said - appended).abs() <= 2.0
}

/// Of a hundred samples no more than one took longer than so many ms, and none is missing.
fn ninety_nine_in(run: &Report, ms: f64) -> bool {
    run.number("ms.p99") <= ms && run.number("missing") == 0.0
}

fn quantiles(run: &Report) -> String {
    let [p50, p99, max] = ["p50", "p99", "max"].map(|name| run.number(&format!("ms.{name}")));
    format!("p50 {p50:.0} ms, p99 {p99:.0} ms, max {max:.0} ms; {:.0} samples", run.number("samples"))
}

fn broken(run: &Report) -> String {
    format!(
        "{:.0} anomalies, {:.0} owners fenced, {:.0} unknown outcomes resolved, {:.0} writes acked; longest silence of a room \
         around an owner's loss p50 {:.1} s, p99 {:.1} s",
        run.count("anomalies"),
        run.number("owners_fenced"),
        run.number("unknown"),
        run.number("acked"),
        run.number("fail_over_ms.p50") / 1_000.0,
        run.number("fail_over_ms.p99") / 1_000.0,
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{MISSED, REACHED};
    use super::{FIGURES, Program, Report};

    /// A run that empties another's folder takes its report away.
    #[test]
    fn each_run_that_breaks_everything_has_a_folder_of_its_own_and_can_be_repeated_and_fail() {
        let runs = || FIGURES.iter().filter(|figure| matches!(figure.program, Program::Live(_)));
        let folders: BTreeSet<&str> = runs()
            .map(|figure| match figure.program {
                Program::Live(folder) => folder,
                other => other.name(),
            })
            .collect();
        assert_eq!((runs().count(), folders.len()), (2, 2));
        for figure in runs() {
            assert!(figure.arguments.contains(" --seed ") && figure.arguments.contains(" --at-least 10"));
        }
    }

    #[test]
    fn what_a_delivery_costs_and_how_often_a_batch_is_published_are_judged_apart() {
        let verdicts = |us: f64, published: u32, appended: u32| {
            let run = Report(serde_json::json!({
                "server_cpu_us_per_delivery": us,
                "published_for": {"batch": published},
                "said": {"batch": 100},
                "log_appends": appended,
            }));
            let fan_out = FIGURES.iter().filter(|figure| figure.arguments.starts_with("fanout "));
            fan_out.map(|figure| figure.verdict(&run)).collect::<Vec<_>>()
        };
        assert_eq!(verdicts(18.0, 102, 98), [REACHED, MISSED, REACHED]);
        assert_eq!(verdicts(6.0, 97, 100), [REACHED, REACHED, MISSED]);
        assert_eq!(verdicts(18.1, 100, 103), [MISSED, MISSED, MISSED]);
    }
}
