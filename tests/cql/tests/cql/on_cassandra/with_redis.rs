//! Whole servers that are nodes of a cluster, with a Redis of their own, where one of them must not be.

use rollcall::config::LogKind;
use rollcall_client::{Client, JoinFrom};
use rollcall_cql_tests::{Keyspace, rollcall_with};
use rollcall_it::log_contract::LogUnderTest as _;
use rollcall_it::server::{SECRET, TestServer, TestServerBuilder, token, wait_until};
use rollcall_it::{http, log_watch};
use rollcall_proxy::Proxy;
use rollcall_services::{Redis, unless_skipped};

const HOUR_S: i64 = 60 * 60;

pub(super) fn node(keyspace: &Keyspace, redis: String) -> TestServerBuilder {
    log_watch::watch(&["is unknown", "a statement's outcome"]);
    let options = keyspace.options();
    TestServer::build().config(|config| {
        config.log.kind = LogKind::Cql;
        config.cql.contact_points = options.contact_points;
        config.cql.keyspace = options.keyspace;
        config.cluster.node = Some("chat1".to_owned());
        config.redis.servers = vec![redis];
    })
}

/// What a server says of whether it should be sent clients.
pub(super) async fn readiness(server: &TestServer) -> (u16, String) {
    let answer = http::get(server.inner().ops_address(), "/readyz?verbose").await;
    (answer.status, answer.body)
}

pub(super) async fn be_ready(server: &TestServer) {
    wait_until("the server is ready", async || readiness(server).await.0 == 200).await;
}

pub(super) async fn write(server: &TestServer, room: &str, text: &str) -> u64 {
    let client =
        Client::builder(format!("ws://{}/v1/ws", server.address())).token(token("ann")).connect().await.unwrap();
    let room = client.join(room, JoinFrom::Head).await.unwrap();
    let seq = room.send_text(text).await.unwrap().seq.get();
    client.close().await;
    seq
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_takes_the_name_of_another_ends_and_says_why() {
    let Some(keyspace) = Keyspace::shared().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(redis) = unless_skipped(tokio::task::block_in_place(|| Redis::start(folder.path()))) else { return };
    let address = redis.address().to_string();
    let first = node(&keyspace, address.clone()).start().await;
    be_ready(&first).await;
    assert_eq!(write(&first, &keyspace.room("room"), "before").await, 2);

    let settings = [
        ("LISTEN__PUBLIC", "127.0.0.1:0"),
        ("OPS__LISTEN", "127.0.0.1:0"),
        ("AUTH__SECRET", SECRET),
        ("CLUSTER__NODE", "chat1"),
        ("REDIS__SERVERS", &address),
    ];
    let ended = rollcall_with(&keyspace, &["serve"], &settings);
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(64), "{said}");
    let why = "another server runs as node chat1 of the cluster: give each a `cluster.node` of its own";
    assert!(said.contains(why), "{said}");

    // The first one has lost nothing by it.
    assert_eq!(readiness(&first).await.0, 200);
    assert_eq!(write(&first, &keyspace.room("room"), "after").await, 3);
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_clock_is_an_hour_off_is_not_ready_and_takes_no_rooms() {
    let Some(keyspace) = Keyspace::shared().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(redis) = unless_skipped(tokio::task::block_in_place(|| Redis::start(folder.path()))) else { return };
    for (redis_ahead_s, room) in [(HOUR_S, "behind"), (-HOUR_S, "ahead")] {
        let way = Proxy::start_redis(redis.address()).await.unwrap();
        way.shift_time(redis_ahead_s);
        let server = node(&keyspace, way.address().to_string()).start().await;
        // The server is as far ahead as Redis is behind, a few ms more or less.
        let told = async |told: &str| {
            let (status, body) = readiness(&server).await;
            status == 503 && body.contains("this machine's clock is ") && body.contains(told)
        };
        let ahead = if redis_ahead_s > 0 { "-359" } else { "3" };
        wait_until("it says that its clock is wrong", async || told(ahead).await).await;
        let takes_rooms = || server.inner().directory().cluster().unwrap().view().borrow().takes_rooms;
        assert!(!takes_rooms());

        // With the right time it is a member like any other.
        way.shift_time(0);
        be_ready(&server).await;
        assert!(takes_rooms());
        assert_eq!(write(&server, &keyspace.room(room), "in time").await, 2);

        // And it is noticed while it serves.
        way.shift_time(redis_ahead_s);
        wait_until("it says so again", async || told(ahead).await).await;
        assert!(!takes_rooms());
        way.shift_time(0);
        be_ready(&server).await;
        server.stop().await;
    }
}
