//! `rollcall serve`: what stands in its way, how it ends, and what its log never holds.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::time::Instant;

use nix::sys::signal::Signal;

use super::program::{DEADLINE, Machine};

#[test]
fn a_port_in_use_is_code_69_and_named_with_what_to_do() {
    let machine = Machine::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = machine.run(&["serve", "--listen", &address, "--ops-listen", "127.0.0.1:0"]);
    let expected =
        format!("failed to listen on {address}: Address already in use (os error 98); another process has the port");
    assert!(ended.failed(69).contains(&expected), "{}", ended.errors);
    let ended = machine.run(&["serve", "--listen", "127.0.0.1:0", "--ops-listen", &address]);
    let expected = format!(
        "failed to listen on {address} for operators: Address already in use (os error 98); another process has the port"
    );
    assert!(ended.failed(69).contains(&expected), "{}", ended.errors);
}

#[test]
fn a_data_folder_in_use_is_code_69_for_everybody_else() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    let second = ["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--set", "logging.level=error"];
    for arguments in [&second[..], &["audit"], &["compact"]] {
        let ended = machine.run(arguments);
        let expected = "rollcall: the data folder rollcall-data is in use by process ";
        assert!(ended.failed(69).starts_with(expected), "{}", ended.errors);
        assert_eq!(ended.errors.contains("name it by --url"), arguments[0] == "audit", "{}", ended.errors);
    }
    server.stop();
    machine.run(&["audit"]).done();
}

#[test]
fn a_supervisor_is_told_when_the_server_serves_and_when_it_stops() {
    let machine = Machine::new();
    let path = machine.path("supervisor");
    let supervisor = UnixDatagram::bind(&path).unwrap();
    supervisor.set_read_timeout(Some(DEADLINE)).unwrap();
    let told = || {
        let mut message = [0; 1_024];
        let length = supervisor.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    let server = machine.serve_with(&["--listen", "127.0.0.1:0"], &[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    assert_eq!(told(), format!("READY=1\nSTATUS=serves clients at {}\n", server.public));
    server.stop();
    assert_eq!(told(), "STOPPING=1\nSTATUS=telling clients, giving rooms up\n");
}

#[test]
fn whether_a_server_is_ready_can_be_asked_without_another_client() {
    let machine = Machine::new();
    let mut server = machine.serve(&["--set", "drain.grace_ms=600000"]);
    let address = format!("ops.listen={}", server.ops);
    let ready = || machine.run(&["ready", "--set", &address]);
    assert_eq!(ready().done(), "ready");
    server.process.signal(Signal::SIGTERM);
    server.process.wait_for("stopping");
    let deadline = Instant::now() + DEADLINE;
    let mut ended = ready();
    while ended.code == 0 && Instant::now() < deadline {
        ended = ready();
    }
    assert_eq!(ended.failed(1), "rollcall: not ready: serving: stopping");
    server.process.signal(Signal::SIGTERM);
    server.process.end();
    let text = ready();
    assert!(text.failed(69).starts_with("rollcall: no server answers at 127.0.0.1:"), "{text:?}");
}

#[test]
fn one_signal_stops_gracefully_and_a_second_at_once() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    server.process.signal(Signal::SIGINT);
    assert_eq!(server.process.end().0, 0);

    let mut server = machine.serve(&["--set", "drain.grace_ms=600000"]);
    server.process.signal(Signal::SIGTERM);
    server.process.wait_for("stopping");
    let deadline = Instant::now() + DEADLINE;
    while http_status(server.ops, "/readyz") != 503 {
        assert!(Instant::now() < deadline, "a server that stops says that it is ready");
    }
    assert_eq!(http_status(server.ops, "/livez"), 200);
    server.process.signal(Signal::SIGINT);
    assert_eq!(server.process.end().0, 130);

    let mut server = machine.serve(&["--set", "drain.grace_ms=600000"]);
    server.process.signal(Signal::SIGINT);
    server.process.wait_for("stopping");
    server.process.signal(Signal::SIGTERM);
    assert_eq!(server.process.end().0, 143);
}

#[test]
fn the_line_that_says_so_names_addresses_data_folder_and_configuration() {
    let machine = Machine::new();
    let start_line = |machine: &Machine| -> serde_json::Value {
        let lines = machine.serve(&[]).stop();
        let line = lines.iter().find(|line| line.contains(r#""message":"serving""#)).unwrap();
        serde_json::from_str(line).unwrap()
    };
    let line = start_line(&machine);
    assert_eq!(line["data"].as_str(), machine.path("rollcall-data").to_str());
    assert_eq!(line.get("config"), None);
    machine.write("rollcall.toml", "");
    assert_eq!(start_line(&machine)["config"].as_str(), machine.path("rollcall.toml").to_str());
}

#[test]
fn a_data_folder_that_cannot_be_used_ends_with_a_code_and_what_is_wrong() {
    let machine = Machine::new();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--set", "logging.level=error"];
    let spoil = |name: &str, spoil: &dyn Fn(&std::path::Path)| {
        machine.serve(&["--data", name]).stop();
        spoil(&machine.path(name));
        let data = ["--data", name];
        [[&serve[..], &data].concat(), [&["audit"][..], &data].concat(), [&["compact"][..], &data].concat()]
            .map(|arguments| machine.run(&arguments))
    };
    let format = |folder: &std::path::Path, text: &str| std::fs::write(folder.join("format"), text).unwrap();
    for ended in spoil("newer", &|folder| format(folder, "9999\n")) {
        assert!(ended.failed(74).contains("is written in format 9999"), "{}", ended.errors);
    }
    for ended in spoil("damaged", &|folder| format(folder, "one")) {
        assert!(ended.failed(74).contains("is damaged"), "{}", ended.errors);
    }
}

#[test]
fn no_log_line_holds_what_people_say_or_prove_themselves_with() {
    let machine = Machine::new();
    let server = machine.serve(&["--log-level", "trace,tungstenite::protocol=trace"]);
    machine.ask(&server, &["send", "general", "canary in a message"]).done();
    machine.ask(&server, &["history", "general"]).done();
    let token = machine.run_with(
        &["send", "general", "x"],
        &[("ROLLCALL_URL", &server.url()), ("ROLLCALL_TOKEN", "canary")],
        "",
    );
    assert_eq!(token.code, 77);
    let state = std::fs::read_dir(machine.path("state/rollcall")).unwrap().next().unwrap().unwrap().path();
    let saved: serde_json::Value = serde_json::from_slice(&std::fs::read(state.join("guest-0.json")).unwrap()).unwrap();
    let proof = saved["guest_token"].as_str().unwrap().to_owned();
    let lines = server.stop();
    for never in ["canary", proof.as_str()] {
        let found: Vec<&String> = lines.iter().filter(|line| line.contains(never)).collect();
        assert!(found.is_empty(), "{found:#?}");
    }
    assert!(lines.iter().any(|line| line.contains("\"level\":\"TRACE\"")), "nothing was traced");
    for line in &lines {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok(), "not a line of JSON: {line}");
    }
}

#[test]
fn operators_are_answered_from_the_start_to_the_end() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    machine.ask(&server, &["send", "general", "one"]).done();
    assert_eq!((http_status(server.ops, "/livez"), http_status(server.ops, "/readyz")), (200, 200));
    let metrics = http(server.ops, "/metrics");
    for expected in [
        "rollcall_entries_committed_total{kind=\"message\"} 1",
        "rollcall_connections_opened_total 1",
        "rollcall_ack_duration_seconds_count 1",
        "rollcall_rooms 1",
    ] {
        assert!(metrics.lines().any(|line| line == expected), "{expected} is not in\n{metrics}");
    }
    // Without its last bucket, Prometheus computes no quantile of a histogram.
    for line in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" histogram")) {
        let infinity = format!("{line}_bucket{{le=\"+Inf\"}} ");
        assert!(metrics.contains(&infinity), "{infinity} is not in\n{metrics}");
    }
    assert!(!metrics.contains("general") && !metrics.contains("guest-"), "a room or a user is in\n{metrics}");
    server.stop();
}

fn http(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn http_status(address: std::net::SocketAddr, path: &str) -> u16 {
    http(address, path).split(' ').nth(1).unwrap().parse().unwrap()
}
