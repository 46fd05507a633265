//! The client through a proxy that cuts, swallows, delays and refuses.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use rollcall_client::{Client, JoinFrom, NewWrite, RoomEvent, State};
use rollcall_it::server::{TestServer, wait_until};
use rollcall_proxy::{Direction, Proxy};

use crate::support::{all_texts, client_of, join_from_start, reconnected, soon, text, texts_to};

/// How often a connection is broken.
const ROUNDS: u64 = 8;

/// Writes through the proxy while a task breaks it, and checks that each write is stored once, in order, as acked, and that
/// a reader through the same proxy gets everything once.
async fn survives(breaking: impl AsyncFn(&Proxy, u64)) {
    let server = TestServer::start().await;
    let proxy = Proxy::start(server.address()).await.unwrap();
    let writer = client_of(proxy.address(), "alice").connect().await.unwrap();
    let reader = client_of(proxy.address(), "bob").connect().await.unwrap();
    let room = writer.join_with("general", JoinFrom::Head, drop).await.unwrap();
    let read = Arc::new(Mutex::new(Vec::new()));
    let reading = {
        let read = Arc::clone(&read);
        let take = move |event| {
            if let RoomEvent::Entries(batch) = event {
                read.lock().unwrap().extend(batch.entries);
            }
        };
        reader.join_with("general", JoinFrom::Start, take)
    };
    let _room = soon("the join", reading).await.unwrap();

    let is_broken = AtomicBool::new(true);
    let breaking = async {
        for round in 0..ROUNDS {
            let are_connected = || [&writer, &reader].iter().all(|client| is_connected(client));
            wait_until("both are connected", async || proxy.open_connections() == 2 && are_connected()).await;
            breaking(&proxy, round).await;
        }
        is_broken.store(false, Ordering::Relaxed);
    };
    let writing = async {
        let mut written = 0;
        while is_broken.load(Ordering::Relaxed) {
            let writes = (written..written + 100).map(|n| room.submit(NewWrite::text(&n.to_string()).unwrap()));
            let acks = soon("100 acks", join_all(writes.collect::<Vec<_>>())).await;
            let seqs: Vec<u64> = acks.into_iter().map(|ack| ack.unwrap().seq.get()).collect();
            assert_eq!(seqs, (written + 2..written + 102).collect::<Vec<_>>());
            written += 100;
        }
        written
    };
    let ((), written) = tokio::join!(breaking, writing);
    let expected: Vec<String> = (0..written).map(|n| n.to_string()).collect();
    let seqs: Vec<u64> = (1..=written + 1).collect();
    wait_until("all is read", async || read.lock().unwrap().len() == seqs.len()).await;
    let read = read.lock().unwrap().clone();
    assert_eq!(read.iter().map(|entry| entry.seq.get()).collect::<Vec<_>>(), seqs);
    assert_eq!(read[1..].iter().map(|entry| text(entry.body.as_ref())).collect::<Vec<_>>(), expected);
    assert_eq!(all_texts(server.address(), "general").await[1..], expected);
    assert!(proxy.accepted_connections() >= ROUNDS, "nothing was broken");
}

fn is_connected(client: &Client) -> bool {
    matches!(client.state(), State::Connected { .. })
}

#[tokio::test]
async fn cuts_lose_nothing_and_double_nothing() {
    survives(async |proxy, round| {
        tokio::time::sleep(Duration::from_millis(5 + round * 7 % 40)).await; // pace: how long the connections last
        proxy.cut();
    })
    .await;
}

#[tokio::test]
async fn cuts_in_the_middle_of_frames_lose_nothing_and_double_nothing() {
    survives(async |proxy, round| {
        let accepted = proxy.accepted_connections();
        proxy.cut_after(1_000 + round * 7_919 % 50_000);
        wait_until("the bytes are spent", async || proxy.accepted_connections() > accepted).await;
    })
    .await;
}

#[tokio::test]
async fn answers_that_are_swallowed_are_asked_for_again() {
    survives(async |proxy, round| {
        tokio::time::sleep(Duration::from_millis(10 + round * 13 % 50)).await; // pace: how long the connections last
        proxy.swallow(Direction::Down, true);
        tokio::time::sleep(Duration::from_millis(10)).await; // pace: how long answers are swallowed
        proxy.cut();
        proxy.swallow(Direction::Down, false);
    })
    .await;
}

#[tokio::test]
async fn a_long_way_is_only_slow() {
    let server = TestServer::start().await;
    let proxy = Proxy::start(server.address()).await.unwrap();
    proxy.delay(Duration::from_millis(60));
    let client = client_of(proxy.address(), "alice").connect().await.unwrap();
    let room = client.join_with("general", JoinFrom::Head, drop).await.unwrap();
    let writes: Vec<_> = (0..200).map(|n| room.submit(NewWrite::text(&n.to_string()).unwrap())).collect();
    let acks = soon("200 acks", join_all(writes)).await;
    assert_eq!(acks.last().unwrap().as_ref().unwrap().seq.get(), 201);
    assert_eq!(proxy.accepted_connections(), 1);
}

#[tokio::test]
async fn a_silent_connection_is_given_up_and_the_rest_follows_on_the_next() {
    let quick = Duration::from_millis(250);
    let server = TestServer::build().tuning(|tuning| {
        (tuning.ping_interval, tuning.pong_timeout) = (quick, quick);
    });
    let server = server.start().await;
    let proxy = Proxy::start(server.address()).await.unwrap();
    let client = client_of(proxy.address(), "alice").connect().await.unwrap();
    let (writer, mut events) = join_from_start(&client, "general").await;
    writer.send_text("before").await.unwrap();
    let mut states = client.state_events();
    states.current();
    proxy.black_hole(true);
    let pending = writer.submit(NewWrite::text("into the hole").unwrap());
    soon("the client to give up", async { while !matches!(states.next().await, Some(State::Reconnecting { .. })) {} })
        .await;
    proxy.black_hole(false);
    soon("the ack", pending).await.unwrap();
    assert_eq!(texts_to(&mut events, 0, 3).await[1..], ["before", "into the hole"]);
}

#[tokio::test]
async fn a_server_that_is_away_is_waited_for() {
    let server = TestServer::start().await;
    let proxy = Proxy::start(server.address()).await.unwrap();
    proxy.refuse(true);
    let client: Client = client_of(proxy.address(), "alice").build().unwrap();
    let mut states = client.state_events();
    let joining = client.join("general", JoinFrom::Head);
    let returning = async {
        while !matches!(states.next().await, Some(State::Reconnecting { .. })) {}
        proxy.refuse(false);
    };
    let (room, ()) = soon("the join", async { tokio::join!(joining, returning) }).await;
    room.unwrap().send_text("at last").await.unwrap();
}

#[tokio::test]
async fn a_server_that_restarts_says_good_bye_and_is_found_again() {
    let server = TestServer::start().await;
    let proxy = Proxy::start(server.address()).await.unwrap();
    let client = client_of(proxy.address(), "alice").connect().await.unwrap();
    let (writer, mut events) = join_from_start(&client, "general").await;
    writer.send_text("first life").await.unwrap();
    let mut states = client.state_events();
    states.current();
    let server = server.stop().await.start().await;
    proxy.redirect(server.address());
    reconnected(&mut states).await;
    let ack = soon("the ack", writer.send_text("second life")).await.unwrap();
    assert_eq!(ack.seq.get(), 3);
    assert_eq!(texts_to(&mut events, 0, 3).await[1..], ["first life", "second life"]);
}
