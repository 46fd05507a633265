//! What a run found: one structure, told as a table to people and as JSON to machines.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use serde_json::Value;

use crate::latency::Quantiles;

/// The figures of a run. What a subcommand does not measure is left out of the JSON and of the table. The text on each
/// field is what `rollcall-load --help` says of the key.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    pub command: String,
    pub format: Option<&'static str>,
    pub load: Option<String>,
    pub file_system: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<String>,
    pub seed: Option<u64>,
    pub nodes: Option<usize>,
    pub cassandra_nodes: Option<usize>,
    pub rooms: Option<u64>,
    pub connections: Option<u64>,
    pub seconds: Option<f64>,

    pub sent: Option<u64>,
    pub acked: Option<u64>,
    pub unknown: Option<u64>,
    pub unknown_stored: Option<u64>,
    pub refused: Option<u64>,
    pub retried: Option<u64>,
    pub late: Option<u64>,
    pub deliveries: Option<u64>,
    pub entries: Option<u64>,
    pub kills: Option<u64>,
    pub restarts: Option<u64>,
    pub connections_lost: Option<u64>,

    pub sends_per_s: Option<f64>,
    pub deliveries_per_s: Option<f64>,
    pub entries_per_s: Option<f64>,
    pub entries_per_s_first: Option<f64>,
    pub activations_per_s: Option<f64>,

    pub ack_ms: Option<Quantiles>,
    pub delivery_ms: Option<Quantiles>,
    pub activation_ms: Option<Quantiles>,
    pub fsync_ms: Option<Quantiles>,
    pub start_ms: Option<f64>,
    pub stop_ms: Option<f64>,

    pub server_cpu_s: Option<f64>,
    pub client_cpu_s: Option<f64>,
    pub server_cpu_us_per_delivery: Option<f64>,
    pub server_cpu_us_per_send: Option<f64>,
    pub syncs: Option<u64>,
    pub entries_per_sync: Option<f64>,

    pub log_appends: Option<u64>,
    pub redis_published: Option<u64>,
    pub published_for: Option<ByKind>,
    pub sent_with_batches: Option<ByKind>,
    pub said: Option<ByKind>,
    pub watches_renewed: Option<u64>,
    pub redis_commands: Option<ByKind>,

    pub rss_kib_before: Option<u64>,
    pub rss_kib_after: Option<u64>,
    pub rss_kib_per_connection: Option<f64>,
    pub rss_kib_after_1000: Option<u64>,
    pub rss_kib_after_all: Option<u64>,
    pub rss_kib_peak: Option<u64>,

    pub judged_entries: u64,
    pub judged_deliveries: u64,
    pub judged_writes: u64,
    pub anomalies: u64,
    pub notes: Vec<String>,
}

/// Counts by kind; what was not there is left out.
pub type ByKind = std::collections::BTreeMap<String, u64>;

/// Every key with its unit and meaning, in the order of the JSON: what `--help` shows.
pub const KEYS: &[(&str, &str)] = &[
    ("command", "the subcommand"),
    ("format", "json or msgpack"),
    ("load", "open loop with its rate, or closed loop with the writes unanswered at once"),
    ("file_system", "of the data folder: type and device"),
    ("settings", "of the server, beside the harness's own"),
    ("seed", "of all that was drawn at random"),
    ("nodes", "servers that are a cluster; figures of the server are of all of them together"),
    ("cassandra_nodes", "servers that the cluster's log is kept on"),
    ("rooms", "rooms under load"),
    ("connections", "connections at once"),
    ("seconds", "length of the measured window, without the warm-up"),
    (
        "sent",
        "writes that left in the window, each counted once; in idle, catchup, activate, torture: in the whole run",
    ),
    ("acked", "writes acknowledged in the window; in idle, catchup, activate, torture: in the whole run"),
    ("unknown", "writes whose answer was lost or not final, and that a retry resolved"),
    ("unknown_stored", "of these, writes that had been stored, and got the number of their first copy"),
    ("refused", "writes refused for good"),
    ("retried", "writes sent again because the server was busy or could not tell"),
    (
        "late",
        "open loop: writes that left more than 1 ms after they were due (all latencies count from when they were due)",
    ),
    ("deliveries", "entries that reached a connection in the window, each decoded, hashed and judged"),
    ("entries", "entries written before the measurement, or read in it"),
    ("kills", "times that the server was killed with SIGKILL"),
    ("restarts", "torture: times that a client was killed, and started again with what it had kept"),
    ("connections_lost", "connections that ended before the run did"),
    ("sends_per_s", "acked / seconds"),
    ("deliveries_per_s", "deliveries / seconds"),
    ("entries_per_s", "catchup: entries that all connections together took in, a second"),
    ("entries_per_s_first", "catchup: the same of the first round alone"),
    ("activations_per_s", "activate: rooms a second, from the first join to the last answer"),
    ("ack_ms", "from when a write was due (closed loop, torture: sent first) to its ack; {p50, p99, p999, max}, ms"),
    ("delivery_ms", "from when a write was due (closed loop, torture: sent first) to each arrival at a member; ms"),
    ("activation_ms", "from a join to its answer; ms"),
    ("fsync_ms", "the bare disk on the same folder just before: a write of 4 KiB made durable; ms"),
    ("start_ms", "from the start of the server's process on the filled folder until it is ready"),
    ("stop_ms", "from SIGTERM until the server has stopped"),
    ("server_cpu_s", "CPU time of the server's process in the window, s"),
    ("client_cpu_s", "CPU time of the harness in the window, s; near `seconds` it was the harness that was saturated"),
    ("server_cpu_us_per_delivery", "server_cpu_s / deliveries, µs"),
    ("server_cpu_us_per_send", "server_cpu_s / acked, µs"),
    ("syncs", "data syncs that the server's log made in the window"),
    ("entries_per_sync", "entries that the log committed in the window / syncs"),
    ("log_appends", "cluster: batches that the log committed in the window"),
    ("redis_published", "cluster: PUBLISH commands in the window"),
    (
        "published_for",
        "cluster: the same by what each was for: a batch, or else what it says first; less or more by what was under way at the \
         window's ends",
    ),
    (
        "sent_with_batches",
        "cluster: what went to other nodes in the PUBLISH of a batch, by kind: it took none of its own",
    ),
    (
        "said",
        "cluster: all that was said to other nodes, by kind: a batch once for each node, a submit with one or more writes of a device",
    ),
    ("watches_renewed", "cluster: watches among that which renew one"),
    (
        "redis_commands",
        "cluster: other commands on Redis in the window, by what they are about; a renewal is one of a node's lease",
    ),
    ("rss_kib_before", "resident memory of the server before the connections or activations, KiB"),
    ("rss_kib_after", "resident memory of the server with all idle connections, KiB"),
    ("rss_kib_per_connection", "(rss_kib_after - rss_kib_before) / connections, KiB"),
    ("rss_kib_after_1000", "activate: resident memory after 1,000 rooms were activated and passivated, KiB"),
    ("rss_kib_after_all", "activate: resident memory after all rooms were activated and passivated, KiB"),
    ("rss_kib_peak", "the most that was ever resident, KiB"),
    ("judged_entries", "entries of the final log that were judged, the hash chain included"),
    ("judged_deliveries", "deliveries of the whole run, all of them judged"),
    ("judged_writes", "writes of the whole run, all of them judged; an attempt whose answer was lost counts by itself"),
    ("anomalies", "breaches of a rule that the checker found: must be 0"),
    ("notes", "what the run does not prove, and what disturbed it"),
];

impl Report {
    /// Writes the report as JSON, in one object.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write_json(&self, path: &Path) -> anyhow::Result<()> {
        let mut text =
            serde_json::to_string_pretty(&self.as_object()).context("failed to write the figures as JSON")?;
        text.push('\n');
        fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))
    }

    /// Draws the report for people.
    pub fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        table.set_header(["figure", "value"]);
        for (key, value) in self.as_object() {
            match &value {
                Value::Array(notes) => {
                    for note in notes {
                        table.add_row([key.clone(), shown(note)]);
                    }
                }
                // To be typed again, so as it is.
                _ if key == "seed" => drop(table.add_row([key, value.to_string()])),
                value => drop(table.add_row([key, shown(value)])),
            }
        }
        if let Some(values) = table.column_mut(1) {
            values.set_cell_alignment(CellAlignment::Left);
        }
        table
    }

    fn as_object(&self) -> serde_json::Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields.into_iter().filter(|(_, value)| !value.is_null()).collect(),
            _ => serde_json::Map::new(),
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_u64().map_or_else(|| rounded(number.as_f64()), grouped),
        Value::Object(parts) => {
            let parts = parts.iter().map(|(name, value)| format!("{name} {}", shown(value)));
            parts.collect::<Vec<_>>().join("  ")
        }
        other => other.to_string(),
    }
}

/// Three digits behind the point where they matter.
fn rounded(number: Option<f64>) -> String {
    match number {
        Some(number) if number.abs() >= 1_000.0 =>
        {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for the eye alone")]
            grouped(number.round().max(0.0) as u64)
        }
        Some(number) if number.abs() >= 100.0 => format!("{number:.1}"),
        Some(number) => format!("{number:.3}"),
        None => "-".to_owned(),
    }
}

/// Groups digits by three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key that is not explained would be one that nobody can use.
    #[test]
    fn every_key_is_explained_in_its_order() {
        let report = Report { settings: vec![String::new()], ..Report::default() };
        let Value::Object(fields) = serde_json::to_value(report).unwrap() else { panic!("no object") };
        let fields: Vec<&str> = fields.keys().map(String::as_str).collect();
        let explained: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
        assert_eq!(explained, fields);
    }

    #[test]
    fn what_was_not_measured_is_left_out_and_the_rest_is_readable() {
        let report = Report {
            command: "fanout".to_owned(),
            acked: Some(1_234_567),
            sends_per_s: Some(61_728.35),
            ack_ms: Some(Quantiles { p50: 1.25, p99: 10.0, p999: 100.5, max: 2_000.0 }),
            notes: vec!["closed loop".to_owned()],
            ..Report::default()
        };
        let table = report.table().to_string();
        for text in ["1,234,567", "61,728", "p50 1.250  p99 10.000  p999 100.5  max 2,000", "closed loop"] {
            assert!(table.contains(text), "{text} is not in\n{table}");
        }
        assert!(!table.contains("deliveries_per_s"), "{table}");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        report.write_json(&path).unwrap();
        let read: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(read["acked"], 1_234_567);
        assert_eq!(read["ack_ms"]["p999"], 100.5);
        assert_eq!(read.get("deliveries"), None);
    }
}
