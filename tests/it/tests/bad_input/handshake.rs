//! Handshakes that are refused with an HTTP status.

use std::net::SocketAddr;
use std::time::Duration;

use rollcall_it::http::{self, Answer, handshake};
use rollcall_it::server::TestServer;
use rollcall_protocol::Format;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const JSON: &str = "rollcall.v1.json";

async fn answer(address: SocketAddr, subprotocol: &str, headers: &[(&str, &str)]) -> Answer {
    http::request(address, &handshake(address, subprotocol, headers)).await
}

fn assert_refused(answer: &Answer, status: u16, named: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.body.contains(named), "the answer names {named:?}: {answer:?}");
}

#[tokio::test]
async fn a_wrong_or_missing_subprotocol() {
    let server = TestServer::start().await;
    for wrong in ["", "chat", "rollcall.v2.json", "rollcall.v1", "ROLLCALL.V1.JSON"] {
        assert_refused(&answer(server.address(), wrong, &[]).await, 400, "rollcall.v1.msgpack");
    }
    for (offered, taken) in [
        (JSON, JSON),
        ("rollcall.v9.json, rollcall.v1.msgpack", "rollcall.v1.msgpack"),
        ("rollcall.v1.msgpack,rollcall.v1.json", "rollcall.v1.msgpack"),
    ] {
        let answer = answer(server.address(), offered, &[]).await;
        assert_eq!((answer.status, answer.header("sec-websocket-protocol")), (101, Some(taken)));
    }
}

#[tokio::test]
async fn what_is_no_upgrade() {
    let server = TestServer::start().await;
    let address = server.address();
    let plain = answer(address, JSON, &[("Connection", "close"), ("Upgrade", "")]).await;
    assert_refused(&plain, 426, "WebSocket");
    assert_eq!(plain.header("upgrade"), Some("websocket"));
    let old = answer(address, JSON, &[("Connection", "upgrade, close"), ("Sec-WebSocket-Version", "8")]).await;
    assert_refused(&old, 400, "Sec-WebSocket-Version");
    let keyless = answer(address, JSON, &[("Connection", "upgrade, close"), ("Sec-WebSocket-Key", "")]).await;
    assert_refused(&keyless, 400, "Sec-WebSocket-Key");
    assert_eq!(http::get(address, "/v1/../../etc/passwd").await.status, 404);
    let post = handshake(address, JSON, &[("Connection", "upgrade, close")]).replacen("GET", "POST", 1);
    assert_eq!(http::request(address, &post).await.status, 405);
    assert_eq!(http::request(address, "NONSENSE\r\n\r\n").await.status, 400);
    server.user(Format::Json, "alice").await.barrier().await;
}

#[tokio::test]
async fn another_host_while_guests_are_taken() {
    let server = TestServer::start().await;
    let port = server.address().port();
    for host in [&*format!("evil.example:{port}"), "evil.example", "127.0.0.1.evil.example", "localhost@evil.example"] {
        assert_refused(&answer(server.address(), JSON, &[("Host", host)]).await, 403, "hosts.allowed");
    }
    for host in [&*format!("localhost:{port}"), "LOCALHOST", "127.0.0.1", "[::1]:7400"] {
        assert_eq!(answer(server.address(), JSON, &[("Host", host)]).await.status, 101, "{host}");
    }
    let headers = [("Host", ""), ("Connection", "upgrade, close")];
    assert_eq!(answer(server.address(), JSON, &headers).await.status, 400);

    let without_guests = TestServer::build().config(|config| config.auth.guests = Some(false)).start().await;
    assert_eq!(answer(without_guests.address(), JSON, &[("Host", "chat.example")]).await.status, 101);
}

#[tokio::test]
async fn an_origin_that_is_not_allowed() {
    let allowed = "https://chat.example".to_owned();
    let server = TestServer::build().config(|config| config.origins.allowed = vec![allowed.clone()]).start().await;
    let own = format!("http://{}", server.address());
    for origin in
        ["https://evil.example", "null", "https://chat.example.evil.example", "http://chat.example", "garbage"]
    {
        assert_refused(&answer(server.address(), JSON, &[("Origin", origin)]).await, 403, "origins.allowed");
    }
    for origin in [&*own, &*allowed] {
        assert_eq!(answer(server.address(), JSON, &[("Origin", origin)]).await.status, 101, "{origin}");
    }
}

#[tokio::test]
async fn headers_without_end() {
    let server = TestServer::start().await;
    let filler = "x".repeat(40_000);
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let request = handshake(server.address(), JSON, &[("Connection", "upgrade, close"), ("X-Filler", &filler)]);
    // Closed before all of it was read, the answer may be lost on the way; an upgrade it is not.
    if let Ok(answer) = http::exchange(stream, &request).await {
        assert_eq!(answer.status, 431, "{answer:?}");
    }
    server.user(Format::Json, "alice").await.barrier().await;
}

/// Bytes that come one by one: in the request, and in the first frame. Neither outlives its deadline, and nobody else waits.
#[tokio::test]
async fn a_slow_loris() {
    let deadline = Duration::from_millis(600);
    let server = TestServer::build().tuning(|tuning| tuning.hello_timeout = deadline).start().await;
    let address = server.address();
    let loris = |upgrades_first: bool| async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let began = tokio::time::Instant::now();
        let mut bytes = handshake(address, JSON, &[("X-Slow", &"x".repeat(4_000))]).into_bytes();
        if upgrades_first {
            stream.write_all(handshake(address, JSON, &[]).as_bytes()).await.unwrap();
            let mut head = [0; 512];
            assert!(stream.read(&mut head).await.unwrap() > 0);
            // A masked text frame of 120 bytes, of which one comes at a time.
            bytes = [&[0x81, 0x80 | 120, 0, 0, 0, 0][..], &[b' '; 120]].concat();
        }
        let mut end = Vec::new();
        for byte in bytes {
            let written = stream.write_all(&[byte]).await;
            let read = tokio::time::timeout(Duration::from_millis(20), stream.read_to_end(&mut end)).await;
            if written.is_err() || read.is_ok() {
                break;
            }
        }
        let took = began.elapsed();
        // An upgraded connection is given two seconds more to answer the close frame.
        let limit = deadline * 2 + if upgrades_first { Duration::from_secs(2) } else { Duration::ZERO };
        assert!(took < limit, "the server waited {took:?} for a handshake");
        (upgrades_first, end)
    };
    let others = async {
        for round in 0..20 {
            let began = tokio::time::Instant::now();
            let mut alice = server.user(Format::Json, &format!("alice{round}")).await;
            alice.send("general", 1, "x").await.unwrap();
            assert!(began.elapsed() < deadline, "another connection waited for the slow ones");
        }
    };
    let lorises: Vec<_> = (0..20).map(|at| tokio::spawn(loris(at % 2 == 0))).collect();
    others.await;
    for task in lorises {
        let (upgraded, end) = task.await.unwrap();
        // A frame with the reason, then a close frame: opcode 8, two bytes of code 4003.
        let told = end.windows(2).any(|two| two == 4003_u16.to_be_bytes());
        assert_eq!(told, upgraded, "{:?}", String::from_utf8_lossy(&end));
    }
    server.wait_for_metric("rollcall_connections", 0.0).await;
}

#[tokio::test]
async fn too_many_connections_of_one_address_or_in_all() {
    for in_all in [false, true] {
        let server = TestServer::build()
            .config(|config| {
                if in_all {
                    config.limits.connections_max = Some(3);
                } else {
                    config.limits.connections_per_address_max = 3;
                }
            })
            .start()
            .await;
        let mut kept = Vec::new();
        for at in 0..3 {
            kept.push(server.user(Format::Json, &format!("user{at}")).await);
        }
        let refused = answer(server.address(), JSON, &[]).await;
        assert_refused(&refused, 503, "limit_reached");
        assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
        for raw in &mut kept {
            raw.barrier().await;
        }
        kept.pop();
        server.wait_for_metric("rollcall_connections", 2.0).await;
        rollcall_it::server::wait_until("a place is free", async || {
            answer(server.address(), JSON, &[]).await.status == 101
        })
        .await;
    }
}
