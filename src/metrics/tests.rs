//! What is counted, under which names, and that the docs name the same.

use std::collections::BTreeSet;
use std::fs;

use super::*;

/// The page that tells operators what there is.
const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");

fn text_of_a_server_to_which_everything_happened() -> String {
    let figures = Figures {
        rooms: 1,
        rooms_damaged: 3,
        committed: [0, 1, 0, 0, 0, 0],
        expired: 9,
        log_syncs: 1,
        log_entries: 3,
        log_failures: 0,
        log_reopens: 4,
        log_appends: 2,
        log_refused_appends: 5,
        log_settled_appends: [10, 11],
        log_activations: 6,
        log_redacted_entries: 7,
        log_written_bytes: 8,
        log_sync_s: 0.001,
        log_syncs_by_s: vec![(0.000_5, 0), (0.002, 1), (f64::INFINITY, 0)],
        cluster: Some(ClusterFigures { peers: 2, ..ClusterFigures::default() }),
    };
    let metrics = Metrics::new(move || figures.clone());
    metrics.connection_opened(Format::Json);
    metrics.connection_opened(Format::MsgPack);
    metrics.connection_closed(Format::MsgPack, Some(CloseCode::SlowReader));
    metrics.connection_opened(Format::Json);
    metrics.connection_closed(Format::Json, None);
    metrics.subscribed();
    metrics.subscribed();
    metrics.unsubscribed(1);
    metrics.sent(2, 300, 5);
    metrics.received(7);
    metrics.acked(Duration::from_micros(60));
    metrics.refused(ErrorCode::RateLimited);
    metrics.refused(ErrorCode::Conflict);
    metrics.auth_failed(AuthError::Expired);
    metrics.caught_up_a_page();
    metrics.text()
}

#[test]
fn what_happened_is_counted() {
    let text = text_of_a_server_to_which_everything_happened();
    for expected in [
        concat!("rollcall_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        "rollcall_connections{format=\"json\"} 1",
        "rollcall_connections{format=\"msgpack\"} 0",
        "rollcall_connections_opened_total 3",
        "rollcall_connections_closed_total{code=\"4001\"} 1",
        "rollcall_connections_closed_total{code=\"none\"} 1",
        "rollcall_rooms 1",
        "rollcall_rooms_damaged 3",
        "rollcall_subscriptions 1",
        "rollcall_entries_committed_total{kind=\"edit\"} 1",
        "rollcall_entries_committed_total{kind=\"message\"} 0",
        "rollcall_entries_delivered_total 5",
        "rollcall_entries_expired_total 9",
        "rollcall_frames_sent_total 2",
        "rollcall_bytes_sent_total 300",
        "rollcall_bytes_received_total 7",
        "rollcall_ack_duration_seconds_count 1",
        "rollcall_ack_duration_seconds_bucket{le=\"0.0001\"} 1",
        "rollcall_log_sync_duration_seconds_count 1",
        "rollcall_log_syncs_total 1",
        "rollcall_log_sync_duration_seconds_bucket{le=\"0.002\"} 1",
        "rollcall_log_entries_total 3",
        "rollcall_log_reopens_total 4",
        "rollcall_cluster_peers 2",
        "rollcall_cluster_drained 0",
        "rollcall_cluster_sent_total{kind=\"batch\"} 0",
        "rollcall_cluster_envelopes_sent_total{kind=\"beacon\"} 0",
        "rollcall_redis_commands_total{kind=\"renewal\"} 0",
        "rollcall_log_appends_total 2",
        "rollcall_log_refused_appends_total 5",
        "rollcall_log_settled_appends_total{outcome=\"applied\"} 10",
        "rollcall_log_settled_appends_total{outcome=\"not_applied\"} 11",
        "rollcall_log_activations_total 6",
        "rollcall_log_redacted_entries_total 7",
        "rollcall_log_written_bytes_total 8",
        "rollcall_refusals_total{code=\"rate_limited\"} 1",
        "rollcall_refusals_total{code=\"conflict\"} 1",
        "rollcall_rate_limited_total 1",
        "rollcall_auth_failures_total{reason=\"expired\"} 1",
        "rollcall_catch_up_pages_total 1",
    ] {
        assert!(text.lines().any(|line| line == expected), "{expected} is not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn two_servers_in_one_process_count_apart() {
    let (one, other) = (Metrics::new(Figures::default), Metrics::new(Figures::default));
    one.subscribed();
    let line = |count| format!("\nrollcall_subscriptions {count}\n");
    assert!(one.text().contains(&line(1)) && other.text().contains(&line(0)));
}

#[test]
fn every_histogram_ends_in_infinity_with_its_count() {
    let text = text_of_a_server_to_which_everything_happened();
    let value = |line: &str| text.lines().find_map(|found| found.strip_prefix(line)?.parse::<u64>().ok());
    let histograms: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" histogram")).collect();
    assert_eq!(histograms.len(), 2, "{histograms:?}");
    for name in histograms {
        let infinity = value(&format!("{name}_bucket{{le=\"+Inf\"}} "));
        assert_eq!((infinity, value(&format!("{name}_count "))), (Some(1), Some(1)), "{name} in\n{text}");
    }
}

/// A row of the table in the docs, as it follows from what is scraped: name, type, unit, labels, meaning.
type Row = [String; 5];

fn scraped(text: &str) -> BTreeSet<Row> {
    let about = |what: &str, name: &str| -> Option<String> {
        text.lines().find_map(|line| Some(line.strip_prefix(&format!("# {what} {name} "))?.to_owned()))
    };
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let row = |(family, kind): (&str, &str)| {
        let name = match kind {
            "counter" => format!("{family}_total"),
            "info" => format!("{family}_info"),
            _ => family.to_owned(),
        };
        let samples = text.lines().filter_map(|line| line.strip_prefix(&name)?.strip_prefix('{')?.split_once('='));
        let labels: BTreeSet<String> = samples.map(|(label, _)| format!("`{label}`")).collect();
        let unit = about("UNIT", family).unwrap_or_default();
        let meaning = about("HELP", family).unwrap();
        let labels = labels.into_iter().collect::<Vec<_>>().join(", ");
        [format!("`{name}`"), kind.to_owned(), unit, labels, meaning]
    };
    types.map(row).collect()
}

#[test]
fn the_docs_have_every_metric_with_type_unit_labels_and_meaning_and_no_other() {
    let docs = fs::read_to_string(DOCS).unwrap();
    let cells = |line: &str| -> Option<Row> {
        let cells = line.strip_prefix("| `")?.strip_suffix(" |")?;
        let cells: Vec<String> = format!("`{cells}").split(" | ").map(|cell| cell.trim().to_owned()).collect();
        Some(cells.try_into().unwrap_or_else(|cells| panic!("not five cells: {cells:?}")))
    };
    let documented: BTreeSet<Row> = docs.lines().filter_map(cells).collect();
    let scraped = scraped(&text_of_a_server_to_which_everything_happened());
    let rows = |rows: &mut dyn Iterator<Item = &Row>| {
        rows.map(|row| format!("| {} |", row.join(" | "))).collect::<Vec<_>>().join("\n")
    };
    let undocumented = rows(&mut scraped.difference(&documented));
    let gone = rows(&mut documented.difference(&scraped));
    assert!(undocumented.is_empty() && gone.is_empty(), "not in {DOCS}:\n{undocumented}\nonly there:\n{gone}");
}
