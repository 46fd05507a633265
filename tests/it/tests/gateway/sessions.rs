//! Sessions: one live connection a device, and tokens that end.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rollcall_actors::ports::Clock;
use rollcall_it::raw::Raw;
use rollcall_it::server::{TestServer, now_s, token, token_of};
use rollcall_protocol::{DeviceId, ErrorCode, Format, Hello, Op, Refresh};

async fn hello(server: &TestServer, format: Format, session: &str, attempt: u64) -> Raw {
    let mut raw = server.connect(format).await;
    let device = Some(DeviceId::parse("phone").unwrap());
    let hello = Hello { token: Some(token("alice")), device, session: Some(session.to_owned()), attempt };
    raw.hello_as(hello).await.unwrap();
    raw
}

#[tokio::test]
async fn a_newer_connection_of_a_session_supersedes_the_older_one() {
    let server = TestServer::start().await;
    for format in Format::ALL {
        let mut old = hello(&server, format, "s", 1).await;
        let mut new = hello(&server, format, "s", 2).await;
        assert_eq!(old.closed().await, Some(4400));
        new.barrier().await;
        // One that comes late, with an older counter, goes itself.
        let mut late = hello(&server, format, "s", 1).await;
        assert_eq!(late.closed().await, Some(4400));
        new.barrier().await;
    }
}

#[tokio::test]
async fn another_session_replaces_the_device() {
    let server = TestServer::start().await;
    let mut first = hello(&server, Format::Json, "one", 7).await;
    let mut second = hello(&server, Format::MsgPack, "other", 1).await;
    assert_eq!(first.closed().await, Some(4501));
    second.barrier().await;
    let mut third = hello(&server, Format::Json, "one", 8).await;
    assert_eq!(second.closed().await, Some(4501));
    third.barrier().await;
}

#[tokio::test]
async fn devices_of_one_user_live_side_by_side() {
    let server = TestServer::start().await;
    let mut raws = Vec::new();
    for device in ["phone", "desk"] {
        let mut raw = server.connect(Format::Json).await;
        raw.hello(Some(&token("alice")), Some(device)).await.unwrap();
        raws.push(raw);
    }
    for raw in &mut raws {
        raw.barrier().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_connections_at_once_exactly_one_survives() {
    let server = TestServer::start().await;
    let mut raws = Vec::new();
    for attempt in [3, 1, 4, 2] {
        raws.push(hello(&server, Format::Json, "s", attempt).await);
    }
    for (at, raw) in raws.iter_mut().enumerate() {
        if at == 2 { raw.barrier().await } else { assert_eq!(raw.closed().await, Some(4400)) }
    }
}

/// The machine's clock, which a test may set forward.
#[derive(Default)]
struct ForwardClock(AtomicI64);

impl Clock for ForwardClock {
    fn now_ms(&self) -> i64 {
        now_s() * 1_000 + self.0.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_connection_ends_with_its_token_and_a_refresh_keeps_it() {
    let clock = Arc::new(ForwardClock::default());
    let server = TestServer::build()
        .tuning(|tuning| {
            tuning.clock = clock.clone();
            tuning.ping_interval = std::time::Duration::from_millis(50);
        })
        .start()
        .await;
    let expires_soon = || token_of("alice", |claims| claims.exp_s = now_s() + 60);
    let mut ends = server.connect(Format::Json).await;
    ends.hello(Some(&expires_soon()), Some("ends")).await.unwrap();
    let mut stays = server.connect(Format::MsgPack).await;
    stays.hello(Some(&expires_soon()), Some("stays")).await.unwrap();
    stays.ask(Op::Refresh(Refresh { token: token("alice") })).await.unwrap();
    for raw in [&mut ends, &mut stays] {
        raw.barrier().await;
    }

    clock.0.store(100_000, Ordering::SeqCst);
    assert_eq!(ends.closed().await, Some(4004));
    stays.barrier().await;
    let mut again = server.connect(Format::Json).await;
    assert_eq!(again.hello(Some(&expires_soon()), None).await.unwrap_err().code, ErrorCode::TokenExpired);
    assert_eq!(again.closed().await, Some(4004));
}

/// Clocks differ a little, so a token is taken for some seconds after its time; a connection that comes in with it stays as
/// long.
#[tokio::test]
async fn a_token_that_is_taken_after_its_time_is_not_closed_at_once() {
    let server = TestServer::start().await;
    let mut raw = server.connect(Format::Json).await;
    raw.hello(Some(&token_of("alice", |claims| claims.exp_s = now_s() - 5)), None).await.unwrap();
    raw.join("general", Some(0)).await.unwrap();
    raw.send("general", 1, "in time").await.unwrap();
    raw.entries_through("general", 0, 2).await;
    raw.barrier().await;
}
