//! The client across the nodes of a cluster: it goes where one is, and takes along what it wrote and where it was.

use futures_util::future::join_all;
use rollcall_client::{Client, NewWrite, RoomId};
use rollcall_it::server::{TestServer, token, wait_until};
use rollcall_it::together::Together;

use crate::support::{join_from_start, reconnected, soon, texts_to};

async fn nodes(together: &Together, names: &[&str]) -> Vec<TestServer> {
    let servers = join_all(names.iter().map(|name| together.server(name, TestServer::build()).start())).await;
    for server in &servers {
        let cluster = server.inner().directory().cluster().unwrap();
        let mut view = cluster.view();
        soon("the others", view.wait_for(|view| view.peers.len() + 1 == names.len())).await.unwrap();
    }
    servers
}

fn client_of_all(servers: &[TestServer], user: &str) -> rollcall_client::ClientBuilder {
    let mut urls = servers.iter().map(|server| format!("ws://{}/v1/ws", server.address()));
    let builder = Client::builder(urls.next().unwrap()).token(token(user));
    urls.fold(builder, rollcall_client::ClientBuilder::or_at)
}

#[tokio::test]
async fn clients_of_a_node_that_stops_go_on_at_the_others() {
    let together = Together::now();
    let mut servers = nodes(&together, &["a", "b", "c"]).await;
    let clients = join_all((0..12).map(|user| client_of_all(&servers, &format!("user{user}")).connect())).await;
    let clients: Vec<Client> = clients.into_iter().map(Result::unwrap).collect();
    let rooms = join_all(clients.iter().map(|client| join_from_start(client, "general"))).await;
    let writes = |round: u64| {
        let writes = rooms.iter().map(|(writer, _)| writer.submit(NewWrite::text(&round.to_string()).unwrap()));
        join_all(writes.collect::<Vec<_>>())
    };
    assert!(soon("the acks", writes(1)).await.iter().all(Result::is_ok));

    let stopping = servers.remove(0);
    let address = stopping.address();
    let here = stopping.metric("rollcall_connections").await;
    let stopped = tokio::spawn(async move { drop(stopping.stop().await) });
    // What is written meanwhile is acknowledged, wherever it goes.
    for round in 2..=10 {
        assert!(soon("the acks", writes(round)).await.iter().all(Result::is_ok));
    }
    soon("the stop", stopped).await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens there any more");
    let connections =
        async || servers[0].metric("rollcall_connections").await + servers[1].metric("rollcall_connections").await;
    wait_until("everybody is at another node", async || (connections().await - 12.0).abs() < f64::EPSILON).await;
    assert!(here > 0.0, "some were at the node that stopped");
    for (_, mut events) in rooms {
        let texts = texts_to(&mut events, 0, 1 + 120).await;
        assert_eq!(texts.iter().filter(|text| *text == "10").count(), 12);
    }
}

#[tokio::test]
async fn a_client_whose_node_hears_nothing_reads_what_is_written_at_the_other() {
    let together = Together::now();
    let servers = nodes(&together, &["a", "b"]).await;
    let client = async |at: usize, user: &str| {
        let url = format!("ws://{}/v1/ws", servers[at].address());
        Client::builder(url).token(token(user)).connect().await.unwrap()
    };
    let scout = client(0, "scout").await;
    soon("the ack", join_from_start(&scout, "general").await.0.send_text("1")).await.unwrap();
    let cluster = servers[0].inner().directory().cluster().unwrap();
    let owner = cluster.room(&RoomId::parse("general").unwrap()).await.unwrap().owner.unwrap();
    let (here, there) = if owner == *cluster.me() { (0, 1) } else { (1, 0) };
    let (writer, mut own) = join_from_start(&client(here, "ann").await, "general").await;
    let (_, mut others) = join_from_start(&client(there, "bob").await, "general").await;
    texts_to(&mut others, 0, 2).await;
    together.cut_off(["a", "b"][there]);
    for text in ["2", "3"] {
        soon("the ack", writer.send_text(text)).await.unwrap();
    }
    assert_eq!(texts_to(&mut others, 2, 4).await, ["2", "3"]);
    assert_eq!(texts_to(&mut own, 0, 4).await[2..], ["2", "3"]);
}

#[tokio::test]
async fn a_client_that_loses_its_node_without_a_word_writes_each_of_its_writes_once() {
    let together = Together::now();
    let servers = nodes(&together, &["a", "b"]).await;
    let proxies = join_all(servers.iter().map(|server| rollcall_proxy::Proxy::start(server.address()))).await;
    let mut proxies: Vec<_> = proxies.into_iter().map(Result::unwrap).collect();
    let urls: Vec<_> = proxies.iter().map(|proxy| format!("ws://{}/v1/ws", proxy.address())).collect();
    let client = Client::builder(&urls[0]).or_at(&urls[1]).token(token("ann")).connect().await.unwrap();
    let (writer, mut events) = join_from_start(&client, "general").await;
    let mut states = client.state_events();
    let mut sent = 0;
    for _ in 0..4 {
        let pending: Vec<_> =
            (0..20).map(|at| writer.submit(NewWrite::text(&(sent + at).to_string()).unwrap())).collect();
        sent += 20;
        for proxy in &mut proxies {
            proxy.cut();
        }
        reconnected(&mut states).await;
        assert!(soon("the acks", join_all(pending)).await.iter().all(Result::is_ok));
    }
    let texts = texts_to(&mut events, 0, sent + 1).await;
    assert_eq!(texts[1..], (0..sent).map(|at| at.to_string()).collect::<Vec<_>>());
}
