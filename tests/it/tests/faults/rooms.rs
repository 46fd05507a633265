//! A room's actor ends in every way in which it can: who joined the room stays joined and misses nothing.

use std::sync::Arc;
use std::time::Duration;

use rollcall_actors::ports::Activate;
use rollcall_it::controlled_log::ControlledLog;
use rollcall_it::log_watch;
use rollcall_it::raw::{Raw, room};
use rollcall_it::server::{TestServer, wait_until};
use rollcall_protocol::{ErrorCode, Format, OwnerId};

use super::EXPECTED;

async fn server() -> (TestServer, Arc<ControlledLog>) {
    log_watch::watch(EXPECTED);
    let log = ControlledLog::unplaced();
    (TestServer::build().tuning(|tuning| tuning.wrap_log = log.into_server()).start().await, log)
}

async fn writer_and_reader(server: &TestServer, format: Format) -> (Raw, Raw) {
    let mut alice = server.user(format, "alice").await;
    let mut bob = server.user(format, "bob").await;
    bob.join("general", Some(0)).await.unwrap();
    alice.send("general", 1, "one").await.unwrap();
    bob.entries_through("general", 0, 2).await;
    (alice, bob)
}

#[tokio::test]
async fn a_room_that_panics_is_activated_again_and_loses_nothing() {
    for format in Format::ALL {
        let (server, log) = server().await;
        let (mut alice, mut bob) = writer_and_reader(&server, format).await;
        log.panic_at_next_append();
        let error = alice.send("general", 2, "two").await.unwrap_err();
        assert_eq!((error.code, error.retryable), (ErrorCode::OutcomeUnknown, true));
        assert!(log_watch::saw("the room is activated again from its log room=general"));
        let ack = alice.send("general", 2, "two").await.unwrap();
        assert_eq!((ack.seq.get(), ack.duplicate), (3, false));
        alice.send("general", 3, "three").await.unwrap();
        bob.entries_through("general", 2, 4).await;
        bob.barrier().await;
        assert_eq!(bob.pushes_so_far(), []);
        server.wait_for_metric("rollcall_subscriptions", 1.0).await;
    }
}

#[tokio::test]
async fn an_owner_that_was_fenced_gives_the_room_up_and_the_next_one_goes_on() {
    for format in Format::ALL {
        let (server, _) = server().await;
        let (mut alice, mut bob) = writer_and_reader(&server, format).await;
        let epoch = bob.join("general", Some(2)).await.unwrap().epoch;
        server.inner().log().activate(&room("general"), Activate::by(OwnerId(7))).await.unwrap();
        let error = alice.send("general", 2, "two").await.unwrap_err();
        assert_eq!((error.code, error.retryable), (ErrorCode::Unavailable, true));
        assert_eq!(alice.send("general", 2, "two").await.unwrap().seq.get(), 3);
        let entries = bob.entries().await;
        assert_eq!((entries.list[0].seq.get(), entries.list.len()), (3, 1));
        assert!(entries.epoch.get() >= epoch.get() + 2, "two activations came after {epoch}");
        assert!(log_watch::saw("the log refused an append room=general"));
    }
}

#[tokio::test]
async fn while_a_room_cannot_be_activated_its_readers_wait() {
    let (server, log) = server().await;
    let (mut alice, mut bob) = writer_and_reader(&server, Format::Json).await;
    log.fail_activations(usize::MAX);
    log.panic_at_next_append();
    assert_eq!(alice.send("general", 2, "two").await.unwrap_err().code, ErrorCode::OutcomeUnknown);
    let error = alice.send("general", 2, "two").await.unwrap_err();
    assert_eq!((error.code, error.retryable), (ErrorCode::Unavailable, true));
    assert!(alice.join("general", None).await.unwrap_err().retryable);
    assert!(alice.history("general", |_| {}).await.unwrap_err().retryable);
    assert!(alice.join("another", None).await.unwrap_err().retryable);
    // The reader's own tries have failed by now.
    wait_until("the reader's connection has tried", async || log_watch::saw("failed to activate a room")).await;
    bob.barrier().await;
    assert_eq!(bob.pushes_so_far(), []);
    log.fail_activations(0);
    while let Err(error) = alice.send("general", 2, "two").await {
        tokio::time::sleep(Duration::from_millis(error.retry_after_ms.unwrap())).await; // pace: as the server asked for
    }
    bob.entries_through("general", 2, 3).await;
}

#[tokio::test]
async fn a_page_that_takes_long_delays_its_reader_alone() {
    let (server, log) = server().await;
    let mut alice = server.user(Format::Json, "alice").await;
    alice.send_all("general", 1..=600).await;
    let mut bob = server.user(Format::MsgPack, "bob").await;
    bob.join("general", None).await.unwrap();
    log.slow_reads(Duration::from_millis(300));
    let mut carol = server.user(Format::Json, "carol").await;
    carol.join("general", Some(0)).await.unwrap();
    let began = tokio::time::Instant::now();
    alice.send_all("general", 601..=640).await;
    bob.entries_through("general", 601, 641).await;
    assert!(began.elapsed() < Duration::from_millis(300), "the live reader waited {:?}", began.elapsed());
    carol.entries_through("general", 0, 641).await;
}
