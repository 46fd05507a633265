//! Each command, in both formats: its reply and its pushes.

use rollcall_it::raw::{Raw, room, send, write};
use rollcall_it::server::{TestServer, token, token_of};
use rollcall_protocol::{
    Body, EntryFrame, ErrorCode, Format, Kind, Leave, Op, Refresh, Seq, SignalKind, Typing, Write, WriteOp,
};

/// A reader of the other format than the writer's, in a room from its beginning.
async fn reader(server: &TestServer, format: Format, name: &str) -> Raw {
    let other = if format == Format::Json { Format::MsgPack } else { Format::Json };
    let mut reader = server.user(other, &format!("reader-of-{name}")).await;
    reader.join(name, Some(0)).await.unwrap();
    reader
}

fn about(name: &str, n: u64, target: u64, body: Option<Body>) -> Write<Body> {
    Write { target: Some(Seq::new(target)), body, ..write(name, n) }
}

fn shape(entry: &EntryFrame) -> (u64, Kind, u64, Option<u64>, bool) {
    (entry.seq.get(), entry.kind, entry.n, entry.target.map(Seq::get), entry.redacted)
}

fn room_of(format: Format) -> String {
    format!("general.{format:?}")
}

#[tokio::test]
async fn the_first_send_makes_the_room_and_everybody_in_it_gets_both_entries() {
    let server = TestServer::start().await;
    for format in Format::ALL {
        let name = room_of(format);
        let mut reader = reader(&server, format, &name).await;
        let mut alice = server.user(format, "alice").await;
        let joined = alice.join(&name, None).await.unwrap();
        assert_eq!((joined.head.get(), joined.floor.get(), joined.last_n), (0, 1, 0));
        let ack = alice.send(&name, 1, "Hello").await.unwrap();
        assert_eq!((ack.seq.get(), ack.duplicate), (2, false));
        for raw in [&mut reader, &mut alice] {
            let entries = raw.entries_through(&name, 0, 2).await;
            assert_eq!(shape(&entries[0]), (1, Kind::Room, 0, None, false));
            assert_eq!(entries[0].body.as_ref().unwrap().as_str(), r#"{"creator":"alice"}"#);
            assert_eq!(shape(&entries[1]), (2, Kind::Message, 1, None, false));
            assert_eq!(entries[1].body.as_ref().unwrap().as_str(), r#"{"text":"Hello"}"#);
            assert_eq!(entries[1].sender.as_str(), "alice");
            assert_eq!(entries[1].device.as_ref().unwrap().as_str(), "alice-device");
        }
    }
}

#[tokio::test]
async fn joining_a_room_that_nobody_wrote_to_writes_nothing() {
    let server = TestServer::start().await;
    let mut alice = server.user(Format::Json, "alice").await;
    let joined = alice.join("empty", Some(0)).await.unwrap();
    assert_eq!((joined.head.get(), joined.epoch.get()), (0, joined.epoch.get()));
    let page = alice.history("empty", |_| {}).await.unwrap();
    assert_eq!((page.head.get(), page.list.len()), (0, 0));
    assert!(server.inner().log().tail(&room("empty")).await.unwrap().is_none());
}

#[tokio::test]
async fn edits_reactions_and_redactions_reach_readers_in_order() {
    let server = TestServer::start().await;
    for format in Format::ALL {
        let name = room_of(format);
        let mut reader = reader(&server, format, &name).await;
        let mut alice = server.user(format, "alice").await;
        alice.send(&name, 1, "a message").await.unwrap();
        let edited = Body::text("an edit").unwrap();
        let thumb = Body::from_value(&serde_json::json!({"emoji": "👍"})).unwrap();
        let writes = [
            (WriteOp::Edit, about(&name, 2, 2, Some(edited))),
            (WriteOp::React, about(&name, 3, 2, Some(thumb))),
            (WriteOp::Redact, about(&name, 4, 2, None)),
        ];
        for (seq, (op, write)) in (3..).zip(writes) {
            let id = alice.tell(Op::Write(op, write)).await;
            assert_eq!(alice.ack(id).await.unwrap().seq.get(), seq);
        }
        let seen = reader.entries_through(&name, 0, 5).await;
        let shapes: Vec<_> =
            seen.iter().skip(2).map(|entry| (entry.kind, entry.n, entry.target.map(Seq::get))).collect();
        assert_eq!(shapes, [(Kind::Edit, 2, Some(2)), (Kind::React, 3, Some(2)), (Kind::Redact, 4, Some(2))]);

        // Who comes later sees neither the message nor its edit, and the reaction as it was.
        let mut late = server.user(format, "late").await;
        late.join(&name, Some(0)).await.unwrap();
        let seen = late.entries_through(&name, 0, 5).await;
        assert_eq!(
            seen.iter().map(shape).collect::<Vec<_>>(),
            [
                (1, Kind::Room, 0, None, false),
                (2, Kind::Message, 1, None, true),
                (3, Kind::Edit, 2, Some(2), true),
                (4, Kind::React, 3, Some(2), false),
                (5, Kind::Redact, 4, Some(2), false),
            ]
        );
        assert!(seen[1].body.is_none() && seen[2].body.is_none());
        let page = late.history(&name, |_| {}).await.unwrap();
        assert_eq!(page.list.iter().map(shape).collect::<Vec<_>>(), seen.iter().map(shape).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn only_the_author_edits_and_only_the_author_or_a_moderator_redacts() {
    let server = TestServer::start().await;
    let mut alice = server.user(Format::Json, "alice").await;
    alice.send("general", 1, "alice's").await.unwrap();
    let mut bob = server.user(Format::Json, "bob").await;
    let edit = Op::Write(WriteOp::Edit, about("general", 1, 2, Some(Body::text("bob's").unwrap())));
    assert_eq!(bob.ask(edit).await.unwrap_err().code, ErrorCode::Forbidden);
    let redact = |n| Op::Write(WriteOp::Redact, about("general", n, 2, None));
    assert_eq!(bob.ask(redact(1)).await.unwrap_err().code, ErrorCode::Forbidden);

    let mut mod_ = server.connect(Format::Json).await;
    let moderates = token_of("mod", |claims| claims.moderate = vec!["general".parse().unwrap()]);
    mod_.hello(Some(&moderates), Some("desk")).await.unwrap();
    let id = mod_.tell(redact(1)).await;
    assert_eq!(mod_.ack(id).await.unwrap().seq.get(), 3);

    let missing = Op::Write(WriteOp::Redact, about("general", 1, 99, None));
    let error = bob.ask(missing).await.unwrap_err();
    assert_eq!((error.code, &error.details["target"]), (ErrorCode::NotFound, &serde_json::json!(99)));
    let reaction_to_room = Op::Write(WriteOp::React, about("general", 1, 1, Some(Body::text("?").unwrap())));
    assert_eq!(bob.ask(reaction_to_room).await.unwrap_err().code, ErrorCode::NotFound);
}

#[tokio::test]
async fn who_left_is_not_told_any_more() {
    let server = TestServer::start().await;
    for format in Format::ALL {
        let name = room_of(format);
        let mut alice = server.user(format, "alice").await;
        let mut bob = server.user(format, "bob").await;
        bob.join(&name, None).await.unwrap();
        alice.send(&name, 1, "one").await.unwrap();
        bob.entries_through(&name, 0, 2).await;
        bob.ask(Op::Leave(Leave { room: room(&name) })).await.unwrap();
        let again = bob.ask(Op::Leave(Leave { room: room(&name) })).await.unwrap_err();
        assert_eq!(again.code, ErrorCode::NotJoined);
        alice.send(&name, 2, "two").await.unwrap();
        bob.barrier().await;
        assert_eq!(bob.pushes_so_far(), []);
        // It comes back where it was, and misses nothing.
        bob.join(&name, Some(2)).await.unwrap();
        bob.entries_through(&name, 2, 3).await;
    }
}

#[tokio::test]
async fn typing_is_told_to_the_others_in_the_room_alone() {
    let server = TestServer::start().await;
    for format in Format::ALL {
        let name = room_of(format);
        let mut bob = reader(&server, format, &name).await;
        let mut outsider = server.user(format, "outsider").await;
        let mut alice = server.user(format, "alice").await;
        let typing = || Op::Typing(Typing { room: room(&name) });
        assert_eq!(alice.ask(typing()).await.unwrap_err().code, ErrorCode::NotJoined);
        alice.join(&name, None).await.unwrap();
        alice.ask(typing()).await.unwrap();
        let signal = bob.signal().await;
        assert_eq!((signal.room.as_str(), signal.user.as_str(), signal.kind), (&*name, "alice", SignalKind::Typing));
        for raw in [&mut alice, &mut outsider] {
            raw.barrier().await;
            assert_eq!(raw.pushes_so_far(), []);
        }
        assert!(server.inner().log().tail(&room(&name)).await.unwrap().is_none(), "nothing was stored");
    }
}

#[tokio::test]
async fn refresh_takes_a_new_token_of_the_same_user() {
    let server = TestServer::start().await;
    for format in Format::ALL {
        let mut alice = server.user(format, "alice").await;
        let refresh = |token: String| Op::Refresh(Refresh { token });
        let longer = token_of("alice", |claims| claims.exp_s += 1_000);
        let answer = alice.ask(refresh(longer)).await.unwrap();
        assert!(answer.expires_at_ms.unwrap() > 0);
        assert_eq!(alice.ask(refresh(token("bob"))).await.unwrap_err().code, ErrorCode::Unauthorized);
        assert_eq!(alice.ask(refresh("nonsense".to_owned())).await.unwrap_err().code, ErrorCode::Unauthorized);
        let expired = token_of("alice", |claims| claims.exp_s = 1);
        assert_eq!(alice.ask(refresh(expired)).await.unwrap_err().code, ErrorCode::TokenExpired);
        alice.send("general", alice_n(format), "still here").await.unwrap();
    }
}

fn alice_n(format: Format) -> u64 {
    if format == Format::Json { 1 } else { 2 }
}

#[tokio::test]
async fn a_refresh_with_fewer_rooms_ends_the_subscriptions_to_the_others() {
    let server = TestServer::start().await;
    let mut alice = server.user(Format::Json, "alice").await;
    alice.join("kept", None).await.unwrap();
    alice.join("lost", None).await.unwrap();
    let fewer = token_of("alice", |claims| claims.rooms = Some(vec!["kept".parse().unwrap()]));
    alice.ask(Op::Refresh(Refresh { token: fewer })).await.unwrap();
    let left = alice.left().await;
    assert_eq!((left.room.as_str(), left.error.code), ("lost", ErrorCode::Forbidden));
    let mut bob = server.user(Format::Json, "bob").await;
    bob.send("lost", 1, "not for alice").await.unwrap();
    bob.send("kept", 1, "for alice").await.unwrap();
    let entries = alice.entries_through("kept", 0, 2).await;
    assert_eq!(entries[1].sender.as_str(), "bob");
    alice.barrier().await;
    assert_eq!(alice.pushes_so_far(), []);
}

#[tokio::test]
async fn sends_of_one_connection_are_numbered_in_the_order_in_which_they_came() {
    let server = TestServer::start().await;
    let mut alice = server.user(Format::MsgPack, "alice").await;
    let mut ids = Vec::new();
    for n in 1..=64 {
        ids.push(alice.tell(send("general", n, "x")).await);
    }
    for (id, seq) in ids.into_iter().zip(2..) {
        assert_eq!(alice.ack(id).await.unwrap().seq.get(), seq);
    }
}

/// A join that is under way when the token changes is answered by the rights of the new one.
#[tokio::test]
async fn a_join_that_a_refresh_overtakes_is_refused_if_the_new_token_does_not_allow_it() {
    let server = TestServer::start().await;
    let mut bob = server.user(Format::Json, "bob").await;
    for format in Format::ALL {
        let name = room_of(format);
        let mut alice = server.user(format, "alice").await;
        let fewer = token_of("alice", |claims| claims.rooms = Some(vec!["kept".parse().unwrap()]));
        let join = Op::Join(rollcall_protocol::Join { room: room(&name), after: None, hash: None });
        let (join_id, refresh_id) = (alice.next_id(), alice.next_id());
        // In one write, so that the second is read before the room has answered the first.
        for (id, op) in [(join_id, join), (refresh_id, Op::Refresh(Refresh { token: fewer }))] {
            alice.feed_bytes(&format.encode_command(&rollcall_protocol::Command { id: Some(id), op })).await;
        }
        alice.barrier().await;
        alice.reply(refresh_id).await.unwrap();
        assert_eq!(alice.reply(join_id).await.unwrap_err().code, ErrorCode::Forbidden);
        bob.send(&name, 1, "not for alice").await.unwrap();
        alice.barrier().await;
        assert_eq!(alice.pushes_so_far(), []);
    }
}
