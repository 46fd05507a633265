//! The endpoints over real HTTP.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::metrics::Figures;

struct Setting {
    ops: Ops,
    metrics: Metrics,
    readiness: Readiness,
}

fn start(rooms: u64) -> Setting {
    let figures = move || Figures { rooms, ..Figures::default() };
    let (metrics, readiness) = (Metrics::new(figures), Readiness::default());
    let free_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let ops = Ops::start(free_port, metrics.clone(), readiness.clone(), Router::new()).unwrap();
    Setting { ops, metrics, readiness }
}

/// Returns the status line's code, the head, and the body.
async fn get(address: SocketAddr, path: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.to_owned())
}

#[tokio::test]
async fn alive_before_ready_and_not_ready_while_it_drains_or_has_no_log() {
    let Setting { ops, readiness, .. } = start(0);
    let server = readiness.check("server", "starting");
    let log = readiness.check("log", "opening");
    let status = async |path| get(ops.address(), path).await.0;
    assert_eq!((status("/livez").await, status("/readyz").await), (200, 503));
    server.pass();
    log.pass();
    assert_eq!((status("/livez").await, status("/readyz").await), (200, 200));
    log.fail("the disk is full");
    assert_eq!((status("/livez").await, status("/readyz").await), (200, 503));
    let (status_code, head, body) = get(ops.address(), "/readyz?verbose").await;
    assert_eq!(
        (status_code, body.as_str()),
        (503, r#"{"ready":false,"checks":{"log":"the disk is full","server":"ok"}}"#)
    );
    assert!(head.contains("content-type: application/json"), "{head}");
    log.pass();
    let (status_code, _, body) = get(ops.address(), "/readyz?verbose=1").await;
    assert_eq!((status_code, body.as_str()), (200, r#"{"ready":true,"checks":{"log":"ok","server":"ok"}}"#));
    server.fail("draining");
    assert_eq!((status("/livez").await, status("/readyz").await), (200, 503));
    assert_eq!(status("/elsewhere").await, 404);
    ops.stop().await;
}

#[tokio::test]
async fn metrics_are_those_of_this_server() {
    let (one, other) = (start(7), start(0));
    let (status, head, body) = get(one.ops.address(), "/metrics").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{head}");
    assert!(body.contains("\nrollcall_rooms 7\n") && body.ends_with("# EOF\n"), "{body}");
    let (_, _, body) = get(other.ops.address(), "/metrics").await;
    assert!(body.contains("\nrollcall_rooms 0\n"), "{body}");
}

#[tokio::test]
async fn a_port_in_use_is_named_and_a_stopped_one_is_free() {
    let Setting { ops, metrics, readiness } = start(0);
    let address = ops.address();
    let again = || Ops::start(address, metrics.clone(), readiness.clone(), Router::new());
    let error = again().unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
    let expected = format!(
        "failed to listen on {address} for operators: Address already in use (os error 98); another process has the port: \
         stop it, or set `ops.listen` to another address"
    );
    assert_eq!(error.to_string(), expected);
    // A connection that is open and silent holds nothing up.
    let _idle = TcpStream::connect(address).await.unwrap();
    ops.stop().await;
    again().unwrap().stop().await;
}
