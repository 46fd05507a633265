//! Every kind of mistake in a configuration, by the exact text that a person reads.

use std::path::Path;

use super::*;

fn load(file: &str, variables: &[(&str, &str)], flags: &[(&str, &str, &str)]) -> Result<Loaded, String> {
    let variables = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    let flags: Vec<FlagValue> = flags
        .iter()
        .map(|&(flag, name, value)| FlagValue { flag: flag.to_owned(), name: name.to_owned(), value: value.to_owned() })
        .collect();
    Loaded::of_layers(Some((Path::new("rollcall.toml"), file)), variables, &flags).map_err(|error| error.to_string())
}

#[test]
fn each_layer_covers_the_one_below() {
    let file = "[rooms]\nidle_ms = 1\nring_entries_max = 1\nqueue_entries_max = 1\n";
    let variables = [("ROLLCALL__ROOMS__RING_ENTRIES_MAX", "2"), ("ROLLCALL__ROOMS__QUEUE_ENTRIES_MAX", "2")];
    let loaded = load(file, &variables, &[("--set", "rooms.queue_entries_max", "3")]).unwrap();
    let rooms = &loaded.config.rooms;
    assert_eq!((rooms.idle_ms, rooms.ring_entries_max, rooms.queue_entries_max), (1, 2, 3));
    assert_eq!(rooms.queue_bytes_max, Config::default().rooms.queue_bytes_max);
    let source = |name: &str| loaded.sources.of(name).to_string();
    assert_eq!(source("rooms.idle_ms"), "rollcall.toml:2");
    assert_eq!(source("rooms.ring_entries_max"), "ROLLCALL__ROOMS__RING_ENTRIES_MAX");
    assert_eq!(source("rooms.queue_entries_max"), "--set");
    assert_eq!(source("rooms.queue_bytes_max"), "default");
}

#[test]
fn text_is_read_as_what_the_setting_takes() {
    let variables = [
        ("ROLLCALL__AUTH__GUESTS", "true"),
        ("ROLLCALL__AUTH__AUDIENCE", "7"),
        ("ROLLCALL__ORIGINS__ALLOWED", "https://a.example, https://b.example"),
        ("ROLLCALL__HOSTS__ALLOWED", ""),
        ("ROLLCALL__LOGGING__FORMAT", "json"),
        ("ROLLCALL__LIMITS__CONNECTIONS_MAX", "100"),
    ];
    let config = load("", &variables, &[]).unwrap().config;
    assert_eq!((config.auth.guests, config.auth.audience.as_deref()), (Some(true), Some("7")));
    assert_eq!(config.origins.allowed, ["https://a.example", "https://b.example"]);
    assert_eq!(config.hosts.allowed, [""; 0]);
    assert_eq!(config.logging.format, super::super::LogFormat::Json);
    assert_eq!(config.limits.connections_max, Some(100));
}

#[test]
fn mistakes_in_a_file() {
    let cases = [
        ("[listen]\npublik = \"x\"", "rollcall.toml:2: unknown setting `listen.publik`; did you mean `listen.public`?"),
        ("\n[data]\nidle_ms = 5", "rollcall.toml:3: unknown setting `data.idle_ms`; did you mean `rooms.idle_ms`?"),
        ("[rom]\nidle_ms = 5", "rollcall.toml:1: unknown setting `rom`; did you mean `rooms`?"),
        ("\n\nidle_ms = 5", "rollcall.toml:3: unknown setting `idle_ms`; did you mean `rooms.idle_ms`?"),
        (
            "[frobnicate]\nwidgets = 5",
            "rollcall.toml:1: unknown setting `frobnicate`; `rollcall config default` lists all",
        ),
        (
            "[rooms]\nfrobnicate = 5",
            "rollcall.toml:2: unknown setting `rooms.frobnicate`; `rollcall config default` lists all",
        ),
        ("rooms.idle = 5", "rollcall.toml:1: unknown setting `rooms.idle`; did you mean `rooms.idle_ms`?"),
        ("listen = \"0:1\"", "rollcall.toml:1: `listen` is a section, with settings such as `listen.public`"),
        ("[rooms]\nidle_ms = \"1m\"", "rollcall.toml:2: `rooms.idle_ms` takes a whole number from 0 on, not \"1m\""),
        ("[rooms]\nidle_ms = -1", "rollcall.toml:2: `rooms.idle_ms` takes a whole number from 0 on, not -1"),
        ("[auth]\nguests = 1", "rollcall.toml:2: `auth.guests` takes true or false, not 1"),
        ("[auth.guests]\na = 1", "rollcall.toml:1: `auth.guests` takes true or false, not a table"),
        (
            "[listen]\npublic = \"localhost\"",
            "rollcall.toml:2: `listen.public` takes an address with a port, such as \"127.0.0.1:7400\" or \"[::1]:7400\", \
             not \"localhost\"",
        ),
        (
            "[origins]\nallowed = \"https://a.example\"",
            "rollcall.toml:2: `origins.allowed` takes a list of strings, not \"https://a.example\"",
        ),
        (
            "[logging]\nformat = \"xml\"",
            "rollcall.toml:2: `logging.format` takes \"auto\", \"json\" or \"pretty\", not \"xml\"",
        ),
        ("[auth]\nsecret = 31337", "rollcall.toml:2: `auth.secret` takes a string, not a value of the type integer"),
        ("[auth]\nsecret = [\"canary\"]", "rollcall.toml:2: `auth.secret` takes a string, not a list"),
        ("[log]\ngather_window_us = 1001", "rollcall.toml:2: `log.gather_window_us` is more than 1000"),
        ("[rooms]\nqueue_entries_max = 0", "rollcall.toml:2: `rooms.queue_entries_max` is 0: take at least 1"),
        (
            "[ops]\nlisten = \"127.0.0.1:7400\"",
            "rollcall.toml:2: `ops.listen` is 127.0.0.1:7400, as `listen.public`: take another port",
        ),
        (
            "[listen]\npublic = \"0.0.0.0:7400\"",
            "rollcall.toml:2: `listen.public` is 0.0.0.0:7400, which other machines may reach, but no secret is configured, \
             so anybody could come in as a guest: set `auth.secret_file`, or listen on 127.0.0.1",
        ),
        (
            "[auth]\nguests = false",
            "rollcall.toml:2: `auth.guests` is false and no secret is configured: nobody could come in",
        ),
        (
            "[auth]\nsecret = \"canary\"",
            "rollcall.toml:2: `auth.secret` holds a secret of 6 bytes, which can be guessed: take at least 32, for example \
             from `openssl rand -hex 32`",
        ),
        (
            "[auth]\nsecret = \"canary\"\nsecret_file = \"b\"",
            "rollcall.toml:2: `auth.secret` is set and `auth.secret_file` too: keep one of them",
        ),
        (
            "[auth]\nsecret_file = \"/nowhere/secret\"",
            "rollcall.toml:2: `auth.secret_file` names /nowhere/secret, which cannot be read: No such file or directory (os \
             error 2)",
        ),
    ];
    for (file, expected) in cases {
        assert_eq!(load(file, &[], &[]).map(|_| ()), Err(expected.to_owned()), "{file}");
    }
}

#[test]
fn a_file_that_is_not_toml_names_the_line() {
    let error = load("[rooms]\nidle_ms = = 5", &[], &[]).unwrap_err();
    assert!(error.starts_with("rollcall.toml:2: "), "{error}");
    let twice = load("[rooms]\nidle_ms = 5\nidle_ms = 6", &[], &[]).unwrap_err();
    assert_eq!(twice, "rollcall.toml:3: duplicate key");
}

#[test]
fn mistakes_in_the_environment_and_in_flags() {
    assert_eq!(
        load("", &[("ROLLCALL__ROOM__IDLE_MS", "5")], &[]).unwrap_err(),
        "environment: unknown setting `ROLLCALL__ROOM__IDLE_MS`; did you mean `ROLLCALL__ROOMS__IDLE_MS`?"
    );
    assert_eq!(
        load("", &[("ROLLCALL__ROOMS__IDLE_MS", "soon")], &[]).unwrap_err(),
        "ROLLCALL__ROOMS__IDLE_MS: `rooms.idle_ms` takes a whole number from 0 on, not \"soon\""
    );
    assert_eq!(
        load("", &[], &[("--set", "rooms.idle", "5")]).unwrap_err(),
        "--set: unknown setting `rooms.idle`; did you mean `rooms.idle_ms`?"
    );
    assert_eq!(
        load("", &[], &[("--listen", "listen.public", "7400")]).unwrap_err(),
        "--listen: `listen.public` takes an address with a port, such as \"127.0.0.1:7400\" or \"[::1]:7400\", not \"7400\""
    );
}

#[test]
fn a_variable_that_is_not_text_is_named_and_not_garbled() {
    use std::os::unix::ffi::OsStringExt;
    let not_text = OsString::from_vec(b"\xff\xfe".to_vec());
    let others = (OsString::from("LANG"), not_text.clone());
    assert_eq!(own_variables([others.clone()].into_iter()), Ok(Vec::new()));
    let own = (OsString::from("ROLLCALL__DATA__DIR"), not_text);
    let error = own_variables([others, own].into_iter()).unwrap_err().to_string();
    assert_eq!(error, "ROLLCALL__DATA__DIR: what is set there is not UTF-8");
}

#[test]
fn a_prefix_is_taken_off_once() {
    let error = load("", &[("ROLLCALL__ROLLCALL__DATA__DIR", "x")], &[]).unwrap_err();
    assert!(error.contains("unknown setting `ROLLCALL__ROLLCALL__DATA__DIR`"), "{error}");
}

#[test]
fn a_file_that_is_not_there() {
    let error = Loaded::read(Some(Path::new("/nowhere/rollcall.toml")), &[]).unwrap_err().to_string();
    let expected = "failed to read the configuration /nowhere/rollcall.toml: No such file or directory (os error 2)";
    assert_eq!(error, expected);
}

#[test]
fn a_secret_file_may_end_in_a_line_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "0123456789abcdef0123456789abcdef\r\n").unwrap();
    let file = format!("[auth]\nsecret_file = {path:?}\n[listen]\npublic = \"0.0.0.0:7400\"");
    let config = load(&file, &[], &[]).unwrap().config;
    assert_eq!(config.auth.read_secret().unwrap().unwrap().reveal(), "0123456789abcdef0123456789abcdef");
    assert!(!config.auth.guests_allowed());
}

#[test]
fn every_variable_leads_to_its_setting() {
    for row in all_settings() {
        let name = row.variable().strip_prefix(VARIABLE_PREFIX).unwrap().replace("__", ".").to_lowercase();
        assert_eq!(find(&name).map(|found| found.name), Some(row.name));
    }
}
