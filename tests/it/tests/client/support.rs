//! What these tests share.

use std::net::SocketAddr;
use std::time::Duration;

use rollcall_client::{Client, ClientBuilder, JoinFrom, RoomEvent, RoomEvents, State};
use rollcall_it::server::token;

/// How long anything may take before a test has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn client_of(address: SocketAddr, user: &str) -> ClientBuilder {
    Client::builder(format!("ws://{address}/v1/ws")).token(token(user))
}

/// Waits for something, but not for ever.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Reads the texts of a room up to an entry, and fails on a hole, a repetition or a gap between batches.
pub async fn texts_to(events: &mut RoomEvents, after: u64, last: u64) -> Vec<String> {
    let mut texts = Vec::new();
    let mut place = after;
    while place < last {
        let event = soon("the next entry", events.next()).await.expect("the room goes on");
        let RoomEvent::Entries(batch) = event else { continue };
        for entry in batch.entries {
            place += 1;
            assert_eq!(entry.seq.get(), place);
            texts.push(text(entry.body.as_ref()));
        }
    }
    texts
}

/// Reads all texts of a room by a client of its own.
pub async fn all_texts(address: SocketAddr, room: &str) -> Vec<String> {
    let client = client_of(address, "auditor").connect().await.unwrap();
    let mut history = client.history(room).unwrap().after(rollcall_client::Seq::ZERO);
    let mut texts = Vec::new();
    while let Some(entry) = soon("the next entry", history.next()).await {
        texts.push(text(entry.unwrap().body.as_ref()));
    }
    texts
}

/// Returns the text of a body; what is not a message has none.
pub fn text(body: Option<&rollcall_client::Body>) -> String {
    let value: serde_json::Value = body.map_or(serde_json::Value::Null, |body| body.parse().unwrap());
    value["text"].as_str().unwrap_or_default().to_owned()
}

/// Waits until the client is connected, for the next time.
pub async fn reconnected(states: &mut rollcall_client::StateEvents) {
    soon("a connection", async {
        while !matches!(states.next().await.expect("the client goes on"), State::Connected { .. }) {}
    })
    .await;
}

/// Joins a room from its start.
pub async fn join_from_start(client: &Client, room: &str) -> (rollcall_client::RoomWriter, RoomEvents) {
    soon("the join", client.join(room, JoinFrom::Start)).await.unwrap().split()
}
