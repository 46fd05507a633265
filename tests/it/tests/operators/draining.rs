//! A node that was taken out of service and goes on: where its clients are, and who comes to it.

use futures_util::future::join_all;
use rollcall_client::{Client, JoinFrom, Room};
use rollcall_it::server::{TestServer, token, wait_until};
use rollcall_protocol::{Format, Incoming};
use rollcall_proxy::Proxy;

use super::asking::{ask, post};
use super::cluster::Cluster;

/// So many that chance sends all of them to one of two nodes once in some millions of runs.
const CLIENTS: u8 = 24;

async fn connections(server: &TestServer) -> f64 {
    server.metric("rollcall_connections").await
}

async fn each_writes(rooms: &[Room], text: &str) {
    let acks = join_all(rooms.iter().map(|room| room.send_text(text))).await;
    assert!(acks.iter().all(Result::is_ok), "{acks:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_clients_go_to_all_other_nodes_and_stay_there() {
    let cluster = Cluster::start(&["a", "b", "c"]).await;
    let [a, b, c] = &cluster.nodes[..] else { unreachable!("three were started") };
    let [to_b, to_c] = [Proxy::start(b.address()).await.unwrap(), Proxy::start(c.address()).await.unwrap()];
    // All begin at the node that will be drained.
    to_b.refuse(true);
    to_c.refuse(true);
    let urls = [a.address(), to_b.address(), to_c.address()].map(|address| format!("ws://{address}/v1/ws"));
    let client = |user: u8| {
        let knows_all = Client::builder(&urls[0]).or_at(&urls[1]).or_at(&urls[2]);
        knows_all.token(token(&format!("user{user}"))).connect()
    };
    let clients: Vec<Client> = join_all((0..CLIENTS).map(client)).await.into_iter().map(Result::unwrap).collect();
    let joined = join_all(clients.iter().map(|client| client.join("general", JoinFrom::Head))).await;
    let rooms: Vec<Room> = joined.into_iter().map(Result::unwrap).collect();
    each_writes(&rooms, "at a").await;
    let all = f64::from(CLIENTS);
    assert!((connections(a).await - all).abs() < f64::EPSILON);
    to_b.refuse(false);
    to_c.refuse(false);

    assert_eq!(post(a, "drain", "").await.0, 202);
    assert_eq!(ask(a.inner().ops_address(), "GET", "/readyz", "", "").await.status, 503);
    each_writes(&rooms, "on the way").await;
    wait_until("all are elsewhere", async || {
        connections(a).await == 0.0 && (connections(b).await + connections(c).await - all).abs() < f64::EPSILON
    })
    .await;
    assert!(connections(b).await > 0.0 && connections(c).await > 0.0, "they are spread");
    each_writes(&rooms, "elsewhere").await;

    // Nor does it get them back when another node loses them.
    let opened = a.metric("rollcall_connections_opened_total").await;
    to_b.refuse(true);
    to_b.cut();
    wait_until("all are at the one that is left", async || (connections(c).await - all).abs() < f64::EPSILON).await;
    each_writes(&rooms, "at c").await;
    assert!((a.metric("rollcall_connections_opened_total").await - opened).abs() < f64::EPSILON);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_all_the_same_is_served_and_told_to_go() {
    let cluster = Cluster::start(&["a", "b"]).await;
    assert_eq!(post(&cluster.nodes[0], "drain", "").await.0, 202);
    let mut late = cluster.nodes[0].user(Format::Json, "late").await;
    let Incoming::GoingAway(goodbye) = late.push().await else { panic!("it was not told") };
    assert!((5_000..=10_000).contains(&goodbye.retry_after_ms), "{goodbye:?}");
    let mut welcome = cluster.nodes[1].user(Format::Json, "welcome").await;
    welcome.send_all("general", 1..=3).await;
    late.join("general", Some(0)).await.unwrap();
    late.entries_through("general", 0, 4).await;
}
