//! What must not leave the server by its log, and must not stay in its memory.

use rollcall_it::process::ServerProcess;
use rollcall_it::raw::{Raw, send};
use rollcall_it::server::{SECRET, token};
use rollcall_protocol::{ErrorCode, Format};

#[tokio::test]
async fn no_log_line_shows_a_body_a_token_or_a_secret() {
    const CANARY: &str = "canary-that-nobody-may-read";
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::build(folder.path()).set("LOGGING__LEVEL", "trace").start().await;
    let token = token("alice");
    for format in Format::ALL {
        let guest = Raw::connect(server.address(), format).await.hello(None, None).await.unwrap();
        let guest_token = guest.token.unwrap();
        let mut alice = Raw::connect(server.address(), format).await;
        alice.hello(Some(&token), None).await.unwrap();
        alice.join("general", Some(0)).await.unwrap();
        alice.send("general", 1, CANARY).await.unwrap();
        let refused = alice.send("general", 7, CANARY).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::OutOfOrder);
        alice.history("general", |_| {}).await.unwrap();
        alice.entries().await;
        for broken in [
            format!(r#"{{"id":1,"send":{{"room":"general","n":2,"body":"{CANARY}","#),
            format!(r#"{{"id":1,"send":{{"room":"general","n":"{CANARY}","body":1}}}}"#),
            format!(r#"{{"id":1,"refresh":{{"token":["{token}"]}}}}"#),
            format!(r#"{{"id":1,"{CANARY}":1"#),
        ] {
            alice.send_bytes(broken.as_bytes()).await;
        }
        alice.barrier().await;
        let mut forged = Raw::connect(server.address(), format).await;
        forged.hello(Some(&format!("{token}{CANARY}")), None).await.unwrap_err();
        let log = server.log();
        for line in &log {
            for secret in [CANARY, SECRET, token.as_str(), guest_token.as_str(), token.split('.').nth(1).unwrap()] {
                assert!(!line.contains(secret), "the log shows what it must not: {line}");
            }
        }
        assert!(log.len() > 3, "the log says something at all");
    }
}

/// Rubbish of every kind, over and over: memory is what it was.
#[tokio::test]
async fn rubbish_leaves_nothing_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path()).await;
    let mut alice = server.user(Format::Json, "alice").await;
    alice.send("general", 1, "before").await.unwrap();
    let deep = |open: &str| open.repeat(1_000_000 / open.len());
    let json: Vec<Vec<u8>> = vec![
        deep("[").into_bytes(),
        deep(r#"{"id":"#).into_bytes(),
        format!(r#"{{"id":7,"{}":{{}}}}"#, "x".repeat(1_000_000)).into_bytes(),
        format!(r#"{{"id":7,"join":{{"room":"{}"}}}}"#, "x".repeat(1_000_000)).into_bytes(),
        format!(r#"{{"id":7,"send":{{"room":"general","n":1,"body":[{}1e999]}}}}"#, "1,".repeat(500_000)).into_bytes(),
        format!(r#"{{"id":7,"send":{{"room":"general","n":2,"body":"{}"}}}}"#, "x".repeat(1_400_000)).into_bytes(),
    ];
    let claims = |header: u8| [&[header, 0xff, 0xff, 0xff, 0xff][..], &[0xc0; 1_000_000]].concat();
    let send_of = |body: &[u8]| [b"\x82\xa2id\x07\xa4send\x83\xa4room\xa7general\xa1n\x02\xa4body", body].concat();
    let msgpack: Vec<Vec<u8>> = vec![
        claims(0xdf),
        claims(0xdd),
        claims(0xdb),
        send_of(&claims(0xdf)),
        send_of(&claims(0xdd)),
        send_of(&claims(0xc6)),
        vec![0x91; 1_000_000],
    ];
    let mut settled = 0;
    for round in 0..12 {
        for (format, frames) in [(Format::Json, &json), (Format::MsgPack, &msgpack)] {
            for frame in frames {
                let mut raw = server.user(format, "mallory").await;
                for _ in 0..3 {
                    raw.send_bytes(frame).await;
                }
                raw.barrier().await;
            }
            // And connections that are not even that.
            let mut raw = Raw::connect(server.address(), format).await;
            raw.send_bytes(&frames[0]).await;
            raw.closed().await;
        }
        let rss_kib = server.rss_kib();
        if round == 2 {
            settled = rss_kib;
        }
        assert!(rss_kib < 128 * 1_024, "the server holds {rss_kib} KiB");
        assert!(settled == 0 || rss_kib < settled + 12 * 1_024, "{settled} KiB have become {rss_kib} KiB");
    }
    let id = alice.tell(send("general", 2, "after")).await;
    assert_eq!(alice.ack(id).await.unwrap().seq.get(), 3);
}
