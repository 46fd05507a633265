//! JSON frames that are no commands, or commands that are not what the protocol says.

use rollcall_it::raw::room;
use rollcall_it::server::TestServer;
use rollcall_protocol::{ErrorCode, Format};

/// Sends a frame whose command, if it is one, has the id 77, asserts what it is answered, and that the connection goes on.
async fn check(frames: &[(String, ErrorCode, &str)]) {
    let server = TestServer::start().await;
    let mut alice = server.user(Format::Json, "alice").await;
    for (frame, code, named) in frames {
        let shown: String = frame.chars().take(200).collect();
        alice.send_bytes(frame.as_bytes()).await;
        // Whether the id can be read depends on where the frame is broken.
        alice.barrier().await;
        let error = match alice.reply_so_far(77) {
            Some(reply) => reply.expect_err(&shown),
            None => alice.nameless_error().await,
        };
        assert_eq!(error.code, *code, "{shown}: {error:?}");
        assert!(error.message.contains(named), "{shown}: the message names {named:?}: {}", error.message);
        assert!(error.message.len() < 400, "{shown}: {}", error.message);
    }
    assert!(server.inner().log().tail(&room("general")).await.unwrap().is_none(), "nothing was stored");
    alice.send("general", 1, "and this is").await.unwrap();
}

fn bad(frame: impl Into<String>, named: &'static str) -> (String, ErrorCode, &'static str) {
    (frame.into(), ErrorCode::BadRequest, named)
}

#[tokio::test]
async fn names_of_rooms() {
    let join = |name: &str| format!(r#"{{"id":77,"join":{{"room":{name}}}}}"#);
    let quoted = |name: &str| join(&format!("\"{name}\""));
    check(&[
        bad(quoted(&"x".repeat(10_000)), "room name has 1 to 128 characters, not 10000"),
        bad(quoted(&"x".repeat(129)), "128"),
        bad(quoted(""), "room name"),
        bad(quoted("a\\u0000b"), "room name"),
        bad(quoted("a\\nb"), "room name"),
        bad(quoted("a\\u001b[2Jb"), "room name"),
        bad(quoted("a\u{7f}"), "room name"),
        bad(quoted("a\u{202e}b"), "room name"),
        bad(quoted("räksmörgås"), "room name"),
        bad(quoted("../../etc/passwd"), "room name"),
        bad(quoted(".hidden"), "room name"),
        bad(quoted("a/b"), "room name"),
        bad(quoted("a\\\\b"), "room name"),
        bad(quoted("a%2e%2e%2fb"), "room name"),
        bad(quoted("{slot}"), "room name"),
        bad(quoted("a b"), "room name"),
        bad(join("7"), "join.room"),
        bad(join("null"), "join.room"),
        bad(r#"{"id":77,"join":{}}"#, "room"),
    ])
    .await;
}

#[tokio::test]
async fn operations_that_are_not_known() {
    let unknown =
        |name: &str, shown: &'static str| (format!(r#"{{"id":77,"{name}":{{}}}}"#), ErrorCode::UnknownOp, shown);
    check(&[
        unknown("fly", "fly"),
        unknown("Send", "Send"),
        unknown("__proto__", "__proto__"),
        unknown(&"x".repeat(100_000), "xxxx"),
        (r#"{"id":77,"fly":[[[{"deep":1e5}]]]}"#.to_owned(), ErrorCode::UnknownOp, "fly"),
    ])
    .await;
}

#[tokio::test]
async fn what_is_not_json() {
    let deep = |open: &str, close: &str| open.repeat(10_000) + &close.repeat(10_000);
    check(&[
        bad("", "command"),
        bad("hello", "command"),
        bad("\u{feff}{}", "command"),
        bad(r#"{"id":77,"leave":{"room":"general"}"#, "command"),
        bad(r#"{"id":77,"leave":{"room":"general"}} {"id":78}"#, "command"),
        bad(r#"{"id":77,"leave":{"room":'general'}}"#, "command"),
        bad("{\"id\":77,\"leave\":{\"room\":\"gen\neral\"}}", "command"),
        bad(r#"{"id":77,"leave":{"room":"general",}}"#, "command"),
        bad(r#"{"id":077,"leave":{"room":"general"}}"#, "command"),
        bad(r#"{"id":NaN,"leave":{"room":"general"}}"#, "command"),
        bad(deep("[", "]"), "command"),
        bad(deep(r#"{"id":"#, "}"), "command"),
        bad(format!(r#"{{"id":77,"send":{{"room":"general","n":1,"body":{}}}}}"#, deep("[", "]")), "send.body"),
        bad("[".repeat(1_000_000), "command"),
    ])
    .await;
}

#[tokio::test]
async fn what_is_json_and_no_command() {
    check(&[
        bad("null", "command"),
        bad("[]", "command"),
        bad("77", "command"),
        bad(r#"{"id":77}"#, "operation"),
        bad(r#"{"leave":{"room":"general"}}"#, "id"),
        bad(r#"{"id":77,"leave":["general"]}"#, "leave"),
        bad(r#"{"id":77,"leave":null}"#, "leave"),
        bad(r#"{"id":-1,"leave":{"room":"general"}}"#, "command"),
        bad(r#"{"id":1.5,"leave":{"room":"general"}}"#, "command"),
        bad(r#"{"id":9007199254740992,"leave":{"room":"general"}}"#, "2^53"),
        bad(r#"{"id":"77","leave":{"room":"general"}}"#, "command"),
        bad(r#"{"id":77,"id":78,"leave":{"room":"general"}}"#, "id"),
        bad(r#"{"id":77,"leave":{"room":"general"},"join":{"room":"general"}}"#, "one operation"),
        bad(r#"{"id":77,"leave":{"room":"general"},"leave":{"room":"general"}}"#, "one operation"),
        bad(r#"{"id":77,"leave":{"room":"general","room":"general"}}"#, "room"),
        bad(r#"{"id":77,"send":{"room":"general","n":-1,"body":1}}"#, "send.n"),
        bad(r#"{"id":77,"send":{"room":"general","n":9007199254740992,"body":1}}"#, "send.n"),
        bad(r#"{"id":77,"send":{"room":"general","n":1e999,"body":1}}"#, "send"),
        bad(r#"{"id":77,"join":{"room":"general","after":-1}}"#, "join.after"),
        bad(r#"{"id":77,"join":{"room":"general","after":0,"hash":"xyz"}}"#, "join.hash"),
    ])
    .await;
}

#[tokio::test]
async fn bodies_that_not_every_reader_could_be_told() {
    let send = |body: &str| format!(r#"{{"id":77,"send":{{"room":"general","n":1,"body":{body}}}}}"#);
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    check(&[
        bad(send("1e999"), "body"),
        bad(send("[-1e999]"), "body"),
        bad(send(r#"{"text":"\ud800"}"#), "body"),
        bad(send(r#"{"text":"\udc00\ud800"}"#), "body"),
        bad(send(r#"{"text":"\ud800x"}"#), "body"),
        bad(send(r#"{"\ud83d":1}"#), "body"),
        bad(send(r#"{"text":"a","text":"b"}"#), "twice"),
        bad(send(r#"{"a":{"b":1,"\u0062":2}}"#), "twice"),
        bad(send(&nested(65)), "nested"),
        bad(send("null"), "body"),
        bad(r#"{"id":77,"send":{"room":"general","n":1}}"#, "body"),
    ])
    .await;
}
