//! Frames of the wrong kind, and rates: what ends a connection.

use rollcall::gateway::Rate;
use rollcall_it::raw::room;
use rollcall_it::server::{TestServer, TestServerBuilder};
use rollcall_protocol::{Command, ErrorCode, Format, Leave, Op, Pong};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

#[tokio::test]
async fn a_frame_of_the_other_kind() {
    let server = TestServer::start().await;
    for (format, wrong) in
        [(Format::Json, Message::Binary(vec![0x80].into())), (Format::MsgPack, Message::Text("{}".into()))]
    {
        let mut before = server.connect(format).await;
        before.send_message(wrong.clone()).await;
        assert_eq!(before.nameless_error().await.code, ErrorCode::BadRequest);
        assert_eq!(before.closed().await, Some(4500));
        let mut after = server.user(format, "alice").await;
        after.send_message(wrong).await;
        assert_eq!(after.closed().await, Some(4500));
    }
}

#[tokio::test]
async fn a_text_frame_that_is_not_utf_8() {
    let server = TestServer::start().await;
    let mut alice = server.user(Format::Json, "alice").await;
    let frame = Frame::message(vec![b'{', 0xff, 0xfe, b'}'], OpCode::Data(Data::Text), true);
    alice.send_message(Message::Frame(frame)).await;
    assert_eq!(alice.closed().await, Some(4500));
}

#[tokio::test]
async fn websocket_pings_are_answered_and_mean_nothing() {
    let server = TestServer::start().await;
    let mut alice = server.user(Format::Json, "alice").await;
    for _ in 0..100 {
        alice.send_message(Message::Ping(vec![1, 2, 3].into())).await;
    }
    alice.barrier().await;
}

fn slow(rate: Rate, of_user: bool) -> TestServerBuilder {
    TestServer::build().config(|config| {
        let limits = &mut config.limits;
        if of_user {
            (limits.commands_per_user_per_s, limits.commands_per_user_burst) = (rate.per_s, rate.burst);
        } else {
            (limits.commands_per_connection_per_s, limits.commands_per_connection_burst) = (rate.per_s, rate.burst);
        }
    })
}

fn leave() -> Op<rollcall_protocol::Body> {
    Op::Leave(Leave { room: room("nobody.joined.this") })
}

#[tokio::test]
async fn too_many_commands_are_told_when_to_come_again() {
    for of_user in [false, true] {
        let server = slow(Rate { per_s: 20, burst: 5 }, of_user).start().await;
        for format in Format::ALL {
            let mut alice = server.user(format, &format!("alice{format:?}")).await;
            let mut ids = Vec::new();
            for _ in 0..20 {
                ids.push(alice.tell(leave()).await);
            }
            let mut limited = Vec::new();
            for id in ids {
                let error = alice.reply(id).await.unwrap_err();
                match error.code {
                    ErrorCode::NotJoined => {}
                    ErrorCode::RateLimited => limited.push(error),
                    other => panic!("{other}"),
                }
            }
            assert!((8..=15).contains(&limited.len()), "{} of 20 were refused", limited.len());
            let error = &limited[0];
            assert!(error.retryable && (1..=50).contains(&error.retry_after_ms.unwrap()), "{error:?}");
            assert!(error.message.contains("commands"), "{}", error.message);
            // Who waits as it is told is let in again.
            tokio::time::sleep(std::time::Duration::from_millis(60)).await; // pace: until the bucket has a token again
            alice.barrier().await;
        }
    }
}

/// Far beyond its rate, whatever it sends, garbage and pongs too, a connection is closed.
#[tokio::test]
async fn a_flood_is_closed() {
    let server = slow(Rate { per_s: 100, burst: 100 }, false).start().await;
    for format in Format::ALL {
        let leave = format.encode_command(&Command { id: Some(1), op: leave() });
        let pong = format.encode_command(&Command { id: None, op: Op::Pong(Pong {}) });
        let garbage = vec![b'1'];
        for bytes in [leave, garbage, pong] {
            let mut alice = server.user(format, "alice").await;
            for _ in 0..20_000 {
                alice.feed_bytes(&bytes).await;
            }
            assert_eq!(alice.closed().await, Some(4005));
        }
    }
    // Others were let be.
    server.user(Format::Json, "bob").await.barrier().await;
}

#[tokio::test]
async fn a_users_connections_share_a_rate_and_others_have_their_own() {
    let server = slow(Rate { per_s: 1, burst: 10 }, true).start().await;
    let mut one = server.connect(Format::Json).await;
    one.hello(Some(&rollcall_it::server::token("alice")), Some("one")).await.unwrap();
    let mut two = server.connect(Format::Json).await;
    two.hello(Some(&rollcall_it::server::token("alice")), Some("two")).await.unwrap();
    for _ in 0..10 {
        assert_eq!(one.ask(leave()).await.unwrap_err().code, ErrorCode::NotJoined);
    }
    assert_eq!(two.ask(leave()).await.unwrap_err().code, ErrorCode::RateLimited);
    server.user(Format::Json, "bob").await.barrier().await;
}
