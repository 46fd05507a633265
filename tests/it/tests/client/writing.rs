//! Writes: numbered, typed errors, many in flight.

use futures_util::future::join_all;
use rollcall_client::{
    Body, Client, ConnectError, ErrorCode, Format, JoinError, JoinFrom, NewWrite, Seq, State, StopError, WriteError,
};
use rollcall_it::server::{TestServer, token};

use crate::support::{all_texts, client_of, join_from_start, soon, texts_to};

#[tokio::test]
async fn what_one_says_another_reads_in_either_format() {
    let server = TestServer::start().await;
    let alice = client_of(server.address(), "alice").connect().await.unwrap();
    let bob = client_of(server.address(), "bob").format(Format::MsgPack).connect().await.unwrap();
    let room = alice.join("general", JoinFrom::Head).await.unwrap();
    let (writer, mut events) = join_from_start(&bob, "general").await;
    let first = room.send_text("grüße 👋").await.unwrap();
    let second = writer.send_text("hi").await.unwrap();
    assert_eq!((first.seq, second.seq), (Seq::new(2), Seq::new(3)));
    assert_eq!(texts_to(&mut events, 0, 3).await, ["", "grüße 👋", "hi"]);
}

#[tokio::test]
async fn edits_reactions_and_redactions_are_entries_too() {
    let server = TestServer::start().await;
    let client = client_of(server.address(), "alice").connect().await.unwrap();
    let (writer, mut events) = join_from_start(&client, "general").await;
    let message = writer.send_text("helo").await.unwrap().seq;
    let edit = writer.edit(message, Body::text("hello").unwrap()).await.unwrap().seq;
    writer.react(message, Body::text("👍").unwrap()).await.unwrap();
    let redact = writer.redact(edit).await.unwrap();
    assert_eq!(redact.seq, Seq::new(5));
    assert_eq!(texts_to(&mut events, 0, 5).await.len(), 5);
    // The edit's body is gone from history, its number stays.
    assert_eq!(all_texts(server.address(), "general").await, ["", "helo", "", "👍", ""]);
}

#[tokio::test]
async fn a_write_that_may_not_be_is_refused_for_good_and_the_next_goes_on() {
    let server = TestServer::start().await;
    let alice = client_of(server.address(), "alice").connect().await.unwrap();
    let bob = client_of(server.address(), "bob").connect().await.unwrap();
    let hers = alice.join("general", JoinFrom::Head).await.unwrap().send_text("mine").await.unwrap().seq;
    let room = bob.join("general", JoinFrom::Head).await.unwrap();
    let pending = [
        room.submit(NewWrite::text("before").unwrap()),
        room.submit(NewWrite::edit(hers, Body::text("yours").unwrap())),
        room.submit(NewWrite::react(Seq::new(999), Body::text("?").unwrap())),
        room.submit(NewWrite::text("after").unwrap()),
    ];
    let outcomes = soon("four answers", join_all(pending)).await;
    let code = |outcome: &Result<_, WriteError>| match outcome {
        Err(WriteError::Refused(error)) => error.code,
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(outcomes[0].as_ref().unwrap().seq, Seq::new(3));
    assert_eq!((code(&outcomes[1]), code(&outcomes[2])), (ErrorCode::Forbidden, ErrorCode::NotFound));
    assert_eq!(outcomes[3].as_ref().unwrap().seq, Seq::new(4));
    let too_long = "x".repeat(100_001);
    assert!(matches!(room.send_text(&too_long).await, Err(WriteError::Body(_))));
}

#[tokio::test]
async fn a_thousand_writes_at_once_are_numbered_in_the_order_of_their_calls() {
    let server = TestServer::start().await;
    let client = client_of(server.address(), "alice").format(Format::MsgPack).connect().await.unwrap();
    let room = client.join("general", JoinFrom::Head).await.unwrap();
    let pending: Vec<_> = (0..1_000).map(|n| room.submit(NewWrite::text(&n.to_string()).unwrap())).collect();
    let full = room.submit(NewWrite::text("one").unwrap());
    drop(room.writer());
    let acks = soon("a thousand acks", join_all(pending)).await;
    let seqs: Vec<u64> = acks.into_iter().map(|ack| ack.unwrap().seq.get()).collect();
    assert_eq!(seqs, (2..=1_001).collect::<Vec<_>>());
    assert_eq!(full.await.unwrap().seq, Seq::new(1_002));
}

#[tokio::test]
async fn a_full_queue_is_told_at_once() {
    let server = TestServer::start().await;
    let client = client_of(server.address(), "alice").queue_writes_max(3).connect().await.unwrap();
    let room = client.join("general", JoinFrom::Head).await.unwrap();
    let pending: Vec<_> = (0..4).map(|n| room.submit(NewWrite::text(&n.to_string()).unwrap())).collect();
    let outcomes = soon("four answers", join_all(pending)).await;
    assert!(outcomes[..3].iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(outcomes[3], Err(WriteError::QueueFull));
}

#[tokio::test]
async fn a_provider_is_asked_for_the_token_and_a_forged_one_stops_the_client() {
    let server = TestServer::start().await;
    let url = format!("ws://{}/v1/ws", server.address());
    let client = Client::builder(&url).token_provider(|| async { Ok::<_, String>(token("alice")) });
    let client = client.connect().await.unwrap();
    assert!(matches!(client.state(), State::Connected { user, .. } if user.as_str() == "alice"));
    let error = Client::builder(&url).token("not.a.token").connect().await.unwrap_err();
    let ConnectError::Stopped(StopError::Refused(frame)) = error else { panic!("{error}") };
    assert_eq!(frame.code, ErrorCode::Unauthorized);
}

#[tokio::test]
async fn a_closed_client_says_so_everywhere() {
    let server = TestServer::start().await;
    let client = client_of(server.address(), "alice").connect().await.unwrap();
    let (writer, mut events) = join_from_start(&client, "general").await;
    client.close().await;
    assert_eq!(client.state(), State::Stopped { error: StopError::Closed });
    assert_eq!(writer.send_text("late").await, Err(WriteError::Closed));
    while let Some(event) = soon("the end", events.next()).await {
        drop(event);
    }
    let joined = client.join("other", JoinFrom::Head).await.map(drop);
    assert_eq!(joined, Err(JoinError::Stopped(StopError::Closed)));
    assert!(client.history("general").unwrap().latest().next().await.unwrap().is_err());
    client.close().await;
}
