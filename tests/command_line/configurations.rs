//! `rollcall config`, and what a bad configuration does to a server.

use super::program::{Machine, exists};

#[test]
fn what_cannot_be_used_is_said_with_code_64_before_anything_is_touched() {
    let machine = Machine::new();
    let cases = [
        ("[rooms]\nidel_ms = 5", "rollcall.toml:2: unknown setting `rooms.idel_ms`; did you mean `rooms.idle_ms`?"),
        ("[rooms]\nidle_ms = \"5\"", "rollcall.toml:2: `rooms.idle_ms` takes a whole number from 0 on, not \"5\""),
        (
            "[listen]\npublic = \"0.0.0.0:0\"",
            "rollcall.toml:2: `listen.public` is 0.0.0.0:0, which other machines may reach, but no secret is configured, so \
             anybody could come in as a guest: set `auth.secret_file`, or listen on 127.0.0.1",
        ),
    ];
    for (file, expected) in cases {
        machine.write("rollcall.toml", file);
        for arguments in [&["serve"][..], &["config", "check"], &["config", "show"], &["compact"]] {
            assert_eq!(machine.run(arguments).failed(64), format!("rollcall: {expected}"));
        }
    }
    assert!(!exists(&machine.path("rollcall-data")));
}

#[test]
fn variables_and_flags_are_named() {
    let machine = Machine::new();
    let check = ["config", "check"];
    let ended = machine.run_with(&check, &[("ROLLCALL__ROOMS__IDLE", "5")], "");
    let expected =
        "rollcall: environment: unknown setting `ROLLCALL__ROOMS__IDLE`; did you mean `ROLLCALL__ROOMS__IDLE_MS`?";
    assert_eq!(ended.failed(64), expected);
    let ended = machine.run_with(&check, &[("ROLLCALL__ROOMS__IDLE_MS", "soon")], "");
    let expected = "rollcall: ROLLCALL__ROOMS__IDLE_MS: `rooms.idle_ms` takes a whole number from 0 on, not \"soon\"";
    assert_eq!(ended.failed(64), expected);
    let ended = machine.run(&["config", "check", "--set", "rooms.idle_ms=soon"]);
    assert_eq!(ended.failed(64), "rollcall: --set: `rooms.idle_ms` takes a whole number from 0 on, not \"soon\"");
    let ended = machine.run(&["config", "check", "--config", "none.toml"]);
    let expected = "rollcall: failed to read the configuration none.toml: No such file or directory (os error 2)";
    assert_eq!(ended.failed(64), expected);
}

#[test]
fn the_default_file_can_be_used_as_it_is() {
    let machine = Machine::new();
    let expected = "the configuration can be used; there is no file, so the defaults hold";
    assert_eq!(machine.run(&["config", "check"]).done(), expected);
    let file = machine.run(&["config", "default"]);
    machine.write("rollcall.toml", file.done());
    let expected = "the configuration can be used; its file is rollcall.toml";
    assert_eq!(machine.run(&["config", "check"]).done(), expected);
}

#[test]
fn show_says_what_holds_and_from_where_and_hides_secrets() {
    let machine = Machine::new();
    machine.write("rollcall.toml", "[auth]\nsecret = \"canary-canary-canary-canary-canary\"\n[rooms]\nidle_ms = 5\n");
    let variables = [("ROLLCALL__DATA__DIR", "elsewhere")];
    let ended = machine.run_with(&["config", "show", "--set", "logging.level=debug"], &variables, "");
    let shown: Vec<String> =
        ended.done().lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for expected in [
        "secret = \"***\" # rollcall.toml:2",
        "idle_ms = 5 # rollcall.toml:4",
        "dir = \"elsewhere\" # ROLLCALL__DATA__DIR",
        "level = \"debug\" # --set",
        "listen = \"127.0.0.1:7401\" # default",
    ] {
        assert!(shown.iter().any(|line| line == expected), "{expected} is not in {shown:#?}");
    }
    assert!(!ended.output.contains("canary"));

    let ended = machine.run_with(&["config", "show", "--json", "--set", "logging.level=debug"], &variables, "");
    let shown: serde_json::Value = serde_json::from_str(ended.done()).unwrap();
    for (setting, expected) in [
        ("/auth/secret", serde_json::json!({"value": "***", "source": "rollcall.toml:2"})),
        ("/rooms/idle_ms", serde_json::json!({"value": 5, "source": "rollcall.toml:4"})),
        ("/data/dir", serde_json::json!({"value": "elsewhere", "source": "ROLLCALL__DATA__DIR"})),
        ("/logging/level", serde_json::json!({"value": "debug", "source": "--set"})),
        ("/auth/guests", serde_json::json!({"value": null, "source": "default"})),
    ] {
        assert_eq!(shown.pointer(setting), Some(&expected), "{setting}");
    }
    assert!(!ended.output.contains("canary"));
    assert_eq!(machine.run(&["config", "check", "--json"]).done(), r#"{"ok":true,"file":"rollcall.toml"}"#);
}

#[test]
fn a_path_that_is_not_text_is_an_error_and_not_another_path() {
    use std::os::unix::ffi::OsStrExt;
    let machine = Machine::new();
    let path = std::ffi::OsStr::from_bytes(b"\xff");
    let flag = machine.command(&["config", "check", "--data"]).arg(path).output().unwrap();
    let variable = machine.command(&["config", "check"]).env("ROLLCALL__DATA__DIR", path).output().unwrap();
    for (ended, name) in [(flag, "--data"), (variable, "ROLLCALL__DATA__DIR")] {
        assert_eq!(ended.status.code(), Some(64));
        let errors = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(errors, format!("rollcall: {name}: what is set there is not UTF-8\n"));
    }
}

#[test]
fn what_is_not_a_command_ends_with_code_2() {
    let machine = Machine::new();
    for arguments in
        [&["sing"][..], &["send", "general"], &["send", "not a room", "x"], &["history", "r", "--limit", "0"]]
    {
        assert_eq!(machine.run(arguments).code, 2, "{arguments:?}");
    }
}

#[test]
fn help_teaches() {
    let machine = Machine::new();
    let ended = machine.run(&["--help"]);
    for expected in [
        "rollcall send general 'hello'",
        "Exit codes:",
        "  64  the configuration cannot be used",
        "  70  rollcall itself failed",
        "  130 serve",
        "  143 serve",
        "compact",
    ] {
        assert!(ended.done().contains(expected), "{expected} is not in {}", ended.output);
    }
    let version = format!("rollcall {}", env!("CARGO_PKG_VERSION"));
    assert_eq!(machine.run(&["--version"]).done(), version);
    // A token in the environment is not shown by the help of the commands that take it.
    let ended = machine.run_with(&["send", "--help"], &[("ROLLCALL_TOKEN", "canary")], "");
    assert!(ended.done().contains("ROLLCALL_TOKEN") && !ended.output.contains("canary"));
}
