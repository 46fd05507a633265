//! The program as people run it: each subcommand for a moment on the release server, by its exit code and its figures.
#![expect(clippy::unwrap_used, reason = "what a test prepares is asserted by unwrapping it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The release server, which lies beside the profile of this test.
fn server() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_rollcall-load"));
    let server = program.ancestors().nth(2).unwrap().join("release/rollcall");
    assert!(server.is_file(), "the release server is missing: run `cargo build --release`, or `cargo xtask test it`");
    server
}

fn load(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rollcall-load")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a subcommand on a server of its own, and returns its figures.
fn figures(command: &str, more: &[&str], keys: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let (json, server) = (folder.path().join("figures.json"), server());
    let common = ["--spawn", "--server", server.to_str().unwrap(), "--json", json.to_str().unwrap()];
    let ended = load(&[&[command], &common[..], more].concat());
    assert_eq!(ended.status.code(), Some(0), "{command}:\n{}{}", text(&ended.stdout), text(&ended.stderr));
    let figures: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    assert_eq!((&figures["command"], &figures["anomalies"]), (&command.into(), &0.into()));
    for key in [&["sent", "acked", "unknown", "refused", "seconds", "fsync_ms"], keys].concat() {
        assert!(figures.get(key).is_some(), "{key} is not in {figures:#}");
    }
    assert!(figures["judged_entries"].as_u64() > Some(0) && figures["acked"].as_u64() > Some(0), "{figures:#}");
    figures
}

#[test]
fn fanout_measures_and_its_record_is_judged_again_clean_and_spoiled() {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("record.jsonl");
    let record = record.to_str().unwrap();
    let options = ["--rooms", "2", "--members", "5", "--rate", "200", "--seconds", "1", "--warm-up-seconds", "0.2"];
    let keys = ["deliveries", "deliveries_per_s", "sends_per_s", "ack_ms", "delivery_ms", "syncs", "entries_per_sync"];
    let figures = figures("fanout", &[&options[..], &["--record", record]].concat(), &keys);
    assert!(figures["server_cpu_us_per_delivery"].as_f64() > Some(0.0), "{figures:#}");

    let ended = load(&["check", record]);
    assert_eq!(ended.status.code(), Some(0), "{}{}", text(&ended.stdout), text(&ended.stderr));
    // One delivery did not come.
    let history = fs::read_to_string(record).unwrap();
    let pushes: Vec<&str> = history.lines().filter(|line| line.contains(r#""event":"push""#)).collect();
    let spoiled = history.replacen(&format!("{}\n", pushes[pushes.len() / 2]), "", 1);
    assert_ne!(spoiled, history);
    fs::write(record, spoiled).unwrap();
    let ended = load(&["check", record]);
    assert_eq!(ended.status.code(), Some(1), "{}{}", text(&ended.stdout), text(&ended.stderr));
    assert!(text(&ended.stdout).contains("push"), "{}", text(&ended.stdout));
    let ended = load(&["check", "/nowhere/record.jsonl"]);
    assert_eq!(ended.status.code(), Some(3));
}

#[test]
fn sends_measures_open_and_closed_loops() {
    let window = ["--rooms", "3", "--seconds", "1", "--warm-up-seconds", "0.2"];
    let keys = ["sends_per_s", "ack_ms", "syncs", "entries_per_sync", "server_cpu_us_per_send"];
    figures("sends", &[&window[..], &["--in-flight", "4", "--format", "msgpack"]].concat(), &keys);
    figures("sends", &[&window[..], &["--rate", "100"]].concat(), &[&keys[..], &["late"]].concat());
}

#[test]
fn idle_measures() {
    let figures =
        figures("idle", &["--connections", "20", "--seconds", "1"], &["rss_kib_per_connection", "deliveries"]);
    assert_eq!((&figures["sent"], &figures["acked"]), (&20.into(), &20.into()));
}

#[test]
fn catchup_measures() {
    let options = ["--entries", "200", "--connections", "4", "--rounds", "2"];
    let figures = figures("catchup", &options, &["entries_per_s", "deliveries_per_s"]);
    assert_eq!((&figures["sent"], &figures["deliveries"]), (&200.into(), &figures["entries"]));
}

#[test]
fn activate_measures() {
    let keys = ["activations_per_s", "rss_kib_after_1000", "rss_kib_after_all"];
    let figures = figures("activate", &["--rooms", "10"], &keys);
    assert_eq!((&figures["sent"], &figures["acked"]), (&500.into(), &500.into()));
}

#[test]
fn torture_measures() {
    let options = ["--kills", "4", "--rooms", "1", "--clients", "2", "--life-ms-max", "500"];
    figures("torture", &options, &["kills", "ack_ms", "delivery_ms", "deliveries"]);
}
