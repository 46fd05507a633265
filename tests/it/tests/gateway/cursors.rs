//! Cursors: where a subscription begins, and how one is resumed.

use rollcall_actors::room::{ChangeKind, RoomChange};
use rollcall_actors::shell::{Ask, Asker, ChangeRequest, Inbox, Reply};
use rollcall_it::controlled_log::ControlledLog;
use rollcall_it::raw::{Raw, room};
use rollcall_it::server::{TestServer, TestServerBuilder};
use rollcall_protocol::{ErrorCode, Format, Hash, Incoming, Seq, UserId, hash};

/// A server that keeps few entries of a room in memory, so that those who lag are served from the log.
fn small_ring() -> TestServerBuilder {
    TestServer::build().config(|config| config.rooms.ring_entries_max = 8)
}

async fn filled(server: &TestServer, messages: u64) -> Raw {
    let mut alice = server.user(Format::Json, "alice").await;
    alice.send_all("general", 1..=messages).await;
    alice
}

#[tokio::test]
async fn without_a_cursor_a_subscription_begins_at_the_head() {
    let server = TestServer::start().await;
    let mut alice = filled(&server, 10).await;
    for format in Format::ALL {
        let mut bob = server.user(format, "bob").await;
        let joined = bob.join("general", None).await.unwrap();
        bob.barrier().await;
        assert_eq!(bob.pushes_so_far(), []);
        let head = joined.head.get();
        alice.send("general", head, "next").await.unwrap();
        bob.entries_through("general", head, head + 1).await;
    }
}

#[tokio::test]
async fn everything_after_the_cursor_comes_from_memory_or_from_the_log() {
    for builder in [TestServer::build(), small_ring()] {
        let server = builder.start().await;
        filled(&server, 700).await;
        for format in Format::ALL {
            let mut bob = server.user(format, "bob").await;
            for cursor in [0, 1, 255, 256, 257, 500, 693, 700, 701] {
                let joined = bob.join("general", Some(cursor)).await.unwrap();
                assert_eq!(joined.head.get(), 701);
                bob.entries_through("general", cursor, 701).await;
            }
            bob.barrier().await;
            assert_eq!(bob.pushes_so_far(), []);
        }
    }
}

#[tokio::test]
async fn the_hash_of_an_entries_frame_resumes_right_behind_it() {
    for builder in [TestServer::build(), small_ring()] {
        let server = builder.start().await;
        filled(&server, 300).await;
        for format in Format::ALL {
            let mut bob = server.user(format, "bob").await;
            bob.join("general", Some(0)).await.unwrap();
            let mut anchors = vec![(0, hash::genesis(&room("general")))];
            while anchors.last().unwrap().0 < 301 {
                let frame = bob.entries().await;
                anchors.push((frame.list.last().unwrap().seq.get(), frame.hash));
            }
            for (seq, hash) in anchors {
                let mut again = server.user(format, "carol").await;
                again.join_at("general", Some(seq), Some(hash)).await.unwrap();
                again.entries_through("general", seq, 301).await;
            }
        }
    }
}

#[tokio::test]
async fn another_hash_is_another_history() {
    let server = small_ring().start().await;
    filled(&server, 300).await;
    for format in Format::ALL {
        let mut bob = server.user(format, "bob").await;
        // The beginning, the log, the ring, the head.
        for cursor in [0, 100, 298, 301] {
            let error = bob.join_at("general", Some(cursor), Some(Hash([7; 32]))).await.unwrap_err();
            assert_eq!((error.code, error.retryable), (ErrorCode::Diverged, false));
        }
        bob.barrier().await;
        assert_eq!(bob.pushes_so_far(), [], "a join that was refused subscribes to nothing");
    }
}

#[tokio::test]
async fn a_cursor_beyond_the_head_diverges_once_the_log_has_been_asked() {
    let log = ControlledLog::unplaced();
    let server = TestServer::build().tuning(|tuning| tuning.wrap_log = log.into_server()).start().await;
    filled(&server, 10).await;
    for format in Format::ALL {
        let mut bob = server.user(format, "bob").await;
        let asked = log.tails_so_far();
        let error = bob.join("general", Some(12)).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Diverged);
        assert_eq!(log.tails_so_far(), asked + 1, "the log was asked");
        bob.join("general", Some(11)).await.unwrap();
        assert_eq!(bob.join("nothing", Some(1)).await.unwrap_err().code, ErrorCode::Diverged);
    }
}

#[tokio::test]
async fn a_cursor_before_the_floor_has_expired() {
    let server = TestServer::start().await;
    let mut alice = filled(&server, 10).await;
    let page = alice.history("general", |h| (h.limit, h.before) = (Some(1), Some(Seq::new(6)))).await.unwrap();
    let floor_hash = page.hash.unwrap();
    let change = RoomChange { floor: Some(Seq::new(6)), floor_hash: Some(floor_hash), ..RoomChange::default() };
    ask_for_change(&server, change).await;
    for format in Format::ALL {
        let mut bob = server.user(format, "bob").await;
        for cursor in [0, 4] {
            let error = bob.join("general", Some(cursor)).await.unwrap_err();
            assert_eq!(error.code, ErrorCode::Expired);
            assert!(error.message.contains('6'), "the message names the floor: {}", error.message);
            assert_eq!((&error.details["from"], &error.details["to"]), (&(cursor + 1).into(), &5.into()));
        }
        let error = bob.history("general", |h| h.after = Some(Seq::new(4))).await.unwrap_err();
        assert_eq!((error.code, &error.details["to"]), (ErrorCode::Expired, &5.into()));
        // As the details say: from the end of what is gone on.
        let joined = bob.join_at("general", Some(5), Some(floor_hash)).await.unwrap();
        assert_eq!(joined.floor.get(), 6);
        bob.entries_through("general", 5, 12).await;
        let page = bob.history("general", |h| h.evidence = true).await.unwrap();
        assert_eq!((page.list[0].seq.get(), page.hash_before), (6, Some(floor_hash)));
    }
}

/// Changes a room's settings as the server itself would.
async fn ask_for_change(server: &TestServer, change: RoomChange) {
    let inbox = Inbox::new();
    let asker = Asker { inbox: inbox.clone(), id: 1, began: std::time::Instant::now() };
    let request = ChangeRequest { user: UserId::parse("operator").unwrap(), what: ChangeKind::Room(change) };
    server.inner().directory().ask(&room("general"), Ask::Change(Box::new(request)), &asker);
    inbox.rung().await;
    let answers = inbox.take().answers;
    assert!(matches!(answers[..], [(1, Reply::Write { answer: Ok(_), .. })]), "{answers:?}");
}

#[tokio::test]
async fn a_second_join_moves_the_cursor() {
    let server = TestServer::start().await;
    let mut alice = filled(&server, 10).await;
    let mut bob = server.user(Format::Json, "bob").await;
    bob.join("general", Some(0)).await.unwrap();
    bob.entries_through("general", 0, 11).await;
    bob.join("general", Some(5)).await.unwrap();
    bob.entries_through("general", 5, 11).await;
    bob.join("general", None).await.unwrap();
    alice.send("general", 11, "once").await.unwrap();
    bob.entries_through("general", 11, 12).await;
    bob.barrier().await;
    assert_eq!(bob.pushes_so_far(), [], "one subscription delivers each entry once");
}

/// Readers come, from any cursor, while a writer writes as fast as it can: for none of them lies anything uncovered between
/// what it gets from the log and what it gets live.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn history_and_live_leave_nothing_uncovered_between_them() {
    const MESSAGES: u64 = 3_000;
    let server = small_ring().start().await;
    let mut alice = filled(&server, 1).await;
    let writer = async { alice.send_all("general", 2..=MESSAGES).await };
    let readers = async {
        let mut joined_while_writing = 0;
        for step in 0..24_u64 {
            let format = Format::ALL[usize::try_from(step % 2).unwrap()];
            let mut reader = server.user(format, &format!("reader{step}")).await;
            let head = reader.join("general", None).await.unwrap().head.get();
            joined_while_writing += u64::from(head < MESSAGES);
            let cursor = [0, head / 2, head.saturating_sub(300), head][usize::try_from(step / 2 % 4).unwrap()];
            reader.join("general", Some(cursor)).await.unwrap();
            // What came of the first subscription says nothing about the second.
            drop(reader.pushes_so_far());
            reader.entries_through("general", cursor, (head + 200).min(MESSAGES)).await;
        }
        assert!(joined_while_writing > 4, "the writer was done before the readers came");
    };
    tokio::join!(writer, readers);
    let mut late = server.user(Format::Json, "late").await;
    late.join("general", Some(0)).await.unwrap();
    let all = late.entries_through("general", 0, MESSAGES + 1).await;
    assert!(all.iter().zip(1..).all(|(entry, seq)| entry.seq.get() == seq));
    assert!(!late.pushes_so_far().iter().any(|push| matches!(push, Incoming::Entries(_))));
}
