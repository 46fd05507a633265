//! A chat of terminals: send, tail, history.

use rollcall_client::{Client, JoinFrom};
use serde_json::Value;

use super::program::{Machine, Server};

/// A server that takes writes as fast as they come.
fn serve_without_rates(machine: &Machine) -> Server {
    let lifted = ["limits.commands_per_connection_per_s=0", "limits.commands_per_user_per_s=0"];
    machine.serve(&["--set", lifted[0], "--set", lifted[1]])
}

/// Sends messages of some length to a room, as one client: a process for each would take long.
fn send_many(server: &Server, room: &str, messages: u64, text_chars: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::builder(server.url()).guest().build().unwrap();
        let (writer, events) = client.join(room, JoinFrom::Head).await.unwrap().split();
        drop(events);
        for _ in 0..messages {
            writer.send_text(&"x".repeat(text_chars)).await.unwrap();
        }
        client.close().await;
    });
}

#[test]
fn two_terminals_chat_and_survive_the_death_of_the_server() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    let address = server.public.to_string();
    assert_eq!(machine.ask(&server, &["send", "general", "one"]).done(), "2");
    let mut tail = machine.start(&server, &["tail", "general"]);
    assert!(tail.wait_for("one").starts_with("#2 20"));
    assert_eq!(machine.ask(&server, &["send", "general", "two"]).done(), "3");
    tail.wait_for(": two");
    // A second command of this machine is the same guest with a device of its own.
    let history = machine.ask(&server, &["history", "general", "--json"]);
    let entries: Vec<Value> = history.done().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(entries.len(), 3);
    assert_eq!(entries[1]["sender"], entries[2]["sender"]);
    assert_ne!(entries[1]["device"], entries[2]["device"]);

    server.process.signal(nix::sys::signal::Signal::SIGKILL);
    assert_eq!(server.process.end().0, 137);
    let server = machine.serve_with(&["--listen", &address], &[]);
    assert_eq!(machine.ask(&server, &["send", "general", "three"]).done(), "4");
    tail.wait_for(": three");
    let all = machine.ask(&server, &["history", "general", "--after", "0"]);
    let numbers: Vec<&str> = all.done().lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(numbers, ["#1", "#2", "#3", "#4"]);
}

/// The commands remember proofs that such a server does not know, one for each that ran beside another.
#[test]
fn a_server_that_begins_anew_under_the_same_address_takes_its_guests_as_new_ones() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    let address = server.public.to_string();
    let mut tail = machine.start(&server, &["tail", "general"]);
    assert_eq!(machine.ask(&server, &["send", "general", "one"]).done(), "2");
    tail.wait_for("one");
    drop(tail);
    server.process.signal(nix::sys::signal::Signal::SIGKILL);
    assert_eq!(server.process.end().0, 137);
    std::fs::remove_dir_all(machine.path("rollcall-data")).unwrap();
    let server = machine.serve_with(&["--listen", &address], &[]);
    assert_eq!(machine.ask(&server, &["send", "general", "two"]).done(), "2");
    assert_eq!(machine.ask(&server, &["send", "general", "three"]).done(), "3");
}

#[test]
fn one_command_after_another_goes_on_as_one_device() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    for number in 2..6 {
        assert_eq!(machine.ask(&server, &["send", "general", "hello"]).done(), number.to_string());
    }
    let history = machine.ask(&server, &["history", "general", "--after", "1", "--json"]);
    let entries: Vec<Value> = history.done().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(entries.iter().all(|entry| entry["device"] == entries[0]["device"]), "{entries:#?}");
}

#[test]
fn texts_come_from_standard_input_and_go_to_terminals_unarmed() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    let variables = [("ROLLCALL_URL", server.url())];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let armed = "\u{1b}[2Jfirst\nguest-0: never said\n";
    let ended = machine.run_with(&["send", "general", "-", "--json"], &variables, armed);
    assert_eq!(ended.done(), r#"{"room":"general","seq":2,"duplicate":false}"#);
    let shown = machine.ask(&server, &["history", "general", "--after", "1"]);
    let lines: Vec<&str> = shown.done().lines().collect();
    assert!(lines[0].ends_with(r": \u{1b}[2Jfirst"), "{lines:#?}");
    assert_eq!(lines[1..], ["    | guest-0: never said"]);
    let line = machine.ask(&server, &["history", "general", "--after", "1", "--json"]);
    let entry: Value = serde_json::from_str(line.done()).unwrap();
    assert_eq!(entry["body"]["text"], "\u{1b}[2Jfirst\nguest-0: never said");
}

#[test]
fn a_tail_for_machines_is_an_event_a_line_from_the_number_on() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    for text in ["one", "two"] {
        machine.ask(&server, &["send", "general", text]).done();
    }
    let mut tail = machine.start(&server, &["tail", "general", "--after", "1", "--json"]);
    let events: Vec<Value> =
        ["joined", "one", "two"].iter().map(|text| serde_json::from_str(&tail.wait_for(text)).unwrap()).collect();
    assert_eq!(
        (&events[0]["event"], &events[0]["after"], &events[0]["head"]),
        (&"joined".into(), &1.into(), &3.into())
    );
    assert_eq!((&events[1]["event"], &events[1]["seq"]), (&"entry".into(), &2.into()));
    assert_eq!((&events[2]["seq"], &events[2]["body"]), (&3.into(), &serde_json::json!({"text": "two"})));
}

#[test]
fn history_has_two_directions_and_an_end() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    for text in ["one", "two", "three"] {
        machine.ask(&server, &["send", "general", text]).done();
    }
    let numbers = |arguments: &[&str]| -> Vec<String> {
        let ended = machine.ask(&server, &[&["history", "general"], arguments].concat());
        ended.done().lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    };
    assert_eq!(numbers(&[]), ["#1", "#2", "#3", "#4"]);
    assert_eq!(numbers(&["--limit", "2"]), ["#3", "#4"]);
    assert_eq!(numbers(&["--before", "3"]), ["#1", "#2"]);
    assert_eq!(numbers(&["--before", "3", "--limit", "1"]), ["#2"]);
    assert_eq!(numbers(&["--after", "2", "--limit", "1"]), ["#3"]);
    assert_eq!(numbers(&["--after", "9"]), [""; 0]);
    assert_eq!(machine.ask(&server, &["history", "nobody-wrote-here"]).done(), "");
}

#[test]
fn as_many_as_were_asked_for_are_printed_however_many_pages_they_take() {
    let machine = Machine::new();
    let server = serve_without_rates(&machine);
    // With the room's creation 601 entries: more than a page has by number, and by size, too.
    send_many(&server, "general", 600, 2_000);
    let numbers = |lines: &[String]| -> Vec<u64> {
        let seq = |line: &String| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64();
        lines.iter().filter_map(seq).collect()
    };
    let expected: Vec<u64> = (101..=601).collect();
    let history = machine.ask(&server, &["history", "general", "--limit", "501", "--json"]);
    assert_eq!(numbers(&history.done().lines().map(str::to_owned).collect::<Vec<_>>()), expected);
    let mut tail = machine.start(&server, &["tail", "general", "--last", "501", "--json"]);
    tail.wait_for(r#""seq":601"#);
    assert_eq!(numbers(tail.seen()), expected);
    // None of the old ones, and all of the new ones.
    let mut tail = machine.start(&server, &["tail", "general", "--last", "0", "--json"]);
    tail.wait_for(r#""event":"joined""#);
    machine.ask(&server, &["send", "general", "new"]).done();
    tail.wait_for(r#""seq":602"#);
    assert_eq!(numbers(tail.seen()), [602]);
}

#[test]
fn a_reader_who_has_enough_ends_the_command_well() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    machine.ask(&server, &["send", "general", "one"]).done();
    let mut command = machine.command(&["history", "general"]);
    let mut child = command.env("ROLLCALL_URL", server.url()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn no_server_is_code_69_and_a_question() {
    let machine = Machine::new();
    for arguments in [&["send", "r", "x"][..], &["tail", "r"], &["history", "r"]] {
        let ended = machine.run_with(arguments, &[("ROLLCALL_URL", "ws://127.0.0.1:1/v1/ws")], "");
        let expected = "rollcall: failed to connect to ws://127.0.0.1:1/v1/ws: is `rollcall serve` running there?";
        assert_eq!(ended.failed(69), expected);
    }
    let ended = machine.run(&["audit", "--url", "http://127.0.0.1:1", "--room", "r"]);
    assert!(ended.failed(74).contains("is not the address of a WebSocket server"), "{}", ended.errors);
}
