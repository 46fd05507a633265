//! What lies in deploy/, held against the program: its settings, its metrics, how long it takes to stop.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rollcall::config::{Loaded, SECTIONS, SettingRow};
use serde_json::Value;

use super::program::Machine;

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

fn text(path: &str) -> String {
    std::fs::read_to_string(deploy().join(path)).unwrap()
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file in deploy/.
fn all_files(folder: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { all_files(&path) } else { vec![path] }).collect()
}

/// The words of a text that begin with another.
fn words<'a>(text: &'a str, beginning: &str) -> Vec<&'a str> {
    let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let words = text.split(|character| !is_word(character));
    words.filter(|word| word.starts_with(beginning) && word.len() > beginning.len()).collect()
}

/// A text of an environment, as it is written: a number too.
fn of_map(map: &Value) -> BTreeMap<String, String> {
    let entries = map.as_object().unwrap().iter();
    entries
        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_else(|| panic!("{name} is no string")).to_owned()))
        .collect()
}

/// Has the program check an environment, with a file of its own for each that holds a secret.
fn check(what: &str, environment: &BTreeMap<String, String>) {
    let machine = Machine::new();
    machine.write("secret", "0123456789012345678901234567890123456789");
    let secret = machine.path("secret").display().to_string();
    let own = |(name, value): (&String, &String)| {
        (name.clone(), if name.ends_with("_FILE") { secret.clone() } else { value.clone() })
    };
    let environment: Vec<(String, String)> = environment.iter().map(own).collect();
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (&**name, &**value)).collect();
    let ended = machine.run_with(&["config", "check"], &environment, "");
    assert_eq!(ended.code, 0, "{what}: {ended:?}");
}

/// How long a graceful stop may take with these settings: before, while rooms end, while connections do, while work for rooms does.
fn longest_stop(environment: &BTreeMap<String, String>) -> Duration {
    let drain: Vec<(String, String)> = environment
        .iter()
        .filter(|(name, _)| name.starts_with("ROLLCALL__DRAIN__"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let drain = Loaded::of_layers(None, drain, &[]).unwrap().config.drain;
    Duration::from_millis(drain.grace_ms + 3 * drain.timeout_ms)
}

#[test]
fn every_setting_that_is_named_is_one() {
    let known: Vec<String> = SECTIONS.iter().flat_map(|section| section.settings).map(SettingRow::variable).collect();
    let mut named = 0;
    for path in all_files(&deploy()) {
        let text = std::fs::read_to_string(&path).unwrap();
        for word in words(&text, "ROLLCALL__") {
            named += 1;
            assert!(known.iter().any(|known| known == word), "{}: {word}", path.display());
        }
    }
    assert!(named > 20, "only {named} were found");
}

#[test]
fn the_services_of_compose_can_be_started_with_their_settings() {
    let compose = yaml("compose/compose.yaml");
    for name in ["node-1", "node-2", "schema"] {
        let service = &compose["services"][name];
        let environment = of_map(&service["environment"]);
        check(name, &environment);
        if name != "schema" {
            let grace = service["stop_grace_period"].as_str().unwrap().strip_suffix('s').unwrap();
            assert!(Duration::from_secs(grace.parse().unwrap()) > longest_stop(&environment), "{name}");
        }
    }
}

#[test]
fn the_pods_of_kubernetes_can_be_started_with_their_settings() {
    let shared = of_map(&yaml("kubernetes/configmap.yaml")["data"]);
    for path in ["kubernetes/statefulset.yaml", "kubernetes/schema-job.yaml"] {
        let manifest = yaml(path);
        let pod = &manifest["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let mut environment = shared.clone();
        for variable in container["env"].as_array().unwrap() {
            // What the cluster fills in is the pod's name.
            let value = variable["value"].as_str().unwrap_or("rollcall-0");
            environment.insert(variable["name"].as_str().unwrap().to_owned(), value.to_owned());
        }
        check(path, &environment);
        if path.ends_with("statefulset.yaml") {
            let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
            assert!(Duration::from_secs(grace) > longest_stop(&environment));
            // The probes ask where the server answers.
            let port = environment["ROLLCALL__OPS__LISTEN"].rsplit(':').next().unwrap().parse::<u64>().unwrap();
            assert!(
                container["ports"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|it| it["name"] == "ops" && it["containerPort"] == port)
            );
        }
    }
}

#[test]
fn the_unit_of_systemd_can_be_started_with_its_settings_and_waits_for_the_stop() {
    let unit = text("systemd/rollcall.service");
    let lines = |key: &str| -> Vec<String> {
        unit.lines().filter_map(|line| line.strip_prefix(key)).map(str::to_owned).collect()
    };
    let environment: Vec<(String, String)> = lines("Environment=")
        .iter()
        .map(|line| line.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let machine = Machine::new();
    for line in lines("LoadCredential=") {
        let (name, _) = line.split_once(':').unwrap();
        machine.write(name, "0123456789012345678901234567890123456789");
    }
    machine.write("rollcall.toml", &text("systemd/rollcall.toml"));
    let credentials = machine.path("").display().to_string();
    let environment: Vec<(String, String)> =
        environment.into_iter().map(|(name, value)| (name, value.replace("%d/", &credentials))).collect();
    let variables: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (&**name, &**value)).collect();
    let ended = machine.run_with(&["config", "check"], &variables, "");
    assert_eq!(ended.done(), "the configuration can be used; its file is rollcall.toml");

    let path = machine.path("rollcall.toml");
    let drain =
        Loaded::of_layers(Some((&path, &text("systemd/rollcall.toml"))), environment, &[]).unwrap().config.drain;
    let stop = lines("TimeoutStopSec=").first().unwrap().strip_suffix('s').unwrap().parse::<u64>().unwrap();
    assert!(stop * 1_000 > drain.grace_ms + 3 * drain.timeout_ms);
}

#[test]
fn alerts_are_of_metrics_that_there_are() {
    let metrics = include_str!("../../docs/metrics.md");
    let known = words(metrics, "rollcall_");
    let rules = text("prometheus/rollcall.rules.yaml");
    let named = words(&rules, "rollcall_");
    for name in &named {
        let metric = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(known.contains(&metric), "{name}");
    }
    assert!(named.len() >= 10, "{named:?}");
    let codes = rules.split("code=~\"").skip(1).flat_map(|rest| rest.split('"').next().unwrap().split('|'));
    for code in codes {
        let known = rollcall_protocol::ERRORS.iter().any(|row| row.wire == code);
        assert!(known, "{code} is no error's code");
    }
}
