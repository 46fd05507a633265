//! MessagePack frames that are no commands, or commands that are not what the protocol says.

use std::time::{Duration, Instant};

use rollcall_it::raw::room;
use rollcall_it::server::TestServer;
use rollcall_protocol::{ErrorCode, Format};

/// `{id: 77, send: {room: "general", n: 1, body: …}}`, with these bytes as the body.
fn send(body: &[u8]) -> Vec<u8> {
    [b"\x82\xa2id\x4d\xa4send\x83\xa4room\xa7general\xa1n\x01\xa4body", body].concat()
}

/// `{id: 77, leave: {room: …}}`, with these bytes as the room.
fn leave(room: &[u8]) -> Vec<u8> {
    [b"\x82\xa2id\x4d\xa5leave\x81\xa4room", room].concat()
}

async fn check(frames: &[(Vec<u8>, ErrorCode, &str)]) {
    let server = TestServer::start().await;
    let mut alice = server.user(Format::MsgPack, "alice").await;
    for (frame, code, named) in frames {
        let shown = String::from_utf8_lossy(&frame[..frame.len().min(80)]);
        let began = Instant::now();
        alice.send_bytes(frame).await;
        alice.barrier().await;
        let error = match alice.reply_so_far(77) {
            Some(reply) => reply.expect_err(&shown),
            None => alice.nameless_error().await,
        };
        assert_eq!(error.code, *code, "{shown}: {error:?}");
        assert!(error.message.contains(named), "{shown}: the message names {named:?}: {}", error.message);
        assert!(error.message.len() < 400, "{shown}: {}", error.message);
        assert!(began.elapsed() < Duration::from_secs(3), "{shown} took {:?}", began.elapsed());
    }
    assert!(server.inner().log().tail(&room("general")).await.unwrap().is_none(), "nothing was stored");
    alice.send("general", 1, "and this is").await.unwrap();
}

fn bad(frame: impl Into<Vec<u8>>, named: &'static str) -> (Vec<u8>, ErrorCode, &'static str) {
    (frame.into(), ErrorCode::BadRequest, named)
}

#[tokio::test]
async fn headers_that_claim_more_than_there_is() {
    let four_billion = b"\xff\xff\xff\xff";
    check(&[
        bad([b"\xdf", &four_billion[..]].concat(), "command"),
        bad([b"\xdf", &four_billion[..], b"\xa2id\x4d"].concat(), "command"),
        bad(send(&[b"\xdf", &four_billion[..]].concat()), "body"),
        bad(send(&[b"\xdf", &four_billion[..], b"\xa1a\x01\xa1b\x01"].concat()), "body"),
        bad(send(&[b"\xdd", &four_billion[..]].concat()), "body"),
        bad(send(&[b"\xdd", &four_billion[..], &[0xc0; 1_000]].concat()), "body"),
        bad(send(&[b"\xdb", &four_billion[..], b"abc"].concat()), "body"),
        bad(leave(&[b"\xdb", &four_billion[..], b"general"].concat()), "room"),
        bad([b"\x82\xa2id\x4d\xdb", &four_billion[..]].concat(), "command"),
    ])
    .await;
}

#[tokio::test]
async fn frames_that_end_too_early_or_too_late() {
    let whole = leave(b"\xa7general");
    let mut frames: Vec<_> = (0..whole.len()).map(|length| bad(&whole[..length], "command")).collect();
    frames.push(bad([&whole[..], b"\xc0"].concat(), "command"));
    frames.push(bad([&whole[..], &whole[..]].concat(), "command"));
    check(&frames).await;
}

#[tokio::test]
async fn what_is_messagepack_and_no_command() {
    check(&[
        bad(*b"\xc0", "command"),
        bad(*b"\xc1", "command"),
        bad(*b"\x4d", "command"),
        bad(*b"\x90", "command"),
        bad(*b"\x81\xa2id\x4d", "operation"),
        bad(*b"\x81\x01\x4d", "command"),
        bad(*b"\x82\xa2id\xa277\xa5leave\x80", "command"),
        bad(*b"\x82\xa2id\xff\xa5leave\x80", "command"),
        bad(leave(b"\xc4\x07general"), "leave"),
        bad(leave(b"\xa3\xff\xfe\xfd"), "leave"),
        bad(leave(b"\xa9../../etc"), "room name"),
        bad(leave(b"\xa3a\x00b"), "room name"),
        bad(leave(&[b"\xda\x27\x10", &[b'x'; 10_000][..]].concat()), "128"),
        bad(b"\x82\xa2id\x4d\xa5leave\x91\xa7general".to_vec(), "leave"),
        bad(b"\x83\xa2id\x4d\xa2id\x4d\xa5leave\x80".to_vec(), "id"),
        (b"\x82\xa2id\x4d\xa3fly\x80".to_vec(), ErrorCode::UnknownOp, "fly"),
        bad([&[0x91; 10_000][..], b"\xc0"].concat(), "command"),
        bad([&b"\x82\xa2id\x4d\xa3fly"[..], &[0x91; 100_000], b"\xc0"].concat(), "command"),
    ])
    .await;
}

#[tokio::test]
async fn bodies_that_not_every_reader_could_be_told() {
    check(&[
        bad(send(b"\xc4\x03abc"), "body"),
        bad(send(b"\x81\xa3bin\xc4\x03abc"), "body"),
        bad(send(b"\xd4\x01\x00"), "body"),
        bad(send(b"\xd6\xff\x00\x00\x00\x00"), "body"),
        bad(send(b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"), "body"),
        bad(send(b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00"), "body"),
        bad(send(b"\xca\xff\x80\x00\x00"), "body"),
        bad(send(b"\x81\x01\x02"), "body"),
        bad(send(b"\x82\xa1a\x01\xa1a\x02"), "twice"),
        bad(send(b"\xa3\xff\xfe\xfd"), "body"),
        bad(send(&[&[0x91; 65][..], b"\xc0"].concat()), "nested"),
        bad(send(&[&[0x91; 10_000][..], b"\xc0"].concat()), "body"),
        bad(send(b"\xc0"), "body"),
    ])
    .await;
}
