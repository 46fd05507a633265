//! What a run found: as JSON for machines and as Markdown for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use rollcall_load::latency::Quantiles;
use serde::Serialize;

use crate::redis_servers::RedisKind;

/// What a run found. Times in milliseconds unless they say otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Of the faults and of what clients wrote.
    pub seed: u64,
    /// rollcall processes.
    pub nodes: usize,
    /// Cassandra servers.
    pub cassandra_nodes: usize,
    /// What nodes met in.
    pub redis: RedisKind,
    /// Rooms.
    pub rooms: u64,
    /// Clients; each was in every room.
    pub clients: usize,
    /// From the first fault to the last answer, in seconds.
    pub seconds: f64,
    /// Faults, by kind.
    pub faults: BTreeMap<&'static str, Suffering>,
    /// Appends that were held back on their way until others had taken over.
    pub appends_held: usize,
    /// Writes, each counted once.
    pub sent: u64,
    /// Of these, acknowledged.
    pub acked: u64,
    /// Refused for good.
    pub refused: u64,
    /// Writes whose first answer was lost, and that were resolved by asking again.
    pub unknown: u64,
    /// Of these, writes that had been stored, and got the number of their first copy.
    pub unknown_stored: u64,
    /// Of these, writes that had not been stored, and were then.
    pub unknown_absent: u64,
    /// Answers of nodes that said that the outcome is unknown; at least so many.
    pub unknown_answers: u64,
    /// Appends of which a node did not know for a while what became of them, and that the log proved to have applied, as nodes counted
    /// them; at least so many. One append holds many writes, of which none needs to have been unknown to its client.
    pub appends_settled_applied: u64,
    /// The same, that the log proved not to have applied.
    pub appends_settled_not_applied: u64,
    /// Owners that were fenced, as they counted it; at least so many.
    pub owners_fenced: u64,
    /// Owners that wrote something that is stored, all rooms together.
    pub owners: u64,
    /// Entries that were delivered.
    pub deliveries: u64,
    /// Entries stored at the end.
    pub stored: u64,
    /// From when a write was made to its ack.
    pub ack_ms: Option<Quantiles>,
    /// The longest that a room was silent around each fault that took an owner away unasked.
    pub fail_over_ms: Option<Quantiles>,
    /// What happened, in its order.
    pub steps: Vec<StepReport>,
    /// What the checker found, and broken promises that no history tells.
    pub anomalies: Vec<String>,
    /// What the run should have shown and did not.
    pub proves_nothing: Vec<String>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

/// What the faults of one kind did.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Suffering {
    /// How many there were.
    pub count: u64,
    /// Owners that were fenced around them; at least so many.
    pub owners_fenced: u64,
    /// The longest that any room was silent around one.
    pub silence_ms_max: f64,
}

/// One step of the run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct StepReport {
    /// When it began, in µs of the history's clock.
    pub began_us: u64,
    /// When all of it was healed.
    pub healed_us: u64,
    /// The faults.
    pub faults: Vec<String>,
    /// The longest that any room was silent around it.
    pub silence_ms: f64,
    /// How long after it was healed every room had answered.
    pub recovered_ms: f64,
}

impl Report {
    /// Writes `report.json` and `report.md` into a folder.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        for (name, text) in [("report.json", self.json()?), ("report.md", self.markdown())] {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
        }
        Ok(())
    }

    /// Returns the report as JSON, in one object.
    ///
    /// # Errors
    /// Never: everything in it can be told in JSON.
    pub fn json(&self) -> anyhow::Result<String> {
        serde_json::to_string_pretty(self).context("failed to write the report as JSON")
    }

    /// Returns the report as Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.tell(&mut text);
        text
    }

    fn tell(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "# Live chaos, seed {}\n", self.seed)?;
        writeln!(
            out,
            "{} nodes, {}, {} Cassandra, {} rooms, {} clients in each, {:.0} s\n",
            self.nodes, self.redis, self.cassandra_nodes, self.rooms, self.clients, self.seconds
        )?;
        writeln!(out, "| fault | times | owners fenced | longest silence of a room |\n|---|---|---|---|")?;
        for (kind, suffering) in &self.faults {
            let Suffering { count, owners_fenced, silence_ms_max } = suffering;
            writeln!(out, "| {kind} | {count} | {owners_fenced} | {silence_ms_max:.0} ms |")?;
        }
        writeln!(out, "\n| | |\n|---|---|")?;
        let rows: [(&str, String); 11] = [
            ("faults", self.faults.values().map(|suffering| suffering.count).sum::<u64>().to_string()),
            ("writes acknowledged, of all", format!("{} of {}", self.acked, self.sent)),
            ("refused for good", self.refused.to_string()),
            (
                "unknown outcomes resolved",
                format!(
                    "{}: {} had been stored, {} had not; {} answers said so",
                    self.unknown, self.unknown_stored, self.unknown_absent, self.unknown_answers
                ),
            ),
            (
                "appends unknown to their node, and settled",
                format!("{} applied, {} not applied", self.appends_settled_applied, self.appends_settled_not_applied),
            ),
            ("owners fenced", self.owners_fenced.to_string()),
            ("owners that stored something", self.owners.to_string()),
            ("appends held back until others had taken over", self.appends_held.to_string()),
            ("fail-over", quantiles(self.fail_over_ms)),
            ("ack", quantiles(self.ack_ms)),
            ("entries stored, delivered", format!("{}, {}", self.stored, self.deliveries)),
        ];
        for (name, value) in rows {
            writeln!(out, "| {name} | {value} |")?;
        }
        writeln!(out, "| anomalies | {} |", self.anomalies.len())?;
        for (title, lines) in
            [("Anomalies", &self.anomalies), ("Proves nothing", &self.proves_nothing), ("Notes", &self.notes)]
        {
            if !lines.is_empty() {
                writeln!(out, "\n## {title}\n")?;
                lines.iter().try_for_each(|line| writeln!(out, "- {}", line.trim_end().replace('\n', "\n  ")))?;
            }
        }
        writeln!(out, "\n## What happened\n\n| at | faults | silence | recovered after |\n|---|---|---|---|")?;
        for step in &self.steps {
            writeln!(
                out,
                "| {:.1} s | {} | {:.0} ms | {:.0} ms |",
                seconds(step.began_us),
                step.faults.join("; "),
                step.silence_ms,
                step.recovered_ms
            )?;
        }
        Ok(())
    }
}

/// Returns µs as seconds.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

/// Returns µs as milliseconds.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub fn millis(us: u64) -> f64 {
    us as f64 / 1e3
}

fn quantiles(quantiles: Option<Quantiles>) -> String {
    quantiles.map_or_else(
        || "not seen".to_owned(),
        |q| format!("p50 {:.0} ms, p99 {:.0} ms, longest {:.0} ms", q.p50, q.p99, q.max),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            seed: 7,
            nodes: 3,
            redis: RedisKind::Cluster,
            faults: BTreeMap::from([("kill", Suffering { count: 2, owners_fenced: 4, silence_ms_max: 3_141.6 })]),
            unknown: 5,
            unknown_stored: 3,
            unknown_absent: 2,
            appends_settled_applied: 8,
            appends_settled_not_applied: 9,
            steps: vec![StepReport {
                began_us: 1_500_000,
                faults: vec!["n1 killed".to_owned(), "Redis flushed".to_owned()],
                ..StepReport::default()
            }],
            anomalies: vec!["acked_is_stored: lost\nthe write".to_owned()],
            ..Report::default()
        }
    }

    #[test]
    fn people_read_what_happened_and_what_is_wrong() {
        let text = report().markdown();
        for line in [
            "| kill | 2 | 4 | 3142 ms |",
            "| unknown outcomes resolved | 5: 3 had been stored, 2 had not; 0 answers said so |",
            "| appends unknown to their node, and settled | 8 applied, 9 not applied |",
            "- acked_is_stored: lost\n  the write",
            "3 nodes, a Redis Cluster, 0 Cassandra",
            "| 1.5 s | n1 killed; Redis flushed | 0 ms | 0 ms |",
            "| fail-over | not seen |",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("## Proves nothing"));
    }

    #[test]
    fn machines_read_the_same() {
        let folder = tempfile::tempdir().unwrap();
        report().write(folder.path()).unwrap();
        let text = fs::read_to_string(folder.path().join("report.json")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["faults"]["kill"]["count"], 2);
        assert_eq!(json["redis"], "cluster");
        assert_eq!((&json["appends_settled_applied"], &json["appends_settled_not_applied"]), (&8.into(), &9.into()));
        assert_eq!(json["anomalies"].as_array().unwrap().len(), 1);
        assert!(folder.path().join("report.md").is_file());
    }
}
