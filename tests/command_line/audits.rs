//! `rollcall audit` of folders and of served rooms, and `rollcall compact`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rollcall::log::{EmbeddedLog, EmbeddedOptions};
use rollcall_actors::ports::{Activate, Append, AppendOutcome, Fence, Log};
use rollcall_client::{Client, JoinFrom};
use rollcall_protocol::{Body, Entry, Hash, Kind, OwnerId, RoomId, Salt, Seq, UserId, hash};
use serde_json::Value;

use super::program::{Machine, Server};

/// Writes a room of a creation and three messages into a data folder, with whatever is wrong with the third entry.
fn write_room(folder: &Path, name: &str, spoil: impl Fn(&mut Entry)) {
    let room = RoomId::parse(name).unwrap();
    let log = EmbeddedLog::open(folder, EmbeddedOptions::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let Fence { epoch, owner } = runtime.block_on(log.activate(&room, Activate::by(OwnerId(7)))).unwrap().tail.fence;
    let mut before = hash::genesis(&room);
    let mut entries = Vec::new();
    for number in 1..=4 {
        let mut entry = Entry {
            seq: Seq::new(number),
            kind: if number == 1 { Kind::Room } else { Kind::Message },
            created_at_ms: 1_000,
            sender: UserId::parse("ann").unwrap(),
            device: None,
            n: 0,
            target: None,
            body: Some(Body::from_stored(format!("{{\"text\":\"{number}\"}}")).unwrap()),
            salt: Some(Salt([7; 16])),
            content_hash: Hash([0; 32]),
            hash: Hash([0; 32]),
            epoch,
            owner,
        };
        entry.content_hash = entry.expected_content_hash().unwrap();
        entry.hash = entry.expected_hash(before);
        before = entry.hash;
        if number == 3 {
            spoil(&mut entry);
        }
        entries.push(entry);
    }
    let append = Append { room, fence: Fence { epoch, owner }, entries: entries.into() };
    assert_eq!(runtime.block_on(log.append(append)), AppendOutcome::Committed);
}

#[test]
fn a_broken_chain_is_code_1_with_the_room_the_number_and_what() {
    let machine = Machine::new();
    let folder = machine.path("rollcall-data");
    write_room(&folder, "whole", |_| ());
    write_room(&folder, "forged", |entry| {
        entry.body = Some(Body::from_stored("{\"text\":\"3!\"}".to_owned()).unwrap());
    });
    write_room(&folder, "renamed", |entry| entry.sender = UserId::parse("eve").unwrap());
    let ended = machine.run(&["audit"]);
    let lines: Vec<&str> = ended.output.lines().collect();
    assert_eq!((ended.code, ended.errors.as_str(), lines.len()), (1, "", 4), "{ended:?}");
    let expected = "forged: BROKEN: entry 3 has another body than it was committed with: its content hash does not fit";
    assert_eq!(lines[0], expected);
    let expected = "renamed: BROKEN: entry 3 does not fit the chain: its hash is not that of its content and the entry before \
                    it";
    assert_eq!(lines[1], expected);
    assert!(lines[2].starts_with("whole: whole, 4 entries, head 4:"), "{}", lines[2]);
    assert_eq!(lines[3], "2 of 3 rooms are broken");

    let ended = machine.run(&["audit", "--room", "renamed", "--json"]);
    let found: Value = serde_json::from_str(ended.output.trim_end()).unwrap();
    assert_eq!(
        (ended.code, &found["ok"], &found["seq"], &found["room"]),
        (1, &false.into(), &3.into(), &"renamed".into())
    );
    machine.run(&["audit", "--room", "whole"]).done();
}

#[test]
fn a_served_room_and_its_folder_have_the_same_head_which_serves_as_an_anchor() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    for text in ["one", "two", "three"] {
        machine.ask(&server, &["send", "general", text]).done();
    }
    let served = machine.run(&["audit", "--url", &server.url(), "--room", "general", "--json"]);
    let found: Value = serde_json::from_str(served.done()).unwrap();
    assert_eq!((&found["ok"], &found["entries"], &found["head"]), (&true.into(), &4.into(), &4.into()));
    // Of a room that nobody wrote to, a server says what a folder says.
    let ended = machine.run(&["audit", "--url", &server.url(), "--room", "other"]);
    assert_eq!(ended.failed(1), format!("rollcall: nobody has written to other at {}", server.url()));
    let anchor = format!("{}:{}", found["head"], found["hash"].as_str().unwrap());
    machine.ask(&server, &["send", "general", "four"]).done();
    server.stop();

    machine.run(&["audit", "--room", "general", "--anchor", &anchor]).done();
    let other_digit = if anchor.ends_with('0') { '1' } else { '0' };
    let forged = format!("{}{other_digit}", &anchor[..anchor.len() - 1]);
    let ended = machine.run(&["audit", "--room", "general", "--anchor", &forged]);
    let expected = "general: BROKEN: entry 4 has another hash than was noted: history was rewritten\n";
    assert!(ended.code == 1 && ended.output.starts_with(expected), "{ended:?}");
}

#[test]
fn a_folder_that_is_not_there_and_a_room_that_nobody_wrote_to() {
    let machine = Machine::new();
    for command in ["audit", "compact"] {
        let ended = machine.run(&[command, "--data", "nowhere"]);
        let expected = "rollcall: there is no data folder nowhere: name it by --data, or start a server to make it";
        assert_eq!(ended.failed(74), expected);
    }
    write_room(&machine.path("rollcall-data"), "whole", |_| ());
    let ended = machine.run(&["audit", "--room", "other"]);
    assert_eq!(ended.failed(1), "rollcall: nobody has written to other in rollcall-data");
}

#[test]
fn compaction_leaves_a_whole_folder() {
    let machine = Machine::new();
    write_room(&machine.path("rollcall-data"), "whole", |_| ());
    let ended = machine.run(&["compact", "--json"]);
    let sizes: Value = serde_json::from_str(ended.done()).unwrap();
    assert!(sizes["bytes_before"].is_u64() && sizes["bytes_after"].is_u64(), "{sizes}");
    let ended = machine.run(&["audit"]);
    assert!(
        ended.done().ends_with("1 room with 4 entries verified: no number is missing, every hash fits"),
        "{ended:?}"
    );
}

/// Redacted through the server, compacted by the command line: no file holds the body any more, and the chain is whole.
#[test]
fn compaction_takes_what_was_redacted_off_the_disk() {
    const SECRET: &str = "a body that must not stay";
    let machine = Machine::new();
    let folder = machine.path("rollcall-data");
    let server = machine.serve(&[]);
    machine.ask(&server, &["send", "general", "what stays"]).done();
    redact_one(&server, SECRET);
    let entries = machine.ask(&server, &["history", "general"]);
    assert!(!entries.done().contains(SECRET), "{entries:?}");
    server.stop();
    assert!(!files_with(&folder, SECRET).is_empty(), "the search must be able to find it");

    machine.run(&["compact"]).done();
    assert_eq!(files_with(&folder, SECRET), [] as [PathBuf; 0]);
    assert!(!files_with(&folder, "what stays").is_empty());
    let audited = machine.run(&["audit", "--room", "general"]);
    assert!(audited.done().starts_with("general: whole, 4 entries, head 4:"), "{audited:?}");
}

/// What a setting has let expire is no damage, in the folder and as it is served.
#[test]
fn a_room_whose_beginning_has_expired_is_whole_from_there_on() {
    let machine = Machine::new();
    let server = machine.serve(&[]);
    send_many(&server, 20);
    server.stop();
    // Whoever uses the room again has it look at what it keeps.
    let server = machine.serve(&["--set", "retention.entries_max=3"]);
    machine.ask(&server, &["send", "general", "one more"]).done();
    let gone = "; what was before 19 has expired";
    let deadline = Instant::now() + Duration::from_secs(60);
    while !machine.run(&["audit", "--url", &server.url(), "--room", "general"]).output.contains(gone) {
        assert!(Instant::now() < deadline, "nothing has expired");
    }
    server.stop();

    let audited = machine.run(&["audit", "--room", "general"]);
    assert!(
        audited.done().starts_with("general: whole, 5 entries, head 23:") && audited.done().contains(gone),
        "{audited:?}"
    );
    let server = machine.serve(&[]);
    let served = machine.run(&["audit", "--url", &server.url(), "--room", "general"]);
    assert!(
        served.done().starts_with("general: whole, 5 entries, head 23:") && served.done().contains(gone),
        "{served:?}"
    );
    server.stop();
}

/// Sends messages over one connection, as a guest.
fn send_many(server: &Server, count: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::builder(server.url()).guest().connect().await.unwrap();
        let writer = client.join("general", JoinFrom::Start).await.unwrap().writer();
        for number in 1..=count {
            writer.send_text(&format!("message {number}")).await.unwrap();
        }
        client.close().await;
    });
}

/// Sends a message and redacts it again, over one connection, as a guest.
fn redact_one(server: &Server, text: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::builder(server.url()).guest().connect().await.unwrap();
        let writer = client.join("general", JoinFrom::Start).await.unwrap().writer();
        let ack = writer.send_text(text).await.unwrap();
        writer.redact(ack.seq).await.unwrap();
        client.close().await;
    });
}

fn files_with(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if std::fs::read(&path).unwrap().windows(text.len()).any(|bytes| bytes == text.as_bytes()) {
            found.push(path);
        }
    }
    found
}
