//! Durable first: an entry is acknowledged, pushed or readable only after the log has committed it.

use std::time::Duration;

use rollcall::log::embedded::FaultPoints;
use rollcall_it::log_watch;
use rollcall_it::raw::{Raw, send};
use rollcall_it::server::TestServer;
use rollcall_protocol::{ErrorCode, Format, Seq};

use super::EXPECTED;

async fn server() -> (TestServer, FaultPoints) {
    log_watch::watch(EXPECTED);
    let faults = FaultPoints::default();
    let server = TestServer::build()
        .tuning(|tuning| {
            tuning.log.faults = faults.clone();
            tuning.log.reopen_pause = (Duration::from_millis(10), Duration::from_millis(50));
        })
        .start()
        .await;
    (server, faults)
}

async fn wait_until_held(faults: &FaultPoints) {
    let faults = faults.clone();
    let held = tokio::task::spawn_blocking(move || faults.wait_until_held(Duration::from_secs(20)));
    assert!(held.await.unwrap(), "nothing came to the disk");
}

/// Sends a message until it is acknowledged; returns its number, and the codes of the refusals before that.
async fn send_until_acked(raw: &mut Raw, room: &str, n: u64, text: &str) -> (u64, Vec<ErrorCode>) {
    let mut refusals = Vec::new();
    loop {
        match raw.send(room, n, text).await {
            Ok(ack) => return (ack.seq.get(), refusals),
            Err(error) => {
                assert!(error.retryable, "{error:?}");
                refusals.push(error.code);
                tokio::time::sleep(Duration::from_millis(error.retry_after_ms.unwrap_or(10).min(20))).await; // pace: retries
            }
        }
    }
}

#[tokio::test]
async fn while_the_sync_is_held_no_ack_push_or_page_shows_the_entry() {
    for format in Format::ALL {
        let (server, faults) = server().await;
        let mut alice = server.user(format, "alice").await;
        alice.join("general", Some(0)).await.unwrap();
        let mut bob = server.user(format, "bob").await;
        bob.join("general", Some(0)).await.unwrap();
        alice.send("general", 1, "durable").await.unwrap();
        alice.entries_through("general", 0, 2).await;
        bob.entries_through("general", 0, 2).await;

        faults.hold_syncs();
        let id = alice.tell(send("general", 2, "not durable yet")).await;
        wait_until_held(&faults).await;
        // Everything that could show it is asked, more than once.
        for round in 0..3 {
            let mut carol = server.user(format, &format!("carol{round}")).await;
            let joined = carol.join("general", Some(0)).await.unwrap();
            assert_eq!(joined.head.get(), 2);
            carol.entries_through("general", 0, 2).await;
            let page = carol.history("general", |h| (h.after, h.evidence) = (Some(Seq::FIRST), true)).await.unwrap();
            assert_eq!((page.head.get(), page.list.len()), (2, 1));
            assert_eq!(alice.join("general", Some(2)).await.unwrap().last_n, 1);
            for raw in [&mut alice, &mut bob, &mut carol] {
                raw.barrier().await;
                assert_eq!(raw.pushes_so_far(), []);
            }
            assert!(alice.reply_so_far(id).is_none());
        }
        // A copy of it on another connection waits with it.
        let mut copy = server.connect(format).await;
        copy.hello(Some(&rollcall_it::server::token("alice")), Some("alice-device")).await.unwrap();
        let again = copy.tell(send("general", 2, "not durable yet")).await;
        copy.barrier().await;
        assert!(copy.reply_so_far(again).is_none());

        faults.release_syncs();
        let ack = copy.ack(again).await.unwrap();
        assert_eq!((ack.seq.get(), ack.duplicate), (3, true));
        bob.entries_through("general", 2, 3).await;
        let page = bob.history("general", |_| {}).await.unwrap();
        assert_eq!(page.head.get(), 3);
    }
}

#[tokio::test]
async fn a_sync_that_fails_acknowledges_nothing_and_a_retry_finds_the_one_entry() {
    for (before_writing, format) in [(false, Format::Json), (true, Format::MsgPack), (false, Format::MsgPack)] {
        let (server, faults) = server().await;
        let mut alice = server.user(format, "alice").await;
        let mut bob = server.user(format, "bob").await;
        bob.join("general", Some(0)).await.unwrap();
        alice.send("general", 1, "one").await.unwrap();
        bob.entries_through("general", 0, 2).await;
        let failures = server.metric("rollcall_log_failures_total").await;
        if before_writing {
            faults.fail_next_commit();
        } else {
            faults.fail_next_sync();
        }

        let (seq, refusals) = send_until_acked(&mut alice, "general", 2, "two").await;
        assert_eq!(seq, 3);
        assert_eq!(refusals.first(), Some(&ErrorCode::OutcomeUnknown));
        assert!(refusals[1..].iter().all(|code| *code == ErrorCode::Unavailable), "{refusals:?}");
        let (seq, _) = send_until_acked(&mut alice, "general", 3, "three").await;
        assert_eq!(seq, 4);
        // The reader was subscribed all the while, and got each once.
        let entries = bob.entries_through("general", 2, 4).await;
        assert_eq!(entries.iter().map(|entry| entry.n).collect::<Vec<_>>(), [2, 3]);
        bob.barrier().await;
        assert_eq!(bob.pushes_so_far(), []);
        assert!((server.metric("rollcall_log_failures_total").await - failures - 1.0).abs() < 0.1);

        // And so it is after another start.
        drop((alice, bob));
        let server = server.stop().await.start().await;
        let mut carol = server.user(format, "carol").await;
        assert_eq!(carol.join("general", Some(0)).await.unwrap().head.get(), 4);
        let entries = carol.entries_through("general", 0, 4).await;
        assert_eq!(entries.iter().map(|entry| entry.n).collect::<Vec<_>>(), [0, 1, 2, 3]);
    }
}

#[tokio::test]
async fn sixty_four_writes_cut_off_before_any_ack_get_their_numbers_when_they_are_tried_again() {
    let (server, faults) = server().await;
    for (at, format) in Format::ALL.into_iter().enumerate() {
        let name = format!("general{at}");
        let mut alice = server.user(format, "alice").await;
        faults.hold_syncs();
        for n in 1..=64 {
            alice.tell(send(&name, n, &format!("message {n}"))).await;
        }
        alice.barrier().await;
        drop(alice);
        if at == 1 {
            // The first of their groups is lost with the disk's failure.
            faults.fail_next_commit();
        }
        faults.release_syncs();
        let mut alice = server.user(format, "alice").await;
        if at == 1 {
            let (seq, _) = send_until_acked(&mut alice, &name, 1, "message 1").await;
            assert_eq!(seq, 2);
        }
        let mut ids = Vec::new();
        for n in 1..=64 {
            ids.push(alice.tell(send(&name, n, &format!("message {n}"))).await);
        }
        for (id, seq) in ids.into_iter().zip(2..) {
            assert_eq!(alice.ack(id).await.unwrap().seq.get(), seq);
        }
        assert_eq!(alice.join(&name, Some(0)).await.unwrap().head.get(), 65);
        alice.entries_through(&name, 0, 65).await;
    }
}
