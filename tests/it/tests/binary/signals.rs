//! SIGTERM stops gracefully, a second one at once.

use nix::sys::signal::Signal;
use rollcall_it::process::ServerProcess;
use rollcall_protocol::{Format, Incoming};

#[tokio::test]
async fn a_sigterm_says_goodbye_stores_everything_and_exits_with_0() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = ServerProcess::build(folder.path()).set("DRAIN__WINDOW_MS", "500").start().await;
    let mut alice = server.user(Format::Json, "alice").await;
    alice.send_all("general", 1..=100).await;
    server.signal(Signal::SIGTERM);
    let Incoming::GoingAway(goodbye) = alice.push().await else { panic!("no goodbye") };
    assert!(goodbye.retry_after_ms <= 500);
    assert_eq!(alice.closed().await, Some(4000));
    assert_eq!(server.wait().await.code(), Some(0));

    let server = ServerProcess::start(folder.path()).await;
    let mut alice = server.user(Format::Json, "alice").await;
    assert_eq!(alice.join("general", Some(0)).await.unwrap().last_n, 100);
    alice.entries_through("general", 0, 101).await;
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = ServerProcess::build(folder.path()).set("DRAIN__GRACE_MS", "60000").start().await;
    server.signal(Signal::SIGTERM);
    // It has heard the first one when it says so: it is not ready any more.
    let ops = server.ops_address();
    rollcall_it::server::wait_until("it is not ready", async || {
        rollcall_it::http::get(ops, "/readyz").await.status == 503
    })
    .await;
    server.signal(Signal::SIGINT);
    assert_eq!(server.wait().await.code(), Some(130));
}
