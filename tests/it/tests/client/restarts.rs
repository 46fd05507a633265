//! Restarts of the client's program: what is stored goes on.

use futures_util::future::join_all;
use rollcall_client::storage::{FileStorage, MemoryStorage};
use rollcall_client::{Client, DeviceId, JoinFrom, NewWrite, RoomEvent, RoomId, State, WriteError};
use rollcall_it::server::{TestServer, wait_until};
use rollcall_proxy::{Direction, Proxy};

use crate::support::{all_texts, client_of, join_from_start, soon, texts_to};

#[tokio::test]
async fn writes_whose_answers_were_lost_are_asked_for_by_the_next_life() {
    let server = TestServer::start().await;
    let proxy = Proxy::start(server.address()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let open = || FileStorage::open(folder.path().join("client.json")).unwrap();

    let client = client_of(proxy.address(), "alice").storage(open()).connect().await.unwrap();
    let room = client.join("general", JoinFrom::Head).await.unwrap();
    room.send_text("acked").await.unwrap();
    // The server takes ten writes, and no answer comes back; ten more do not even get there.
    proxy.swallow(Direction::Down, true);
    let mut pending: Vec<_> = (0..10).map(|n| room.submit(NewWrite::text(&n.to_string()).unwrap())).collect();
    wait_until("the server has stored them", async || all_texts(server.address(), "general").await.len() == 12).await;
    proxy.swallow(Direction::Up, true);
    pending.extend((10..20).map(|n| room.submit(NewWrite::text(&n.to_string()).unwrap())));
    let kept = || std::fs::read_to_string(folder.path().join("client.json")).unwrap();
    wait_until("they are kept", async || kept().contains(r#""n":21,"#)).await;
    client.close().await;
    for outcome in join_all(pending).await {
        assert_eq!(outcome, Err(WriteError::Unknown { last: None }));
    }
    drop((room, client));

    wait_until("all that was sent is swallowed", async || proxy.open_connections() == 0).await;
    proxy.black_hole(false);
    let client = client_of(proxy.address(), "alice").storage(open()).connect().await.unwrap();
    assert_eq!(client.unanswered_rooms().iter().map(RoomId::as_str).collect::<Vec<_>>(), ["general"]);
    let mut room = client.join("general", JoinFrom::Head).await.unwrap();
    let mut recovered = Vec::new();
    while recovered.len() < 20 {
        if let Some(RoomEvent::Recovered { write, outcome }) = soon("an answer", room.next()).await {
            recovered.push((write.n, outcome.unwrap()));
        }
    }
    let numbers: Vec<_> = recovered.iter().map(|(n, ack)| (*n, ack.seq.get(), ack.duplicate)).collect();
    assert_eq!(numbers, (2..=21).map(|n| (n, n + 1, n <= 11)).collect::<Vec<_>>());
    assert_eq!(soon("the ack", room.send_text("new")).await.unwrap().seq.get(), 23);
    let texts: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    assert_eq!(all_texts(server.address(), "general").await[2..22], texts);
    client.close().await;
    assert!(!kept().contains("unanswered"), "{}", kept());
}

#[tokio::test]
async fn a_guest_comes_back_under_its_name_and_reads_on_where_it_was() {
    let server = TestServer::start().await;
    let storage = MemoryStorage::default();
    let url = format!("ws://{}/v1/ws", server.address());
    let guest = async || Client::builder(&url).storage(storage.clone()).connect().await.unwrap();
    let name = |client: &Client| match client.state() {
        State::Connected { user, device, .. } => (user, device),
        state => panic!("{state:?}"),
    };
    let first = guest().await;
    let (writer, mut events) = join_from_start(&first, "general").await;
    for text in ["a", "b", "c"] {
        writer.send_text(text).await.unwrap();
    }
    assert_eq!(texts_to(&mut events, 0, 3).await, ["", "a", "b"]);
    let before = name(&first);
    // The fourth is taken and not asked beyond: it counts as not handled.
    texts_to(&mut events, 3, 4).await;
    first.close().await;

    let second = guest().await;
    assert_eq!(name(&second), before);
    let (writer, mut events) = second.join("general", JoinFrom::Saved).await.unwrap().split();
    writer.send_text("d").await.unwrap();
    assert_eq!(texts_to(&mut events, 3, 5).await, ["c", "d"]);
}

#[tokio::test]
async fn a_device_without_its_numbers_takes_a_new_name() {
    let server = TestServer::start().await;
    let phone = || client_of(server.address(), "alice").device(DeviceId::parse("phone").unwrap());
    let first = phone().connect().await.unwrap();
    first.join("general", JoinFrom::Head).await.unwrap().send_text("first life").await.unwrap();
    first.close().await;

    let second = phone().connect().await.unwrap();
    let room = second.join("general", JoinFrom::Head).await.unwrap();
    let ack = soon("the ack", room.send_text("second life")).await.unwrap();
    assert_eq!(ack.seq.get(), 3);
    assert!(matches!(second.state(), State::Connected { device, .. } if device.as_str() != "phone"));
}
