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

/// The environment that the image gives to every container.
fn of_image() -> BTreeMap<String, String> {
    let dockerfile = text("Dockerfile").replace("\\\n", " ");
    let settings = dockerfile.lines().filter_map(|line| line.strip_prefix("ENV ")).flat_map(str::split_whitespace);
    let environment: BTreeMap<String, String> = settings
        .map(|setting| setting.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert!(!environment.is_empty());
    environment
}

/// The environment of a container in Kubernetes: that of the image, what it takes from the config map, and its own.
fn of_container(container: &Value, config_map: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut environment = of_image();
    for source in container["envFrom"].as_array().into_iter().flatten() {
        assert_eq!(source["configMapRef"]["name"], "rollcall");
        environment.extend(config_map.clone());
    }
    for variable in container["env"].as_array().unwrap() {
        let (name, from) = (variable["name"].as_str().unwrap(), &variable["valueFrom"]);
        let value = match (variable["value"].as_str(), from["configMapKeyRef"]["key"].as_str()) {
            (Some(value), _) => value,
            (None, Some(key)) => {
                assert_eq!(from["configMapKeyRef"]["name"], "rollcall", "{name}");
                config_map[key].as_str()
            }
            (None, None) => {
                assert_eq!(from["fieldRef"]["fieldPath"], "metadata.name", "{name}");
                "rollcall-0"
            }
        };
        environment.insert(name.to_owned(), value.to_owned());
    }
    environment
}

/// The settings that name files, and the files.
fn files(environment: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    let named = environment.iter().filter(|(name, _)| name.ends_with("_FILE"));
    named.map(|(name, path)| (name.as_str(), path.as_str())).collect()
}

/// The keys that a secret has where it was made as the first comment of a manifest says.
fn keys_of_secret(manifest: &str, secret: &str) -> Vec<String> {
    let manifest = manifest.replace("\\\n#", " ");
    let making = format!("create secret generic {secret} ");
    let command = manifest.lines().find(|line| line.contains(&making));
    let command = command.unwrap_or_else(|| panic!("how {secret} is made is not said"));
    let literals = command.split_whitespace().filter_map(|word| word.strip_prefix("--from-literal=")?.split_once('='));
    literals.map(|(key, _)| key.to_owned()).collect()
}

/// The files in a pod's volume when the pod starts.
fn files_of_volume(volume: &Value, manifest: &str) -> Vec<String> {
    let secret = &volume["secret"];
    match (secret["items"].as_array(), secret["secretName"].as_str()) {
        (Some(items), _) => items.iter().map(|item| item["path"].as_str().unwrap().to_owned()).collect(),
        (None, Some(name)) => keys_of_secret(manifest, name),
        // No other kind of volume has any.
        (None, None) => Vec::new(),
    }
}

/// Asserts that a container finds every file which its settings name, in a volume that is mounted there.
fn assert_files_are_mounted(path: &str, container: &Value, environment: &BTreeMap<String, String>) {
    let (text, manifest) = (text(path), yaml(path));
    let volumes = manifest["spec"]["template"]["spec"]["volumes"].as_array().unwrap();
    for (variable, file) in files(environment) {
        let mounted = container["volumeMounts"].as_array().unwrap().iter().find_map(|mount| {
            let name = file.strip_prefix(mount["mountPath"].as_str()?)?.strip_prefix('/')?;
            Some((&mount["name"], name))
        });
        let (volume, name) =
            mounted.unwrap_or_else(|| panic!("{path}: {variable} is {file}, where nothing is mounted"));
        let volume = volumes.iter().find(|it| it["name"] == *volume).unwrap();
        let there = files_of_volume(volume, &text);
        assert!(there.iter().any(|it| it == name), "{path}: {variable} is {file}, but only {there:?} are there");
    }
}

/// Has the program read an environment, by a command that needs nothing else, with a file of its own for each that holds a secret.
fn check(what: &str, command: &[&str], environment: &BTreeMap<String, String>) {
    let machine = Machine::new();
    machine.write("secret", "0123456789012345678901234567890123456789");
    let secret = machine.path("secret").display().to_string();
    let own = |(name, value): (&String, &String)| {
        (name.clone(), if name.ends_with("_FILE") { secret.clone() } else { value.clone() })
    };
    let environment: Vec<(String, String)> = environment.iter().map(own).collect();
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (&**name, &**value)).collect();
    let ended = machine.run_with(command, &environment, "");
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
        let mut environment = of_image();
        environment.extend(of_map(&service["environment"]));
        check(name, &["config", "check"], &environment);
        for (variable, file) in files(&environment) {
            let secret = file.strip_prefix("/run/secrets/").unwrap_or_else(|| panic!("{name}: {variable} is {file}"));
            let is_given = service["secrets"].as_array().unwrap().iter().any(|given| given == secret);
            assert!(is_given && compose["secrets"][secret].is_object(), "{name}: {variable} is {file}");
        }
        if name != "schema" {
            let grace = service["stop_grace_period"].as_str().unwrap().strip_suffix('s').unwrap();
            assert!(Duration::from_secs(grace.parse().unwrap()) > longest_stop(&environment), "{name}");
        }
    }
}

#[test]
fn the_pods_of_kubernetes_can_be_started_with_their_settings() {
    let shared = of_map(&yaml("kubernetes/configmap.yaml")["data"]);
    let pods = [
        ("kubernetes/statefulset.yaml", &["config", "check"][..]),
        // It looks at the section cql whatever the log is.
        ("kubernetes/schema-job.yaml", &["schema", "apply", "--print"][..]),
    ];
    for (path, command) in pods {
        let manifest = yaml(path);
        let pod = &manifest["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let environment = of_container(container, &shared);
        assert_files_are_mounted(path, container, &environment);
        check(path, command, &environment);
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
    // It is started again whatever it ended of, but for a configuration that cannot be used.
    assert_eq!([lines("Restart="), lines("RestartPreventExitStatus=")].concat(), ["always", "64"]);
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
