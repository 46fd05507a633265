//! Whole servers on one keyspace, one after the other.

use rollcall::config::LogKind;
use rollcall::log::CqlError;
use rollcall::server::{Server, StartError};
use rollcall_client::{Client, Seq};
use rollcall_cql_tests::Keyspace;
use rollcall_it::log_contract::LogUnderTest as _;
use rollcall_it::server::{TestServer, TestServerBuilder, token};

fn on(keyspace: &Keyspace) -> TestServerBuilder {
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
