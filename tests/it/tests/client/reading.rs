//! Reading: joins from each place, history, handlers, slow readers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use rollcall_client::{Cursor, EntryFrame, HistoryError, JoinError, JoinFrom, NewWrite, RoomEvent, RoomWriter, Seq};
use rollcall_it::server::{TestServer, wait_until};

use crate::support::{client_of, join_from_start, soon, texts_to};

async fn write_many(writer: &RoomWriter, texts: impl Iterator<Item = String>) {
    let mut pending = Vec::new();
    for text in texts {
        pending.push(writer.submit(NewWrite::text(&text).unwrap()));
        if pending.len() == 500 {
            for write in pending.drain(..) {
                soon("an ack", write).await.unwrap();
            }
        }
    }
    for write in pending {
        soon("an ack", write).await.unwrap();
    }
}

#[tokio::test]
async fn a_room_is_read_from_the_start_the_head_or_a_cursor() {
    let server = TestServer::start().await;
    let client = client_of(server.address(), "alice").connect().await.unwrap();
    let (writer, mut events) = join_from_start(&client, "general").await;
    write_many(&writer, (2..=9).map(|n| n.to_string())).await;
    let mut cursor = None;
    while cursor.is_none_or(|cursor: Cursor| cursor.seq < Seq::new(9)) {
        if let Some(RoomEvent::Entries(batch)) = soon("entries", events.next()).await {
            cursor = Some(batch.cursor());
        }
    }
    for (user, from, first) in [
        ("b", JoinFrom::Start, Some(1)),
        ("c", JoinFrom::Head, None),
        ("d", JoinFrom::Cursor(Cursor { seq: Seq::new(5), hash: None }), Some(6)),
        ("e", JoinFrom::Cursor(cursor.unwrap()), Some(10)),
    ] {
        let reader = client_of(server.address(), user).connect().await.unwrap();
        let (_writer, mut events) = reader.join("general", from).await.unwrap().split();
        let last = writer.send_text("next").await.unwrap().seq.get();
        texts_to(&mut events, first.unwrap_or(last) - 1, last).await;
    }
}

#[tokio::test]
async fn a_cursor_of_another_history_is_diverged() {
    let server = TestServer::start().await;
    let client = client_of(server.address(), "alice").connect().await.unwrap();
    let (writer, _events) = join_from_start(&client, "general").await;
    write_many(&writer, (2..=9).map(|n| n.to_string())).await;
    let other = client_of(server.address(), "bob").connect().await.unwrap();
    let hash = Some("ab".repeat(32).parse().unwrap());
    for cursor in [Cursor { seq: Seq::new(5), hash }, Cursor { seq: Seq::new(500), hash: None }] {
        let joined = other.join("general", JoinFrom::Cursor(cursor)).await.map(drop);
        assert_eq!(joined, Err(JoinError::Diverged { after: cursor.seq }));
    }
    assert!(matches!(other.join("../etc", JoinFrom::Head).await.map(drop), Err(JoinError::Name(_))));
    let _room = other.join("general", JoinFrom::Head).await.unwrap();
    assert_eq!(other.join("general", JoinFrom::Head).await.map(drop), Err(JoinError::AlreadyJoined));
}

#[tokio::test]
async fn history_is_a_stream_in_both_directions() {
    let server = TestServer::start().await;
    let client = client_of(server.address(), "alice").connect().await.unwrap();
    let (writer, mut events) = join_from_start(&client, "general").await;
    let reading = tokio::spawn(async move { texts_to(&mut events, 0, 1_201).await });
    write_many(&writer, (2..=1_201).map(|n| n.to_string())).await;
    reading.await.unwrap();
    let seqs = |entries: Vec<Result<EntryFrame, HistoryError>>| {
        entries.into_iter().map(|entry| entry.unwrap().seq.get()).collect::<Vec<_>>()
    };
    let after: Vec<_> = soon("history", writer.history().after(Seq::new(100)).collect()).await;
    assert_eq!(seqs(after), (101..=1_201).collect::<Vec<_>>());
    let before: Vec<_> = soon("history", writer.history().page_entries(7).before(Seq::new(30)).collect()).await;
    assert_eq!(seqs(before), (1..30).rev().collect::<Vec<_>>());
    let mut latest = writer.history().page_entries(10).with_evidence().latest();
    let page = soon("a page", latest.next_page()).await.unwrap().unwrap();
    assert_eq!(page.list.iter().map(|entry| entry.seq.get()).collect::<Vec<_>>(), (1_192..=1_201).collect::<Vec<_>>());
    assert_eq!(page.list.last().unwrap().hash, page.hash);
    let empty: Vec<_> = soon("history", client.history("nobody-wrote-here").unwrap().latest().collect()).await;
    assert_eq!(empty.len(), 0);
}

#[tokio::test]
async fn typing_is_seen_by_those_in_the_room() {
    let server = TestServer::start().await;
    let alice = client_of(server.address(), "alice").connect().await.unwrap();
    let bob = client_of(server.address(), "bob").connect().await.unwrap();
    let mut hers = alice.join("general", JoinFrom::Head).await.unwrap();
    let his = bob.join("general", JoinFrom::Head).await.unwrap();
    his.typing();
    let signal = soon("the signal", async {
        loop {
            if let Some(RoomEvent::Signal(signal)) = hers.next().await {
                return signal;
            }
        }
    })
    .await;
    assert_eq!(signal.user.as_str(), "bob");
}

#[tokio::test]
async fn a_handler_takes_events_where_they_come_in() {
    let server = TestServer::start().await;
    let client = client_of(server.address(), "alice").connect().await.unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let writer = {
        let seen = Arc::clone(&seen);
        let take = move |event| {
            if let RoomEvent::Entries(batch) = event {
                seen.lock().unwrap().extend(batch.entries.iter().map(|entry| entry.seq.get()));
            }
        };
        client.join_with("general", JoinFrom::Start, take).await.unwrap()
    };
    write_many(&writer, (2..=600).map(|n| n.to_string())).await;
    wait_until("all were handled", async || seen.lock().unwrap().len() == 600).await;
    assert_eq!(*seen.lock().unwrap(), (1..=600).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_dropped_room_is_left_and_may_be_joined_again() {
    let server = TestServer::start().await;
    let client = client_of(server.address(), "alice").connect().await.unwrap();
    for round in 0..3_u64 {
        let room = soon("the join", client.join("general", JoinFrom::Start)).await.unwrap();
        assert_eq!(room.send_text("again").await.unwrap().seq.get(), round + 2);
    }
}

#[tokio::test]
async fn events_that_are_not_taken_stop_the_socket_and_lose_nothing() {
    const ENTRIES: u64 = 20_000;
    let server = TestServer::start().await;
    let alice = client_of(server.address(), "alice").connect().await.unwrap();
    let bob = client_of(server.address(), "bob").room_events_bytes_max(64 * 1024).connect().await.unwrap();
    let (_his, mut events) = join_from_start(&bob, "general").await;
    let elsewhere = bob.join("elsewhere", JoinFrom::Head).await.unwrap();
    let hers = alice.join_with("general", JoinFrom::Head, drop).await.unwrap();
    write_many(&hers, (2..=ENTRIES).map(|n| format!("{n} {}", "x".repeat(1_000)))).await;
    // 20 MB wait for bob, of whose socket nothing is read: the answer to his own write does not get through either.
    let mut pending = elsewhere.submit(NewWrite::text("waits").unwrap());
    let early = tokio::time::timeout(Duration::from_millis(300), &mut pending).await;
    assert!(early.is_err(), "the socket was read though nobody takes the events: {early:?}");
    let texts = texts_to(&mut events, 0, ENTRIES).await;
    assert!(texts[1].starts_with("2 ") && texts.last().unwrap().starts_with("20000 "));
    soon("the answer", pending).await.unwrap();
}
