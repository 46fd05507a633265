//! Entries that expire in a served room: told, deleted partition by partition, and finished by the next server where one was cut short.

use rollcall::config::LogKind;
use rollcall::ops::admin::ADMIN_TOKEN_FILE;
use rollcall_actors::ports::{Log as _, LogError};
use rollcall_client::{Client, JoinFrom, RoomEvent};
use rollcall_cql_tests::{Keyspace, rollcall};
use rollcall_it::controlled_log::ControlledLog;
use rollcall_it::log_contract::LogUnderTest as _;
use rollcall_it::scribe::after_up_to;
use rollcall_it::server::{TestServer, TestServerBuilder, token, wait_until};
use rollcall_it::{http, log_watch};
use rollcall_protocol::{Format, RoomId, Seq};

/// Entries of the room: its creation and what was sent, more than one partition takes.
const ENTRIES: u64 = 4_100;

fn on(keyspace: &Keyspace) -> TestServerBuilder {
    log_watch::watch(&["failed to delete entries that have expired", "is unknown", "a statement's outcome"]);
    let options = keyspace.options();
    TestServer::build().config(|config| {
        config.log.kind = LogKind::Cql;
        config.cql.contact_points = options.contact_points;
        config.cql.keyspace = options.keyspace;
    })
}

async fn client_of(server: &TestServer, name: &str) -> Client {
    let url = format!("ws://{}/v1/ws", server.address());
    Client::builder(url).token(token(name)).connect().await.unwrap()
}

/// Has what lies before a number expire.
async fn expire(server: &TestServer, room: &str, before: u64) -> String {
    let address = server.inner().ops_address();
    let admin_token = std::fs::read_to_string(server.folder().join(ADMIN_TOKEN_FILE)).unwrap();
    let body = format!("{{\"before\":{before}}}");
    let request = format!(
        "POST /admin/v1/rooms/{room}/expire HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\ncontent-length: {}\r\n\
         content-type: application/json\r\nauthorization: Bearer {}\r\n\r\n{body}",
        body.len(),
        admin_token.trim()
    );
    http::request(address, &request).await.body
}

/// Joins a room from its start, and returns what has expired and the first number that came.
async fn read_from_start(client: &Client, room: &str) -> ((u64, u64), u64) {
    let (_writer, mut events) = client.join(room, JoinFrom::Start).await.unwrap().split();
    let mut expired = (0, 0);
    loop {
        match events.next().await.expect("the room goes on") {
            RoomEvent::Expired { from, to } => expired = (from.get(), to.get()),
            RoomEvent::Entries(batch) => return (expired, batch.entries[0].seq.get()),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expiry_that_was_cut_short_is_told_at_once_and_finished_by_the_next_server() {
    let Some(keyspace) = Keyspace::shared().await else { return };
    let name = keyspace.room("room");
    let room = RoomId::parse(&name).unwrap();
    let controlled = ControlledLog::unplaced();
    let server = on(&keyspace).tuning(|tuning| tuning.wrap_log = controlled.into_server()).start().await;
    server.user(Format::Json, "ann").await.send_all(&name, 1..=ENTRIES - 1).await;

    // As if the server died between the commit and the deletion.
    controlled.fail_expiries(usize::MAX);
    let answer = expire(&server, &name, ENTRIES).await;
    assert!(answer.contains("\"floor\":4097"), "whole partitions alone: {answer}");
    let bob = client_of(&server, "bob").await;
    assert_eq!(read_from_start(&bob, &name).await, ((1, 4_096), 4_097));
    let log = keyspace.log();
    let first = log.read(&room, after_up_to(Seq::ZERO, 1, 1)).await.unwrap();
    assert_eq!(first[0].seq, Seq::FIRST, "it is all there");
    bob.close().await;
    server.stop().await;

    let server = on(&keyspace).start().await;
    let carl = client_of(&server, "carl").await;
    assert_eq!(read_from_start(&carl, &name).await, ((1, 4_096), 4_097));
    let rows = || {
        let of_room = format!("channel_id = '{name}' AND bucket = 0");
        keyspace.query(&format!("SELECT message_id FROM {{}}.messages WHERE {of_room}")).into_iter().flatten().flatten()
    };
    wait_until("the first partition is empty", async || rows().count() == 0).await;
    let below = log.read(&room, after_up_to(Seq::ZERO, 1, 1)).await;
    assert_eq!(below, Err(LogError::Expired { floor: Seq::new(4_097) }));
    let ack = carl.join(&name, JoinFrom::Head).await.unwrap().send_text("it goes on").await.unwrap();
    assert_eq!(ack.seq.get(), ENTRIES + 2, "after what says what has expired");
    carl.close().await;
    server.stop().await;

    let ended = rollcall(&keyspace, &["audit", "--room", &name]);
    let output = String::from_utf8(ended.stdout).unwrap();
    assert!(ended.status.success() && output.contains("what was before 4097 has expired"), "{output}");
}
