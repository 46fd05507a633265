//! Writes whose n, prev or target is not what it should be.

use rollcall_it::raw::{Raw, send, write};
use rollcall_it::server::TestServer;
use rollcall_protocol::{Ack, Body, ErrorCode, ErrorFrame, Format, Op, Seq, Write, WriteOp};

async fn ask(raw: &mut Raw, op: WriteOp, write: Write<Body>) -> Result<Ack, ErrorFrame> {
    let id = raw.tell(Op::Write(op, write)).await;
    raw.ack(id).await
}

fn text(text: &str) -> Option<Body> {
    Some(Body::text(text).unwrap())
}

#[tokio::test]
async fn n_is_0() {
    let server = TestServer::start().await;
    for format in Format::ALL {
        let mut alice = server.user(format, "alice").await;
        for op in [WriteOp::Send, WriteOp::Edit, WriteOp::Redact, WriteOp::React] {
            let write =
                Write { target: (op != WriteOp::Send).then_some(Seq::FIRST), body: text("x"), ..write("general", 0) };
            let error = ask(&mut alice, op, write).await.unwrap_err();
            assert_eq!((error.code, error.is_final), (ErrorCode::BadRequest, true));
            assert!(error.message.contains("n begins at 1"), "{}", error.message);
        }
    }
}

#[tokio::test]
async fn a_known_n_with_another_body() {
    let server = TestServer::start().await;
    for format in Format::ALL {
        let name = format!("general{format:?}");
        let mut alice = server.user(format, "alice").await;
        let first = alice.send(&name, 1, "one").await.unwrap();
        let again = alice.send(&name, 1, "one").await.unwrap();
        assert_eq!(again, Ack { seq: first.seq, duplicate: true });
        let error = alice.send(&name, 1, "two").await.unwrap_err();
        assert_eq!((error.code, error.retryable, error.is_final), (ErrorCode::Conflict, false, true));
        let reaction = Write { target: Some(first.seq), body: text("one"), ..write(&name, 1) };
        assert_eq!(ask(&mut alice, WriteOp::React, reaction).await.unwrap_err().code, ErrorCode::Conflict);
        let joined = alice.join(&name, Some(0)).await.unwrap();
        assert_eq!((joined.head.get(), joined.last_n), (2, 1));
    }
}

#[tokio::test]
async fn a_wrong_prev() {
    let server = TestServer::start().await;
    for format in Format::ALL {
        let name = format!("general{format:?}");
        let mut alice = server.user(format, "alice").await;
        alice.send(&name, 1, "one").await.unwrap();
        for (n, prev) in [(3, None), (2, Some(0)), (5, Some(4)), (2, Some(2)), (2, Some(9))] {
            let write = Write { prev, body: text("x"), ..write(&name, n) };
            let error = ask(&mut alice, WriteOp::Send, write).await.unwrap_err();
            assert_eq!((error.code, error.is_final), (ErrorCode::OutOfOrder, true), "n {n}, prev {prev:?}");
            assert_eq!(error.details["last"], 1);
            assert!(error.message.contains('1'), "{}", error.message);
        }
        // With the right one a gap is fine, and what was passed over stays so.
        let write_4 = Write { prev: Some(1), body: text("four"), ..write(&name, 4) };
        assert_eq!(ask(&mut alice, WriteOp::Send, write_4).await.unwrap().seq.get(), 3);
        let late = Write { prev: Some(1), body: text("two"), ..write(&name, 2) };
        assert_eq!(ask(&mut alice, WriteOp::Send, late).await.unwrap_err().code, ErrorCode::Skipped);
    }
}

#[tokio::test]
async fn an_n_that_is_older_than_what_is_kept() {
    let server = TestServer::start().await;
    let mut alice = server.user(Format::Json, "alice").await;
    alice.send_all("general", 1..=70).await;
    let error = alice.send("general", 1, "message 1").await.unwrap_err();
    assert_eq!((error.code, error.is_final), (ErrorCode::TooOld, true));
    assert!(alice.send("general", 7, "message 7").await.unwrap().duplicate);
}

#[tokio::test]
async fn a_write_without_what_it_needs() {
    let server = TestServer::start().await;
    let mut alice = server.user(Format::Json, "alice").await;
    let target = Some(Seq::FIRST);
    for (op, write, named) in [
        (WriteOp::Edit, Write { body: text("x"), ..write("general", 1) }, "edit needs a target"),
        (WriteOp::React, Write { body: text("x"), ..write("general", 1) }, "react needs a target"),
        (WriteOp::Redact, write("general", 1), "redact needs a target"),
        (WriteOp::Send, Write { target, body: text("x"), ..write("general", 1) }, "send has no target"),
        (WriteOp::Send, write("general", 1), "send needs a body"),
        (WriteOp::Edit, Write { target, ..write("general", 1) }, "edit needs a body"),
        (WriteOp::React, Write { target, ..write("general", 1) }, "react needs a body"),
    ] {
        let error = ask(&mut alice, op, write).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::BadRequest);
        assert_eq!(error.message, named);
    }
}

#[tokio::test]
async fn targets_that_are_not_there() {
    let server = TestServer::start().await;
    let mut alice = server.user(Format::Json, "alice").await;
    alice.send("general", 1, "one").await.unwrap();
    for target in [0, 3, 1 << 52] {
        let write = Write { target: Some(Seq::new(target)), body: text("x"), ..write("general", 2) };
        for op in [WriteOp::Edit, WriteOp::React, WriteOp::Redact] {
            let error = ask(&mut alice, op, write.clone()).await.unwrap_err();
            assert_eq!((error.code, &error.details["target"]), (ErrorCode::NotFound, &target.into()));
        }
    }
    assert_eq!(alice.send("general", 2, "two").await.unwrap().seq.get(), 3);
}

/// A refused write does not let those behind it overtake it.
#[tokio::test]
async fn what_follows_a_refused_write_is_refused() {
    let server = TestServer::start().await;
    let mut alice = server.user(Format::Json, "alice").await;
    alice.send("general", 1, "one").await.unwrap();
    let refused = Write { target: Some(Seq::new(99)), body: text("x"), ..write("general", 2) };
    let refused = alice.tell(Op::Write(WriteOp::React, refused)).await;
    let behind = [alice.tell(send("general", 3, "three")).await, alice.tell(send("general", 4, "four")).await];
    assert_eq!(alice.ack(refused).await.unwrap_err().code, ErrorCode::NotFound);
    for id in behind {
        let error = alice.ack(id).await.unwrap_err();
        assert_eq!((error.code, &error.details["last"]), (ErrorCode::OutOfOrder, &1.into()));
    }
    let resent = Write { prev: Some(1), body: text("three"), ..write("general", 3) };
    ask(&mut alice, WriteOp::Send, resent).await.unwrap();
    assert_eq!(alice.send("general", 4, "four").await.unwrap().seq.get(), 4);
}
