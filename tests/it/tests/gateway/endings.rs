//! Pings, and how connections end.

use std::collections::BTreeSet;
use std::time::Duration;

use rollcall_it::controlled_log::ControlledLog;
use rollcall_it::raw::send;
use rollcall_it::server::{TestServer, TestServerBuilder, wait_until};
use rollcall_protocol::{Format, Incoming, Join, Op, Pong, Seq};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

const INTERVAL: Duration = Duration::from_millis(100);

fn impatient() -> TestServerBuilder {
    TestServer::build().tuning(|tuning| {
        tuning.ping_interval = INTERVAL;
        tuning.pong_timeout = INTERVAL;
    })
}

#[tokio::test]
async fn pings_name_the_heads_of_the_joined_rooms() {
    let server = impatient().start().await;
    for (n, format) in (1..).zip(Format::ALL) {
        let mut alice = server.user(format, "alice").await;
        alice.answers_pings = false;
        alice.join("quiet", None).await.unwrap();
        alice.join("general", None).await.unwrap();
        alice.send("general", n, "x").await.unwrap();
        alice.entries().await;
        loop {
            let Incoming::Ping(ping) = alice.push().await else { panic!("a ping was to come") };
            let heads: Vec<(&str, u64)> = ping.heads.iter().map(|(room, head)| (room.as_str(), head.get())).collect();
            let pong = format.encode_command(&rollcall_protocol::Command { id: None, op: Op::Pong(Pong {}) });
            alice.send_bytes(&pong).await;
            if heads == [("general", n + 1), ("quiet", 0)] {
                break;
            }
        }
    }
}

#[tokio::test]
async fn who_answers_pings_stays_and_who_is_silent_is_closed() {
    let server = impatient().start().await;
    for format in Format::ALL {
        let mut silent = server.user(format, "silent").await;
        silent.answers_pings = false;
        let mut lively = server.user(format, "lively").await;
        let began = tokio::time::Instant::now();
        let (code, ()) = tokio::join!(silent.closed(), async {
            // Reading answers the pings.
            while began.elapsed() < INTERVAL * 6 {
                let _ = tokio::time::timeout(INTERVAL, lively.read()).await;
            }
            lively.barrier().await;
        });
        assert_eq!(code, Some(4002));
    }
}

#[tokio::test]
async fn any_frame_shows_that_a_client_is_there() {
    let server = impatient().start().await;
    let mut alice = server.user(Format::Json, "alice").await;
    alice.answers_pings = false;
    let began = tokio::time::Instant::now();
    while began.elapsed() < INTERVAL * 6 {
        alice.barrier().await;
        tokio::time::sleep(INTERVAL / 4).await; // pace: a client that now and then says something else than pong
    }
    alice.barrier().await;
}

/// A reader that is far behind is given page after page. Meanwhile its commands are answered and its pongs heard.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_lags_far_behind_is_still_answered_and_heard() {
    let log = ControlledLog::unplaced();
    let server = impatient()
        .config(|config| config.rooms.ring_entries_max = 8)
        .tuning(|tuning| tuning.wrap_log = log.into_server())
        .start()
        .await;
    let mut alice = server.user(Format::Json, "alice").await;
    alice.send_all("general", 1..=3_000).await;
    log.slow_reads(Duration::from_millis(40));
    for format in Format::ALL {
        let mut bob = server.user(format, "bob").await;
        bob.answers_pings = false;
        assert!(matches!(bob.push().await, Incoming::Ping(_)));
        let join = bob
            .tell(Op::Join(Join { room: rollcall_it::raw::room("general"), after: Some(Seq::ZERO), hash: None }))
            .await;
        let pong = format.encode_command(&rollcall_protocol::Command { id: None, op: Op::Pong(Pong {}) });
        bob.send_bytes(&pong).await;
        bob.answers_pings = true;
        bob.reply(join).await.unwrap();
        bob.entries().await;
        bob.barrier().await;
        let seen = bob.pushes_so_far().len();
        assert!(seen < 6, "the answer came only after {seen} pages");
        bob.join("general", Some(2_999)).await.unwrap();
        while bob.entries().await.list.last().unwrap().seq.get() < 3_001 {}
        bob.barrier().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_graceful_stop_says_goodbye_and_loses_nothing() {
    let server = TestServer::start().await;
    let mut alice = server.user(Format::Json, "alice").await;
    let mut bob = server.user(Format::MsgPack, "bob").await;
    bob.join("general", Some(0)).await.unwrap();
    let writer = tokio::spawn(async move {
        let mut acked = 0;
        let mut told = std::collections::VecDeque::new();
        for n in 1.. {
            told.push_back((n, alice.tell(send("general", n, "x")).await));
            while told.len() == 32 {
                let (n, id) = told.pop_front().unwrap();
                match alice.reply(id).await {
                    Ok(_) => acked = n,
                    Err(error) => {
                        assert!(error.retryable, "{error:?}");
                        let goodbye = loop {
                            let push = alice.push().await;
                            if let Incoming::GoingAway(goodbye) = push {
                                break goodbye;
                            }
                        };
                        return (acked, goodbye.retry_after_ms, alice.closed().await);
                    }
                }
            }
        }
        unreachable!("a writer that is never stopped")
    });
    bob.entries_through("general", 0, 200).await;
    let reader = tokio::spawn(async move {
        let mut away = false;
        loop {
            match tokio::time::timeout(Duration::from_secs(20), bob.push_or_end()).await.unwrap() {
                Ok(Incoming::GoingAway(_)) => away = true,
                Ok(_) => {}
                Err(code) => return (away, code),
            }
        }
    });
    let builder = server.stop().await;
    let (acked, retry_after_ms, code) = writer.await.unwrap();
    assert!(retry_after_ms <= 100, "the configured window is 100 ms");
    assert_eq!(code, Some(4000));
    assert_eq!(reader.await.unwrap(), (true, Some(4000)));

    let server = builder.start().await;
    let mut alice = server.user(Format::Json, "alice").await;
    let joined = alice.join("general", Some(0)).await.unwrap();
    assert!(joined.last_n >= acked, "{acked} was acknowledged and {} is there", joined.last_n);
    alice.entries_through("general", 0, acked + 1).await;
}

/// Nobody waits for the window here: a stop tells the clients when to come back, and goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_graceful_stop_spreads_its_clients_over_the_configured_window() {
    // Shorter than what newcomers are told.
    const WINDOW_MS: u64 = 4_000;
    let server = TestServer::build().config(|config| config.drain.window_ms = WINDOW_MS).start().await;
    let mut goodbyes = Vec::new();
    for (n, format) in (0..20).zip(Format::ALL.into_iter().cycle()) {
        let mut user = server.user(format, &format!("user-{n}")).await;
        // Whoever is answered after hello is in the registry.
        user.barrier().await;
        goodbyes.push(tokio::spawn(async move {
            let Incoming::GoingAway(goodbye) = user.push().await else { panic!("a goodbye was to come") };
            assert_eq!(user.closed().await, Some(4000));
            goodbye.retry_after_ms
        }));
    }
    server.stop().await;
    let mut waits_ms = BTreeSet::new();
    for goodbye in goodbyes {
        waits_ms.insert(goodbye.await.unwrap());
    }
    let (first, last) = (*waits_ms.first().unwrap(), *waits_ms.last().unwrap());
    assert!(last <= WINDOW_MS, "{waits_ms:?}");
    // Of 20 draws over the whole window all lie within a quarter of it once in more than ten thousand million runs.
    assert!(last - first > WINDOW_MS / 4, "{waits_ms:?}");
}

/// Somebody who only opens a connection, or only asks for an upgrade, has nothing to lose.
#[tokio::test]
async fn connections_that_never_said_hello_do_not_hold_up_a_stop() {
    let server = TestServer::start().await;
    let _mute = TcpStream::connect(server.address()).await.unwrap();
    let mut upgraded = server.connect(Format::Json).await;
    // Both are past the accept, since the one after them was answered.
    server.user(Format::Json, "alice").await.barrier().await;
    let began = tokio::time::Instant::now();
    tokio::join!(server.stop(), async { assert_eq!(upgraded.closed().await, Some(4000)) });
    assert!(began.elapsed() < Duration::from_secs(3), "the stop took {:?}", began.elapsed());
}

#[tokio::test]
async fn a_client_that_just_leaves_is_forgotten() {
    let server = TestServer::start().await;
    for format in Format::ALL {
        let mut alice = server.user(format, "alice").await;
        alice.join("general", None).await.unwrap();
        server.wait_for_metric("rollcall_connections", 1.0).await;
        drop(alice);
        server.wait_for_metric("rollcall_connections", 0.0).await;
        server.wait_for_metric("rollcall_subscriptions", 0.0).await;
    }
    wait_until("both are counted", async || {
        server.metric("rollcall_connections_closed_total{code=\"none\"}").await >= 2.0
    })
    .await;
}

#[tokio::test]
async fn a_client_that_says_goodbye_is_answered() {
    let server = TestServer::start().await;
    for format in Format::ALL {
        let mut before_hello = server.connect(format).await;
        let mut alice = server.user(format, "alice").await;
        for raw in [&mut before_hello, &mut alice] {
            let frame = CloseFrame { code: CloseCode::Normal, reason: "done".into() };
            raw.send_message(Message::Close(Some(frame))).await;
            assert_eq!(raw.closed().await, Some(1000));
        }
    }
    server.wait_for_metric("rollcall_connections_closed_total{code=\"none\"}", 4.0).await;
}
