//! Joining: where a cursor may lie, what proves it, and that everything after it follows.

use rollcall_actors::room::{ChangeKind, MemberChange, Refusal, Rights, Role, RoomChange};
use rollcall_protocol::{Entry, ErrorCode, Hash, Joined, NUMBER_MAX, RoomId, Seq, UserId};

use super::desk::{Desk, ack};
use super::node::{Node, ROOMY, SHORT_RING, in_time, room};
use super::reader::Reader;

const NO_HASH: Option<Hash> = None;

/// A room of six entries, the last two of them in its ring, and its history.
async fn six_entries() -> (Node, Desk, Vec<Entry>) {
    let mut settings = SHORT_RING;
    settings.ring.entries_max = 2;
    settings.ring.bytes_max = usize::MAX;
    let node = Node::start(settings).await;
    let mut ann = Desk::at(&node, "room", "ann");
    ann.write_all(1, 5).await;
    let history = node.history(&ann.room).await;
    node.log.take_ranges_read();
    (node, ann, history)
}

/// Keeps the room's history from entry 4 on alone, as far as the room is concerned.
async fn raise_floor(ann: &mut Desk, history: &[Entry]) {
    let (floor, floor_hash) = (Some(Seq::new(4)), Some(history[2].hash));
    let id = ann.ask_change(ChangeKind::Room(RoomChange { floor, floor_hash, ..RoomChange::default() }));
    assert_eq!(ann.ack(id).await, ack(7));
}

fn genesis(room: &RoomId) -> Hash {
    rollcall_protocol::hash::genesis(room)
}

/// Joins, and returns the cursor, or why not.
async fn join(desk: &mut Desk, after: Option<u64>, hash: Option<Hash>) -> Result<u64, ErrorCode> {
    let id = desk.ask_join(after, hash);
    match desk.joined(id).await {
        Ok(subscribed) => Ok(subscribed.cursor.get()),
        Err(error) => Err(error.code),
    }
}

#[tokio::test]
async fn the_answer_tells_where_the_room_and_the_device_stand() {
    let (_node, mut ann, history) = six_entries().await;
    let id = ann.ask_join(None, NO_HASH);
    let subscribed = ann.joined(id).await.unwrap();
    let last = history.last().unwrap();
    let expected = Joined {
        room: ann.room.clone(),
        epoch: last.epoch,
        head: Seq::new(6),
        floor: Seq::FIRST,
        hash: last.hash,
        last_n: 5,
    };
    assert_eq!(subscribed.joined, expected);
    assert_eq!(subscribed.cursor, Seq::new(6), "without a cursor it begins at the head");
    assert_eq!(subscribed.room_id(), &ann.room);
}

#[tokio::test]
async fn a_room_that_nobody_wrote_to_has_head_zero_and_stays_unwritten() {
    let node = Node::start(ROOMY).await;
    let mut ann = Desk::at(&node, "room", "ann");
    let id = ann.ask_join(None, NO_HASH);
    let joined = ann.joined(id).await.unwrap().joined.clone();
    let [own, foreign] = ["room", "another"].map(|name| genesis(&room(name)));
    assert_eq!((joined.head, joined.floor, joined.hash), (Seq::ZERO, Seq::FIRST, own));
    assert_eq!(join(&mut ann, Some(0), Some(own)).await, Ok(0));
    assert_eq!(join(&mut ann, Some(0), Some(foreign)).await, Err(ErrorCode::Diverged));
    assert_eq!(join(&mut ann, Some(1), NO_HASH).await, Err(ErrorCode::Diverged));
    assert!(node.history(&ann.room).await.is_empty());
}

#[tokio::test]
async fn every_cursor_up_to_the_head_is_good_and_its_hash_decides() {
    let (node, mut ann, history) = six_entries().await;
    for after in 0..=6_u64 {
        let hash = after.checked_sub(1).map_or(genesis(&ann.room), |at| history[at as usize].hash);
        assert_eq!(join(&mut ann, Some(after), NO_HASH).await, Ok(after));
        assert!(node.log.take_ranges_read().is_empty(), "a cursor without a hash needs no look at the log");
        assert_eq!(join(&mut ann, Some(after), Some(hash)).await, Ok(after), "the hash of {after}");
        let reads = node.log.take_ranges_read().len();
        assert_eq!(
            reads,
            usize::from((1..=4).contains(&after)),
            "the log is asked where the room does not know {after}"
        );
        assert_eq!(join(&mut ann, Some(after), Some(Hash([7; 32]))).await, Err(ErrorCode::Diverged), "after {after}");
        node.log.take_ranges_read();
    }
}

#[tokio::test]
async fn a_cursor_beyond_the_log_has_diverged() {
    let (_node, mut ann, history) = six_entries().await;
    for after in [7, 1_000, NUMBER_MAX - 1, NUMBER_MAX] {
        for hash in [NO_HASH, Some(history[5].hash)] {
            let id = ann.ask_join(Some(after), hash);
            let error = ann.joined(id).await.unwrap_err();
            assert_eq!(error.code, ErrorCode::Diverged, "after {after}");
            assert_eq!((&error.details["after"], &error.details["head"]), (&after.into(), &6.into()));
        }
    }
    assert_eq!(ann.view().await.epoch, history[5].epoch, "the room's actor is the same one");
}

/// Another owner went on with the room, and this one does not know it yet: the log does.
#[tokio::test]
async fn a_cursor_beyond_this_owner_and_within_the_log_is_good() {
    let (node, mut ann, _) = six_entries().await;
    let other = Node::start_on(node.log.clone(), ROOMY).await;
    let mut bob = Desk::at(&other, "room", "bob");
    bob.write_all(1, 2).await;
    let theirs = other.history(&ann.room).await[7].hash;
    assert_eq!(ann.view().await.head, Seq::new(6));
    assert_eq!(join(&mut ann, Some(8), NO_HASH).await, Ok(8));
    assert_eq!(join(&mut ann, Some(8), Some(theirs)).await, Ok(8));
    assert_eq!(join(&mut ann, Some(8), Some(Hash([7; 32]))).await, Err(ErrorCode::Diverged));
    assert_eq!(join(&mut ann, Some(9), NO_HASH).await, Err(ErrorCode::Diverged));
}

#[tokio::test]
async fn below_the_floor_everything_has_expired() {
    let (node, mut ann, history) = six_entries().await;
    raise_floor(&mut ann, &history).await;
    for after in 0..3 {
        let id = ann.ask_join(Some(after), NO_HASH);
        let error = ann.joined(id).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Expired);
        assert_eq!((&error.details["from"], &error.details["to"]), (&(after + 1).into(), &3.into()));
    }
    node.log.take_ranges_read();
    assert_eq!(join(&mut ann, Some(3), Some(history[2].hash)).await, Ok(3), "the hash before the floor is kept");
    assert_eq!(join(&mut ann, Some(3), Some(Hash([7; 32]))).await, Err(ErrorCode::Diverged));
    assert!(node.log.take_ranges_read().is_empty(), "the room knows the hash before its floor");
    let id = ann.edit(6, 3, "too late");
    assert_eq!(ann.answer(id).await, Err(Refusal::TargetExpired(Seq::new(3))));
}

/// The floor rises while the log is asked about a cursor.
#[tokio::test]
async fn a_cursor_that_expires_while_it_is_checked_has_expired() {
    let (node, mut ann, history) = six_entries().await;
    let mut eve = Desk::at(&node, "room", "eve");
    node.log.reads.hold();
    let ids = [eve.ask_join(Some(1), Some(history[0].hash)), eve.ask_join(Some(2), Some(Hash([7; 32])))];
    node.log.reads.until_waiting(2).await;
    raise_floor(&mut ann, &history).await;
    let log = node.port();
    log.write_snapshot(&ann.room, rollcall_actors::ports::StoredSnapshot { seq: Seq::new(7), parts: vec![vec![9]] })
        .await
        .unwrap();
    log.expire_before(&ann.room, Seq::new(4)).await.unwrap();
    node.log.reads.release();
    for id in ids {
        assert_eq!(eve.joined(id).await.unwrap_err().code, ErrorCode::Expired);
    }
}

#[tokio::test]
async fn who_may_not_read_may_not_join_or_look() {
    let (_node, mut ann, history) = six_entries().await;
    ann.rights = Rights { read: false, ..ann.rights };
    for after in [None, Some(6), Some(99), Some(2)] {
        assert_eq!(join(&mut ann, after, NO_HASH).await, Err(ErrorCode::Forbidden));
        assert_eq!(join(&mut ann, after, Some(history[1].hash)).await, Err(ErrorCode::Forbidden));
    }
    let id = ann.ask_view();
    let rollcall_actors::shell::Reply::View(answer) = ann.reply(id).await else { panic!("not a view") };
    assert_eq!(answer.unwrap_err().code, ErrorCode::Forbidden);
}

/// Eve is banned while the log is asked about her cursor.
#[tokio::test]
async fn who_is_banned_while_a_cursor_is_checked_is_not_let_in() {
    let (node, mut ann, history) = six_entries().await;
    let mut eve = Desk::at(&node, "room", "eve");
    node.log.reads.hold();
    let id = eve.ask_join(Some(1), Some(history[0].hash));
    node.log.reads.until_waiting(1).await;
    let user = UserId::parse("eve").unwrap();
    let ban = ann.ask_change(ChangeKind::Member(MemberChange { user, role: Some(Role::Banned) }));
    ann.ack(ban).await;
    node.log.reads.release();
    assert_eq!(eve.joined(id).await.unwrap_err().code, ErrorCode::Forbidden);
    assert_eq!(join(&mut eve, None, NO_HASH).await, Err(ErrorCode::Forbidden));
}

#[tokio::test]
async fn a_log_that_is_away_makes_no_guess() {
    let (node, mut ann, history) = six_entries().await;
    node.log.fail_reads(1);
    let id = ann.ask_join(Some(2), Some(history[1].hash));
    let error = ann.joined(id).await.unwrap_err();
    assert_eq!((error.code, error.retryable), (ErrorCode::Unavailable, true));
    assert!(error.retry_after_ms.is_some());
    assert_eq!(join(&mut ann, Some(2), Some(history[1].hash)).await, Ok(2));
}

/// Readers from everywhere, in the log, in the ring and at the head, while somebody writes as fast as the room takes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everything_after_the_cursor_follows_while_a_writer_runs() {
    const LAST: u64 = 2_000;
    let (node, _, _) = six_entries().await;
    let writer_node = node.clone();
    let writer = tokio::spawn(async move {
        let mut bob = Desk::at(&writer_node, "room", "bob");
        for first in (1..=LAST - 6).step_by(20) {
            let last = (first + 19).min(LAST - 6);
            let ids: Vec<u64> = (first..=last).map(|n| bob.send(n, &n.to_string())).collect();
            for id in ids {
                bob.ack(id).await;
            }
        }
    });
    let readers: Vec<_> = (0..30)
        .map(|number| {
            let node = node.clone();
            tokio::spawn(async move {
                // Each begins elsewhere, and at another time.
                let mut first = Reader::join(&node, "room", 0).await;
                first.read_to(number * 50).await;
                let after = first.cursor.get().saturating_sub(number * 7);
                let mut reader = Reader::join(&node, "room", after).await;
                reader.read_to(LAST).await;
                reader
            })
        })
        .collect();
    in_time(writer).await.unwrap();
    let history = node.history(&room("room")).await;
    assert_eq!(history.len() as u64, LAST);
    let mut pages = 0;
    for reader in readers {
        let reader = in_time(reader).await.unwrap();
        let after = usize::try_from(LAST).unwrap() - reader.seen.len();
        assert!(reader.seen == history[after..], "a reader after {after} saw something else");
        pages += reader.pages;
    }
    assert!(pages > 0, "no reader ever was behind the ring");
}
