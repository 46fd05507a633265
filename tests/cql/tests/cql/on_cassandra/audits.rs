//! `rollcall audit` of rooms in CQL, as an operator runs it while servers go on.

use rollcall_actors::ports::Log;
use rollcall_cql_tests::{Keyspace, rollcall};
use rollcall_it::log_contract::LogUnderTest as _;
use rollcall_it::scribe::Scribe;
use rollcall_protocol::Kind;

/// What an audit printed, and the code that it ended with.
fn audit(keyspace: &Keyspace, arguments: &[&str]) -> (i32, String) {
    let ended = rollcall(keyspace, &[&["audit"], arguments].concat());
    let output = String::from_utf8(ended.stdout).unwrap();
    (ended.status.code().unwrap(), output + &String::from_utf8(ended.stderr).unwrap())
}

/// Makes a room of nine messages after its creation.
async fn room_of_ten(log: &dyn Log, name: &str) -> Scribe {
    let mut scribe = Scribe::activate(log, name, 1).await;
    let creation = scribe.entry(Kind::Room, None, Some("created"));
    scribe.commit(log, vec![creation]).await;
    scribe.commit_messages(log, 9).await;
    scribe
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_room_is_said_to_be_whole_and_its_owner_goes_on() {
    let Some(keyspace) = Keyspace::shared().await else { return };
    let room = keyspace.room("whole");
    let mut scribe = room_of_ten(&*keyspace.log(), &room).await;
    let (code, output) = audit(&keyspace, &["--room", &room]);
    assert!(code == 0 && output.starts_with(&format!("{room}: whole, 10 entries, head 10:")), "{output}");
    let anchor = output.split("head ").nth(1).unwrap().split_whitespace().next().unwrap();
    // Its fence is as it was: nobody took the room.
    scribe.commit_messages(&*keyspace.log(), 2).await;
    let (code, output) = audit(&keyspace, &["--room", &room, "--anchor", anchor]);
    assert!(code == 0 && output.starts_with(&format!("{room}: whole, 12 entries, head 12:")), "{output}");
    let (code, output) = audit(&keyspace, &["--room", &keyspace.room("nobodys")]);
    assert!(code == 1 && output.contains("nobody has written to"), "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_changed_past_the_log_is_named() {
    let Some(keyspace) = Keyspace::shared().await else { return };
    let cases = [
        (
            "rewritten",
            "UPDATE {}.messages SET body = 0x2273616964206f746865727769736522",
            "7 cannot be read: its body does not fit",
        ),
        ("forged", "UPDATE {}.messages SET sender_id = 'mallory'", "7 cannot be read: its hash does not fit"),
        ("promoted", "UPDATE {}.messages SET w_epoch = 9", "10 has epoch 9, above that of the room's fence, 1"),
        ("holed", "DELETE FROM {}.messages", "7 is missing"),
        ("cut", "UPDATE {}.messages SET last_seq = 6", "7 is stored, and the room's fence does not know it"),
        ("raised", "UPDATE {}.messages SET last_seq = 12", "11 is missing"),
    ];
    for (name, statement, expected) in cases {
        let room = keyspace.room(name);
        room_of_ten(&*keyspace.log(), &room).await;
        let row = match name {
            "cut" | "raised" => "",
            "promoted" => " AND message_id = 10",
            _ => " AND message_id = 7",
        };
        keyspace.query(&format!("{statement} WHERE channel_id = '{room}' AND bucket = 0{row}"));
        let (code, output) = audit(&keyspace, &["--room", &room]);
        let line = output.lines().next().unwrap_or_default();
        assert!(code == 1 && line.starts_with(&format!("{room}: BROKEN: entry {expected}")), "{name}: {output}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_rooms_of_a_keyspace_are_found_each_once() {
    let Some(keyspace) = Keyspace::own().await else { return };
    let (code, output) = audit(&keyspace, &[]);
    assert!(code == 0 && output.starts_with("0 rooms with 0 entries"), "{output}");
    let log = keyspace.open(|options| options).await;
    let mut large = room_of_ten(&log, "one").await;
    // Up to the end of its first bucket, and on in the second.
    for count in [227; 18].into_iter().chain([28]) {
        large.commit_messages(&log, count).await;
    }
    for name in ["two", "three"] {
        room_of_ten(&log, name).await;
    }
    keyspace.query("UPDATE {}.messages SET n = 77 WHERE channel_id = 'two' AND bucket = 0 AND message_id = 3");
    let (code, output) = audit(&keyspace, &[]);
    let mut lines: Vec<&str> = output.lines().collect();
    let last = lines.pop();
    lines.sort_unstable();
    assert_eq!((code, last, lines.len()), (1, Some("1 of 3 rooms are broken"), 3), "{output}");
    assert!(lines[0].starts_with("one: whole, 4124 entries") && lines[1].starts_with("three: whole"), "{output}");
    assert!(lines[2].starts_with("two: BROKEN: entry 3 "), "{output}");
}
