//! `rollcall token`, and who is let in by a server.

use serde_json::Value;

use super::program::{Machine, SECRET, exists};

const WITH_SECRET: (&str, &str) = ("ROLLCALL__AUTH__SECRET", SECRET);

fn issue(machine: &Machine, arguments: &[&str]) -> String {
    let ended = machine.run_with(&[&["token", "issue"], arguments].concat(), &[WITH_SECRET], "");
    ended.done().to_owned()
}

#[test]
fn a_token_is_made_and_explained() {
    let machine = Machine::new();
    let arguments = ["--user", "ann", "--ttl", "2h", "--room", "team.*", "--room", "general", "--moderate", "general"];
    let token = issue(&machine, &arguments);
    let ended = machine.run_with(&["token", "inspect", "-"], &[WITH_SECRET], &format!("{token}\n"));
    let lines: Vec<&str> = ended.done().lines().collect();
    assert_eq!(lines[..2], ["valid", "user      ann"]);
    assert!(lines[2].ends_with(", in 1h 59m") || lines[2].ends_with(", in 2h"), "{}", lines[2]);
    assert_eq!(lines[3..], ["rooms     team.* general", "may       read and write", "moderates general"]);

    let issued: Value = serde_json::from_str(&issue(&machine, &["--user", "bob", "--read-only", "--json"])).unwrap();
    let variables = [WITH_SECRET, ("ROLLCALL_TOKEN", issued["token"].as_str().unwrap())];
    let ended = machine.run_with(&["token", "inspect", "--json"], &variables, "");
    let inspected: Value = serde_json::from_str(ended.done()).unwrap();
    assert_eq!((&inspected["valid"], &inspected["read_only"]), (&Value::Bool(true), &Value::Bool(true)));
    assert_eq!((&inspected["user"], &inspected["expires_at_ms"]), (&issued["user"], &issued["expires_at_ms"]));
    assert!(!exists(&machine.path("rollcall-data")), "a look at a token made a data folder");
}

#[test]
fn a_token_that_is_not_good_says_why_with_code_1_and_is_not_repeated() {
    let machine = Machine::new();
    let token = issue(&machine, &["--user", "ann"]);
    let other = ("ROLLCALL__AUTH__SECRET", "another-secret-0123456789-0123456789");
    let ended = machine.run_with(&["token", "inspect", &token], &[other], "");
    let expected = "not valid: the token's signature does not fit this server's key; it was made with another secret, or \
                    changed\n";
    assert_eq!((ended.code, ended.output.as_str(), ended.errors.as_str()), (1, expected, ""));
    let ended = machine.run_with(&["token", "inspect", "canary", "--json"], &[WITH_SECRET], "");
    let expected =
        r#"{"valid":false,"reason":"malformed","message":"the token is malformed: it is not a JWT of three parts"}"#;
    assert_eq!((ended.code, ended.output.trim_end()), (1, expected));
}

#[test]
fn without_a_secret_or_under_a_guests_name_no_token_is_made() {
    let machine = Machine::new();
    let ended = machine.run(&["token", "issue", "--user", "ann"]);
    assert!(ended.failed(64).starts_with("rollcall: no secret is configured: put 32 bytes or more into a file"));
    let ended = machine.run_with(&["token", "issue", "--user", "guest-1"], &[WITH_SECRET], "");
    let expected = "rollcall: names that begin with guest- are kept for guests: take another name";
    assert_eq!(ended.failed(1), expected);
    let ended = machine.run(&["token", "inspect", "x"]);
    assert!(ended.failed(64).starts_with("rollcall: there is no key to check the token with"));
}

#[test]
fn a_server_with_a_secret_takes_users_and_no_guests() {
    let machine = Machine::new();
    let server = machine.serve_with(&["--listen", "127.0.0.1:0"], &[WITH_SECRET]);
    let url = server.url();
    let send = |token: &str| {
        let variables = [("ROLLCALL_URL", url.as_str()), ("ROLLCALL_TOKEN", token)];
        machine.run_with(&["send", "general", "hello"], &variables[..if token.is_empty() { 1 } else { 2 }], "")
    };
    assert_eq!(send(&issue(&machine, &["--user", "ann"])).done(), "2");
    let advice = "; give a good token in ROLLCALL_TOKEN (`rollcall token issue` makes one, `rollcall token inspect` explains \
                  one)";
    let expected = format!("rollcall: the server refused: a token is needed: this server takes no guests{advice}");
    assert_eq!(send("").failed(77), expected);
    let expected =
        format!("rollcall: the server refused: the token is malformed: it is not a JWT of three parts{advice}");
    assert_eq!(send("canary").failed(77), expected);
    let reader = issue(&machine, &["--user", "bob", "--read-only"]);
    assert_eq!(send(&reader).code, 77);
    let stranger = issue(&machine, &["--user", "cleo", "--room", "elsewhere"]);
    assert_eq!(send(&stranger).code, 77);
    let lines = server.stop().join("\n");
    for never in [SECRET, "canary", &reader, &stranger] {
        assert!(!lines.contains(never), "{never} is in the log:\n{lines}");
    }
}
