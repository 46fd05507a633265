//! One too many: of rooms, of unanswered writes, of what waits in a room.

use rollcall::log::embedded::FaultPoints;
use rollcall_it::raw::{room, send};
use rollcall_it::server::{TestServer, TestServerBuilder};
use rollcall_protocol::{ErrorCode, Format, Join, Leave, Op};

#[tokio::test]
async fn a_thousand_and_one_joins() {
    let server = TestServer::start().await;
    for format in Format::ALL {
        let mut alice = server.user(format, "alice").await;
        let join = |at: usize| Op::Join(Join { room: room(&format!("room{at}")), after: None, hash: None });
        let mut ids = Vec::new();
        for at in 0..1_001 {
            ids.push(alice.tell(join(at)).await);
        }
        let last = ids.pop().unwrap();
        let error = alice.reply(last).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::LimitReached);
        assert!(error.message.contains("1000"), "{}", error.message);
        for id in ids {
            alice.reply(id).await.unwrap();
        }
        // One that is joined already may be joined again, and one that is left makes room.
        alice.ask(join(7)).await.unwrap();
        assert_eq!(alice.ask(join(1_000)).await.unwrap_err().code, ErrorCode::LimitReached);
        alice.ask(Op::Leave(Leave { room: room("room7") })).await.unwrap();
        alice.ask(join(1_000)).await.unwrap();
    }
}

/// A server whose log stores nothing until it is told to.
fn held() -> (TestServerBuilder, FaultPoints) {
    let faults = FaultPoints::default();
    let server = TestServer::build().tuning(|tuning| tuning.log.faults = faults.clone());
    (server, faults)
}

#[tokio::test]
async fn sixty_five_unanswered_writes() {
    let (server, faults) = held();
    let server = server.start().await;
    for format in Format::ALL {
        let name = format!("general{format:?}");
        let mut alice = server.user(format, "alice").await;
        alice.join(&name, Some(0)).await.unwrap();
        faults.hold_syncs();
        let mut ids = Vec::new();
        for n in 1..=65 {
            ids.push(alice.tell(send(&name, n, "x")).await);
        }
        // The 65th is answered at once, the others are not.
        let error = alice.ack(ids.pop().unwrap()).await.unwrap_err();
        assert_eq!((error.code, error.retryable), (ErrorCode::TooManyUnanswered, true));
        assert!(error.message.contains("64"), "{}", error.message);
        assert!(ids.iter().all(|id| alice.reply_so_far(*id).is_none()));
        // Another device of the same user has its own 64.
        let mut desk = server.connect(format).await;
        desk.hello(Some(&rollcall_it::server::token("alice")), Some("desk")).await.unwrap();
        let from_desk = desk.tell(send(&name, 1, "x")).await;
        faults.release_syncs();
        for id in ids {
            alice.ack(id).await.unwrap();
        }
        desk.ack(from_desk).await.unwrap();
        alice.send(&name, 65, "x").await.unwrap();
        alice.entries_through(&name, 0, 67).await;
    }
}

#[tokio::test]
async fn more_than_a_room_may_owe() {
    let (server, faults) = held();
    let server = server.config(|config| config.rooms.queue_entries_max = 10).start().await;
    let mut alice = server.user(Format::Json, "alice").await;
    alice.send("general", 1, "first").await.unwrap();
    faults.hold_syncs();
    let mut ids = Vec::new();
    for n in 2..=21 {
        ids.push(alice.tell(send("general", n, "x")).await);
    }
    for (at, id) in ids.drain(10..).enumerate() {
        let error = alice.ack(id).await.unwrap_err();
        assert_eq!((error.code, error.retryable), (ErrorCode::Busy, true), "write {at} beyond the queue");
        assert!(error.retry_after_ms.is_some_and(|ms| ms > 0), "{error:?}");
    }
    faults.release_syncs();
    for id in ids {
        alice.ack(id).await.unwrap();
    }
    // What was refused is tried again, and nothing is missing.
    alice.send_all("general", 12..=21).await;
    let joined = alice.join("general", Some(0)).await.unwrap();
    assert_eq!((joined.head.get(), joined.last_n), (22, 21));
}

/// Replies to joins and pages are told apart by their ids, so those under way have different ones.
#[tokio::test]
async fn an_id_that_is_in_use() {
    let server = TestServer::start().await;
    for format in Format::ALL {
        let mut alice = server.user(format, "alice").await;
        let join =
            |name: &str| Op::Join(Join { room: room(name), after: Some(rollcall_protocol::Seq::ZERO), hash: None });
        let page = |name: &str| Op::History(rollcall_protocol::History::latest(room(name)));
        for twice in [[join("one"), join("two")], [page("one"), page("two")], [join("one"), page("two")]] {
            // In one write, so that the second is read before the first was answered.
            for op in twice {
                let command = rollcall_protocol::Command { id: Some(1 << 50), op };
                alice.feed_bytes(&format.encode_command(&command)).await;
            }
            alice.barrier().await;
            // The second is refused at once, and the first answered in its time.
            if alice.reply(1 << 50).await.is_err() {
                alice.reply(1 << 50).await.unwrap();
            }
            let mut errors = alice.errors_so_far();
            errors.retain(|error| error.code != ErrorCode::NotJoined);
            assert_eq!(errors.iter().map(|error| error.code).collect::<Vec<_>>(), [ErrorCode::BadRequest]);
            assert!(errors[0].message.contains("id"), "{}", errors[0].message);
        }
    }
}
