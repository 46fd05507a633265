//! `GET /v1/connect`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use rollcall_it::server::{TestServer, wait_until};
use serde_json::{Value, json};

use super::asking::{ask, post};
use super::cluster::{Cluster, node_of};

async fn connect(server: &TestServer) -> (u16, Value) {
    connect_at(server.address()).await
}

async fn connect_at(address: SocketAddr) -> (u16, Value) {
    let answer = ask(address, "GET", "/v1/connect", "", "").await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

#[tokio::test]
async fn a_server_by_itself_is_where_it_was_asked() {
    let server = TestServer::start().await;
    assert_eq!(connect(&server).await, (200, json!({})));
}

#[tokio::test]
async fn web_pages_may_ask_that_may_connect() {
    let allow =
        |config: &mut rollcall::config::Config| config.origins.allowed = vec!["https://chat.example".to_owned()];
    let server = TestServer::build().config(allow).start().await;
    let from =
        async |origin: &str| ask(server.address(), "GET", "/v1/connect", &format!("Origin: {origin}\r\n"), "").await;
    let allowed = from("https://chat.example").await;
    assert_eq!(allowed.status, 200);
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://chat.example"));
    assert_eq!(allowed.header("vary"), Some("origin"));
    let own = format!("http://{}", server.address());
    assert_eq!(from(&own).await.header("access-control-allow-origin"), Some(own.as_str()));
    let refused = from("https://elsewhere.example").await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (403, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_out_of_service_sends_clients_to_all_others() {
    let cluster = Cluster::start(&["a", "b", "c"]).await;
    let [a, ..] = &cluster.nodes[..] else { unreachable!("three were started") };
    assert_eq!(connect(a).await, (200, json!({"node": "a", "url": "wss://a.example/v1/ws"})));
    assert_eq!(post(a, "drain", "").await.0, 202);
    wait_until("the node sends clients elsewhere", async || node_of(&connect(a).await.1) != "a").await;
    let mut named = BTreeSet::new();
    for _ in 0..100 {
        let (status, good) = connect(a).await;
        assert_eq!((status, good["url"].clone()), (200, json!(format!("wss://{}.example/v1/ws", node_of(&good)))));
        named.insert(node_of(&good));
    }
    assert_eq!(named, BTreeSet::from(["b".to_owned(), "c".to_owned()]), "they are spread");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_sends_clients_elsewhere_as_long_as_it_can() {
    let mut cluster = Cluster::start_with_grace(&["a", "b"], Duration::from_secs(60)).await;
    let a = cluster.nodes.remove(0);
    let address = a.address();
    assert_eq!(node_of(&connect_at(address).await.1), "a");
    let stopping = tokio::spawn(a.stop());
    wait_until("the node names the other one", async || node_of(&connect_at(address).await.1) == "b").await;
    assert!(!stopping.is_finished(), "it serves on");
    stopping.abort();
}
