//! Whole servers on one keyspace, one after the other.

use rollcall::config::LogKind;
use rollcall::log::CqlError;
use rollcall::ops::admin::ADMIN_TOKEN_FILE;
use rollcall::server::{Server, StartError};
use rollcall_actors::ports::Log as _;
use rollcall_client::{Client, Seq};
use rollcall_cql_tests::Keyspace;
use rollcall_it::log_contract::LogUnderTest as _;
use rollcall_it::scribe::{Scribe, after_up_to};
use rollcall_it::server::{TestServer, TestServerBuilder, token, wait_until};
use rollcall_it::{http, log_watch};
use rollcall_protocol::{ErrorCode, Format, HistoryPage, RoomId};

/// What a server says of a damaged room, and other tests of this process of theirs.
const EXPECTED: &[&str] =
    &["the log of a room is damaged", "an entry of the log is ", "is unknown", "a statement's outcome"];

fn on(keyspace: &Keyspace) -> TestServerBuilder {
    log_watch::watch(EXPECTED);
    let options = keyspace.options();
    TestServer::build().config(|config| {
        config.log.kind = LogKind::Cql;
        config.cql.contact_points = options.contact_points;
        config.cql.keyspace = options.keyspace;
    })
}

async fn client_of(server: &TestServer) -> Client {
    let url = format!("ws://{}/v1/ws", server.address());
    Client::builder(url).token(token("alice")).connect().await.unwrap()
}

/// Asks a server what it knows of a room.
async fn look_at(server: &TestServer, room: &str) -> String {
    let address = server.inner().ops_address();
    let token = std::fs::read_to_string(server.folder().join(ADMIN_TOKEN_FILE)).unwrap();
    let request = format!(
        "GET /admin/v1/rooms/{room} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nauthorization: Bearer {}\r\n\r\n",
        token.trim()
    );
    http::request(address, &request).await.body
}

/// What one server has acknowledged, the next one serves and numbers on from, whose data folder is empty.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_goes_on_where_the_first_has_stopped() {
    let Some(keyspace) = Keyspace::shared().await else { return };
    let room_name = keyspace.room("room");
    for life in 0..2_u64 {
        let server = on(&keyspace).start().await;
        let client = client_of(&server).await;
        let room = client.join(&room_name, rollcall_client::JoinFrom::Head).await.unwrap();
        for write in 0..3 {
            // Entry 1 is the room's own, which its first write commits.
            let ack = room.send_text(&format!("{write} of life {life}")).await.unwrap();
            assert_eq!(ack.seq.get(), life * 3 + write + 2);
        }
        let mut history = client.history(&room_name).unwrap().after(Seq::ZERO);
        let mut numbers = Vec::new();
        while let Some(entry) = history.next().await {
            numbers.push(entry.unwrap().seq.get());
        }
        assert_eq!(numbers, (1..=life * 3 + 4).collect::<Vec<_>>());
        assert!(server.metric("rollcall_log_entries_total").await >= 3.0);
        client.close().await;
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_its_tables_does_not_start() {
    let Some(keyspace) = Keyspace::own().await else { return };
    keyspace.query("DROP TABLE {}.schema_version");
    let started = Server::start(on(&keyspace).config).await;
    let is_said = matches!(started, Err(StartError::Cql(CqlError::NoSchema { .. })));
    assert!(is_said, "{:?}", started.err());
}

/// Nothing is numbered over a damaged entry; what comes before it is served, and all of it once the entry was restored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_room_is_shown_up_to_there_until_it_is_restored() {
    let Some(keyspace) = Keyspace::shared().await else { return };
    let room_name = keyspace.room("room");
    let mut scribe = Scribe::activate(&*keyspace.log(), &room_name, 1).await;
    let entries = scribe.commit_messages(&*keyspace.log(), 10).await;
    let set_hash = |hash: &[u8]| {
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let seventh = format!("channel_id = '{room_name}' AND bucket = 0 AND message_id = 7");
        keyspace.query(&format!("UPDATE {{}}.messages SET hash = 0x{hex} WHERE {seventh}"));
    };
    set_hash(&[0; 32]);

    let server = on(&keyspace).start().await;
    let client = client_of(&server).await;
    let room = client.join(&room_name, rollcall_client::JoinFrom::Start).await.unwrap();
    let numbers = async || {
        let mut history = client.history(&room_name).unwrap().after(Seq::ZERO);
        let mut numbers = Vec::new();
        while let Some(entry) = history.next().await {
            numbers.push(entry.unwrap().seq.get());
        }
        numbers
    };
    assert_eq!(numbers().await, [1, 2, 3, 4, 5, 6]);
    let sent = tokio::spawn({
        let room = room.clone();
        async move { room.send_text("after the damage").await }
    });
    wait_until("the write was refused", async || {
        server.metric("rollcall_refusals_total{code=\"unavailable\"}").await > 0.0
    })
    .await;
    assert_eq!(server.metric("rollcall_rooms_damaged").await, 1.0);
    assert!(log_watch::saw("rollcall audit") && log_watch::saw("entry=7"));
    assert!(!sent.is_finished());

    set_hash(&entries[6].hash.0);
    assert_eq!(sent.await.unwrap().unwrap().seq.get(), 11);
    assert_eq!(numbers().await, (1..=11).collect::<Vec<_>>());
    assert_eq!(server.metric("rollcall_rooms_damaged").await, 0.0);
    client.close().await;
    server.stop().await;
}

/// Damage below the newest snapshot is not looked for when a room becomes active. Whoever reads there finds it, and then nothing more is
/// numbered, operators are told, and what comes before the damage is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_below_a_snapshot_stops_the_room_once_somebody_reads_it() {
    let Some(keyspace) = Keyspace::shared().await else { return };
    let room_name = keyspace.room("room");
    let server = on(&keyspace).start().await;
    let client = client_of(&server).await;
    let room = client.join(&room_name, rollcall_client::JoinFrom::Head).await.unwrap();
    for write in 0..9 {
        room.send_text(&format!("message {write}")).await.unwrap();
    }
    client.close().await;
    server.stop().await;
    let log = keyspace.log();
    let room_id = RoomId::parse(&room_name).unwrap();
    let stored = log.read_snapshot(&room_id, Seq::new(10)).await.unwrap().unwrap();
    assert_eq!(stored.seq, Seq::new(10), "the server has left a snapshot of all of it");
    let sixth = log.read(&room_id, after_up_to(Seq::new(5), 6, 1)).await.unwrap().remove(0);
    let set_hash = |hash: &[u8]| {
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let row = format!("channel_id = '{room_name}' AND bucket = 0 AND message_id = 6");
        keyspace.query(&format!("UPDATE {{}}.messages SET hash = 0x{hex} WHERE {row}"));
    };
    set_hash(&[0; 32]);

    let server = on(&keyspace).start().await;
    let client = client_of(&server).await;
    let room = client.join(&room_name, rollcall_client::JoinFrom::Head).await.unwrap();
    assert_eq!(room.send_text("nobody knows of it").await.unwrap().seq.get(), 11);
    assert_eq!(server.metric("rollcall_rooms_damaged").await, 0.0);
    let mut reader = server.user(Format::Json, "bob").await;
    let page = reader.history(&room_name, |history| history.after = Some(Seq::ZERO)).await.unwrap();
    let numbers = |page: HistoryPage| page.list.iter().map(|entry| entry.seq.get()).collect::<Vec<_>>();
    assert_eq!(numbers(page), [1, 2, 3, 4, 5], "what comes before it is served");
    let error = reader.history(&room_name, |history| history.after = Some(Seq::new(5))).await.unwrap_err();
    assert_eq!((error.code, error.retryable), (ErrorCode::Unavailable, true), "and then the reader is told");
    assert_eq!(server.metric("rollcall_rooms_damaged").await, 1.0);
    assert!(log_watch::saw("entry=6"));
    let seen = look_at(&server, &room_name).await;
    assert!(seen.contains("\"damage\":{\"entry\":6") && seen.contains("\"is_damaged\":true"), "{seen}");

    let refusals = async || server.metric("rollcall_refusals_total{code=\"unavailable\"}").await;
    let refused_before = refusals().await;
    let sent = tokio::spawn({
        let room = room.clone();
        async move { room.send_text("on top of it").await }
    });
    wait_until("the write was refused", async || refusals().await > refused_before).await;
    assert!(!sent.is_finished());
    assert_eq!(log.tail(&room_id).await.unwrap().unwrap().last_seq, Seq::new(11), "nothing was numbered");

    set_hash(&sixth.hash.0);
    assert_eq!(sent.await.unwrap().unwrap().seq.get(), 12);
    let page = reader.history(&room_name, |history| history.after = Some(Seq::ZERO)).await.unwrap();
    assert_eq!(numbers(page), (1..=12).collect::<Vec<_>>());
    assert_eq!(server.metric("rollcall_rooms_damaged").await, 0.0);
    client.close().await;
    server.stop().await;
}
