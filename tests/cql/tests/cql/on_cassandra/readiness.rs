//! What a server says of itself while its log or its Redis is away, and what goes on meanwhile.

use rollcall_cql_tests::Keyspace;
use rollcall_it::log_contract::LogUnderTest as _;
use rollcall_it::server::{TestServer, wait_until};
use rollcall_it::{http, log_watch};
use rollcall_proxy::Proxy;
use rollcall_services::{Redis, unless_skipped};
use tempfile::TempDir;

use super::with_redis::{be_ready, node, readiness, write};

/// What a server says of a Redis or a log that is away.
const EXPECTED: &[&str] = &["Redis is away", "failed to subscribe", "Redis does not answer"];

fn redis() -> Option<(Redis, TempDir)> {
    log_watch::watch(EXPECTED);
    let folder = tempfile::tempdir().unwrap();
    let redis = unless_skipped(tokio::task::block_in_place(|| Redis::start(folder.path())))?;
    Some((redis, folder))
}

/// Tells whether a check is not passed, and the others are.
fn has_only_failed(body: &str, failed: &str) -> bool {
    let is_ok = |check: &str| body.contains(&format!("\"{check}\":\"ok\""));
    ["serving", "log", "redis", "cluster"].into_iter().all(|check| is_ok(check) != (check == failed))
}

async fn status(server: &TestServer, path: &str) -> (u16, String) {
    let answer = http::get(server.inner().ops_address(), path).await;
    (answer.status, answer.body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_log_is_away_is_not_ready_and_says_why() {
    let Some(keyspace) = Keyspace::shared().await else { return };
    let Some((redis, _folder)) = redis() else { return };
    let way = Proxy::start(keyspace.address()).await.unwrap();
    let through_proxy = vec![way.address().to_string()];
    let server =
        node(&keyspace, redis.address().to_string()).config(|config| config.cql.contact_points = through_proxy);
    let server = server.start().await;
    be_ready(&server).await;
    let room = keyspace.room("room");
    assert_eq!(write(&server, &room, "before").await, 2);

    // Once nobody is there, and once nobody answers.
    for (times, is_silent) in (1..).zip([false, true]) {
        if is_silent {
            way.black_hole(true);
        } else {
            way.refuse(true);
            way.cut();
        }
        let says_why = async || {
            let (status, body) = readiness(&server).await;
            status == 503 && body.starts_with("{\"ready\":false,") && has_only_failed(&body, "log")
        };
        wait_until("it says that the log is away", says_why).await;
        let (_, body) = readiness(&server).await;
        assert!(body.contains("\"log\":\"the CQL servers refused to "), "{body}");
        assert_eq!(status(&server, "/readyz").await, (503, "not ready; ask /readyz?verbose why\n".to_owned()));
        assert_eq!(status(&server, "/livez").await, (200, "ok\n".to_owned()), "a restart would mend nothing");

        // What was swallowed is missing in the middle: such connections are of no use any more.
        way.cut();
        way.black_hole(false);
        way.refuse(false);
        be_ready(&server).await;
        assert_eq!(write(&server, &room, "after").await, 2 + times);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_redis_is_away_stays_ready_and_says_so() {
    let Some(keyspace) = Keyspace::shared().await else { return };
    let Some((redis, _folder)) = redis() else { return };
    let server = node(&keyspace, redis.address().to_string()).start().await;
    be_ready(&server).await;
    assert_eq!(write(&server, &keyspace.room("active"), "before").await, 2);

    redis.kill();
    let says_so = async || {
        let (status, body) = readiness(&server).await;
        assert_eq!(status, 200, "{body}");
        body.starts_with("{\"ready\":true,") && has_only_failed(&body, "redis")
    };
    wait_until("it says that Redis is away", says_so).await;
    assert_eq!(status(&server, "/readyz").await, (200, "ok\n".to_owned()));
    // It goes on: with a room that it owns, and with one that nobody had.
    assert_eq!(write(&server, &keyspace.room("active"), "during").await, 3);
    assert_eq!(write(&server, &keyspace.room("idle"), "during").await, 2);
    assert_eq!(readiness(&server).await.0, 200);

    tokio::task::block_in_place(|| redis.restart()).unwrap();
    wait_until("Redis is seen again", async || has_only_failed(&readiness(&server).await.1, "none")).await;
    assert_eq!(write(&server, &keyspace.room("active"), "after").await, 4);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_starts_without_redis_is_not_ready_before_it_has_its_name() {
    let Some(keyspace) = Keyspace::shared().await else { return };
    let Some((redis, _folder)) = redis() else { return };
    redis.kill();
    let server = node(&keyspace, redis.address().to_string()).start().await;
    assert!(log_watch::saw("the server starts without it and is not ready before it does"));
    let (ready, body) = readiness(&server).await;
    assert_eq!(ready, 503, "{body}");
    assert!(body.contains("\"cluster\":\"asks Redis for its name\""), "{body}");
    assert!(body.contains("\"log\":\"ok\"") && !body.contains("\"redis\":\"ok\""), "{body}");
    assert_eq!(status(&server, "/livez").await.0, 200);
    let takes_rooms = || server.inner().directory().cluster().unwrap().view().borrow().takes_rooms;
    assert!(!takes_rooms());

    tokio::task::block_in_place(|| redis.restart()).unwrap();
    be_ready(&server).await;
    assert!(takes_rooms());
    assert_eq!(write(&server, &keyspace.room("room"), "at last").await, 2);
    server.stop().await;
}
