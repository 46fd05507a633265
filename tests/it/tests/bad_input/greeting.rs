//! Hellos that are refused: none, late, twice, too large, with a token that is not to be believed.

use std::time::Duration;

use rollcall::auth::{Claims, issue};
use rollcall::config::Secret;
use rollcall_it::server::{TestServer, now_s, token, token_of};
use rollcall_protocol::{ErrorCode, Format, Hello, Join, Leave, Op, UserId};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

#[tokio::test]
async fn no_hello_and_a_late_hello() {
    let timeout = Duration::from_millis(200);
    let server = TestServer::build().tuning(|tuning| tuning.hello_timeout = timeout).start().await;
    for format in Format::ALL {
        let mut none = server.connect(format).await;
        let mut late = server.connect(format).await;
        let error = none.nameless_error().await;
        assert_eq!(error.code, ErrorCode::BadRequest);
        assert!(error.message.contains("hello"), "{}", error.message);
        assert_eq!(none.closed().await, Some(4003));
        late.nameless_error().await;
        late.tell(Op::Hello(Hello { token: Some(token("alice")), ..Hello::default() })).await;
        assert_eq!(late.closed().await, Some(4003));
    }
    server.wait_for_metric("rollcall_connections", 0.0).await;
}

#[tokio::test]
async fn hello_twice_and_the_connection_goes_on() {
    let server = TestServer::start().await;
    for format in Format::ALL {
        let mut alice = server.user(format, "alice").await;
        let error = alice.hello(Some(&token("mallory")), None).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::BadRequest);
        assert!(error.message.contains("hello"), "{}", error.message);
        alice.join("general", Some(0)).await.unwrap();
        alice.send("general", format as u64 + 1, "still alice").await.unwrap();
        let page = alice.history("general", |_| {}).await.unwrap();
        assert!(page.list.iter().all(|entry| entry.sender.as_str() == "alice"));
    }
}

#[tokio::test]
async fn anything_else_before_hello() {
    let server = TestServer::start().await;
    let room = rollcall_it::raw::room("general");
    for format in Format::ALL {
        for (op, named) in [
            (Op::Join(Join { room: room.clone(), after: None, hash: None }), "join"),
            (Op::Leave(Leave { room: room.clone() }), "leave"),
            (rollcall_it::raw::send("general", 1, "x"), "send"),
            (Op::Unknown("fly".to_owned()), "fly"),
        ] {
            let mut raw = server.connect(format).await;
            let error = raw.ask(op).await.unwrap_err();
            assert_eq!(error.code, ErrorCode::BadRequest);
            assert!(error.message.contains(named), "{}", error.message);
            assert_eq!(raw.closed().await, Some(4500));
        }
        let mut raw = server.connect(format).await;
        raw.send_bytes(if format == Format::Json { b"what?" } else { b"\xc1" }).await;
        assert_eq!(raw.nameless_error().await.code, ErrorCode::BadRequest);
        assert_eq!(raw.closed().await, Some(4500));
    }
    assert!(server.inner().log().tail(&room).await.unwrap().is_none(), "nothing was written");
}

/// What a token says is checked by whoever has the key: the server. Each of these is refused in words, and closed with the
/// code that says whether another token would do.
#[tokio::test]
async fn tokens_that_are_not_to_be_believed() {
    let server = TestServer::start().await;
    let good = token("alice");
    let [header, claims, signature] = <[&str; 3]>::try_from(good.split('.').collect::<Vec<_>>()).unwrap();
    let admin = token("admin");
    let others_claims = admin.split('.').nth(1).unwrap();
    let other_key = Secret::new("another secret for tests, which has many bytes, too");
    let forged = issue(&other_key, &Claims::new(UserId::parse("alice").unwrap(), now_s() + 60));
    // {"alg":"none","typ":"JWT"}
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let guest = server.connect(Format::Json).await.hello(None, None).await.unwrap();
    let unauthorized: Vec<(String, &str)> = vec![
        (forged, "signature"),
        (format!("{header}.{others_claims}.{signature}"), "signature"),
        (format!("{none}.{claims}."), "algorithm"),
        (format!("{none}.{claims}.{signature}"), "algorithm"),
        (format!("{none}.{claims}"), "malformed"),
        (String::new(), "malformed"),
        ("nonsense".to_owned(), "malformed"),
        (token_of("alice", |claims| claims.aud = vec!["somebody-else".to_owned()]), "audience"),
        (token_of("alice", |claims| claims.nbf_s = Some(now_s() + 600)), "not valid yet"),
        (token_of(guest.user.as_str(), |_| {}), "guests"),
    ];
    for format in Format::ALL {
        for (token, named) in &unauthorized {
            let mut raw = server.connect(format).await;
            let error = raw.hello(Some(token), None).await.unwrap_err();
            assert_eq!(error.code, ErrorCode::Unauthorized, "{named}: {error:?}");
            assert!(error.message.contains(named), "{named}: {}", error.message);
            assert!(!error.message.contains(claims), "an error repeats no part of a token");
            assert_eq!(raw.closed().await, Some(4502), "{named}");
        }
        let mut raw = server.connect(format).await;
        let expired = token_of("alice", |claims| claims.exp_s = now_s() - 60);
        let error = raw.hello(Some(&expired), None).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::TokenExpired);
        assert_eq!(raw.closed().await, Some(4004));
    }
}

#[tokio::test]
async fn a_first_frame_beyond_4_kib() {
    let server = TestServer::start().await;
    for format in Format::ALL {
        for length in [4_100, 20_000, 1_500_000] {
            let mut raw = server.connect(format).await;
            let hello = format!(r#"{{"id":1,"hello":{{"token":"{}"}}}}"#, "x".repeat(length));
            raw.try_send_message(raw.message(hello.as_bytes())).await.unwrap();
            let error = raw.nameless_error().await;
            assert_eq!(error.code, ErrorCode::TooLarge);
            assert!(error.message.contains("4096"), "{}", error.message);
            assert_eq!(raw.closed().await, Some(4503), "{length} bytes");
        }
        // One that is just small enough is read: it is the token that is refused.
        let mut raw = server.connect(format).await;
        let error = raw.hello(Some(&"x".repeat(4_000)), None).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Unauthorized);
    }
    // Nor does it help to send it in pieces, none of which is large.
    let mut raw = server.connect(Format::MsgPack).await;
    for piece in 0..40 {
        let opcode = if piece == 0 { Data::Binary } else { Data::Continue };
        let frame = Frame::message(vec![b'x'; 500], OpCode::Data(opcode), false);
        raw.send_message(Message::Frame(frame)).await;
    }
    assert_eq!(raw.nameless_error().await.code, ErrorCode::TooLarge);
    assert_eq!(raw.closed().await, Some(4503));
}

/// Commands may follow hello without waiting for its answer, even if they are large.
#[tokio::test]
async fn a_large_command_right_behind_hello_is_taken() {
    let server = TestServer::start().await;
    for format in Format::ALL {
        let mut raw = server.connect(format).await;
        let hello = raw.tell(Op::Hello(Hello { token: Some(token("alice")), ..Hello::default() })).await;
        let sent = raw.tell(rollcall_it::raw::send("general", 1, &"x".repeat(90_000))).await;
        raw.reply(hello).await.unwrap();
        raw.ack(sent).await.unwrap();
    }
}
