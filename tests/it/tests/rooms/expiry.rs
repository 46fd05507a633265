//! Entries expire: told to by somebody, or by what the room is to keep; and whatever fails meanwhile, nothing is deleted that a later
//! owner needs, and what was to be deleted is in the end.

use std::time::Duration;

use rollcall::log::MemoryLog;
use rollcall_actors::cluster::Standing;
use rollcall_actors::ports::{LogError, ReadRange};
use rollcall_actors::room::{ChangeKind, Expirable, LastExpired, Retention};
use rollcall_actors::shell::{RoomSettings, find_expirable};
use rollcall_it::scribe::Scribe;
use rollcall_it::together::Together;
use rollcall_protocol::{Ack, ErrorCode, Seq};

use super::desk::{Desk, ack, duplicate};
use super::node::{NOON_MS, Node, ROOMY, SHORT_RING, in_time, until};
use super::reader::Reader;

fn keeping(entries_max: u64) -> RoomSettings {
    RoomSettings { retention: Retention { entries_max: Some(entries_max), age_max_ms: None }, ..ROOMY }
}

async fn expire(desk: &mut Desk, before: u64) -> Ack {
    let id = desk.ask_change(ChangeKind::Expire(Seq::new(before)));
    desk.ack(id).await
}

/// The first number that the log has.
async fn floor_of_log(node: &Node, desk: &Desk) -> u64 {
    let range = ReadRange { after: Seq::ZERO, through: Seq::FIRST, entries_max: 1, bytes_max: 0 };
    match node.port().read(&desk.room, range).await {
        Err(LogError::Expired { floor }) => floor.get(),
        other => other.unwrap()[0].seq.get(),
    }
}

async fn until_log_begins_at(node: &Node, desk: &Desk, floor: u64) {
    in_time(async {
        while floor_of_log(node, desk).await != floor {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn give_up(node: &Node, desk: &Desk) {
    node.directory.give_up(&desk.room);
    until(|| !node.directory.is_active(&desk.room)).await;
}

#[tokio::test]
async fn what_lies_before_a_number_expires_and_the_room_goes_on() {
    let node = Node::start(SHORT_RING).await;
    let mut ann = Desk::at(&node, "room", "ann");
    ann.write_all(1, 29).await;
    let mut reader = Reader::join(&node, "room", 25).await;
    assert_eq!(expire(&mut ann, 21).await, ack(31));
    until_log_begins_at(&node, &ann, 21).await;

    let id = ann.ask_join(Some(5), None);
    let error = ann.joined(id).await.unwrap_err();
    assert_eq!((error.code, &error.details["from"], &error.details["to"]), (ErrorCode::Expired, &6.into(), &20.into()));
    let id = ann.ask_join(Some(20), None);
    assert_eq!(ann.joined(id).await.unwrap().joined.floor, Seq::new(21));
    assert_eq!(ann.view().await.floor, Seq::new(21));
    assert_eq!(ann.write(30, "on").await, ack(32));
    assert_eq!(reader.read_to(32).await.len(), 7);
    assert_eq!(ann.write(1, "1").await, duplicate(2), "what was written is known though it is gone");

    assert_eq!(expire(&mut ann, 21).await, duplicate(32), "it has expired before");
    give_up(&node, &ann).await;
    assert_eq!(ann.write(31, "after").await, ack(33), "the state is there without what it was made of");
    assert_eq!((ann.write(2, "2").await, ann.view().await.floor), (duplicate(3), Seq::new(21)));
}

#[tokio::test]
async fn what_could_not_be_deleted_the_next_owner_deletes() {
    let node = Node::start(SHORT_RING).await;
    let mut ann = Desk::at(&node, "room", "ann");
    ann.write_all(1, 29).await;
    node.log.fail_expiries(usize::MAX);
    assert_eq!(expire(&mut ann, 21).await, ack(31));
    let id = ann.ask_join(Some(5), None);
    assert_eq!(ann.joined(id).await.unwrap_err().code, ErrorCode::Expired, "it is there, and nobody gets it");
    give_up(&node, &ann).await;
    assert_eq!(floor_of_log(&node, &ann).await, 1);
    node.log.fail_expiries(0);
    assert_eq!(ann.view().await.floor, Seq::new(21));
    until_log_begins_at(&node, &ann, 21).await;
}

#[tokio::test]
async fn what_could_not_be_deleted_the_same_owner_deletes_and_counts_once() {
    let node = Node::start(SHORT_RING).await;
    let mut ann = Desk::at(&node, "room", "ann");
    ann.write_all(1, 29).await;
    node.log.fail_expiries(1);
    assert_eq!(expire(&mut ann, 21).await, ack(31));
    assert_eq!(node.directory.expired(), 20);
    until_log_begins_at(&node, &ann, 21).await;
    assert_eq!((node.log.activations_so_far(), node.directory.expired()), (1, 20), "it is the same owner still");
    assert_eq!(expire(&mut ann, 25).await, ack(32));
    assert_eq!(node.directory.expired(), 24);
}

const HOUR_MS: i64 = 3_600_000;

fn looking_often(entries_max: Option<u64>, age_max_ms: i64) -> RoomSettings {
    let retention = Retention { entries_max, age_max_ms: Some(age_max_ms.cast_unsigned()) };
    RoomSettings { retention, retention_look: Duration::from_millis(64), ..ROOMY }
}

#[tokio::test]
async fn a_member_of_a_cluster_lets_expire_what_has_come_of_age() {
    let together = Together::at(NOON_MS);
    let (node, _clock) = Node::join_by_clock(&together, "a", looking_often(None, 1)).await;
    let mut ann = Desk::at(&node, "room", "ann");
    for n in 1..=29 {
        ann.persist(n, "old in a moment").await;
    }
    in_time(async {
        while floor_of_log(&node, &ann).await < 30 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// What goes by its number shows that the room was looked at; by its age more would go.
#[tokio::test]
async fn a_node_whose_clock_was_set_ahead_lets_nothing_expire_by_its_age() {
    let together = Together::at(NOON_MS);
    let (node, clock) = Node::join_by_clock(&together, "a", looking_often(Some(40), HOUR_MS)).await;
    let mut ann = Desk::at(&node, "room", "ann");
    for n in 1..=29 {
        ann.persist(n, "young").await;
    }
    // Nobody has compared it with Redis's when it is gone by for the first time.
    clock.set(2 * HOUR_MS);
    for n in 30..=49 {
        ann.persist(n, "made two hours later, as it seems").await;
    }
    until_kept_from(&mut ann, 10).await;
    node.see(|view| matches!(view.standing, Standing::ClockWrong { .. })).await;
    for n in 50..=59 {
        ann.persist(n, "to a node that takes no further rooms").await;
    }
    until_kept_from(&mut ann, 17).await;
    let view = ann.view().await;
    assert!(view.head.since(view.floor.previous()) >= 40 && view.floor < Seq::new(30), "{view:?}");
}

async fn until_kept_from(desk: &mut Desk, floor: u64) {
    in_time(async { while desk.view().await.floor < Seq::new(floor) {} }).await;
}

#[tokio::test]
async fn nothing_expires_where_the_state_cannot_be_read_back() {
    let node = Node::start(ROOMY).await;
    let mut ann = Desk::at(&node, "room", "ann");
    ann.write_all(1, 29).await;
    node.log.lose_snapshots(1);
    let id = ann.ask_change(ChangeKind::Expire(Seq::new(21)));
    ann.retryable(id).await;
    assert_eq!((ann.view().await.floor, ann.view().await.head), (Seq::FIRST, Seq::new(30)));
    assert_eq!(expire(&mut ann, 21).await, ack(31), "then it is");
    until_log_begins_at(&node, &ann, 21).await;
}

#[tokio::test]
async fn a_room_that_is_activated_keeps_no_more_than_it_is_to() {
    let node = Node::start(keeping(10)).await;
    let mut ann = Desk::at(&node, "room", "ann");
    ann.write_all(1, 29).await;
    give_up(&node, &ann).await;
    assert_eq!(ann.view().await.head, Seq::new(30));
    until_log_begins_at(&node, &ann, 21).await;
    let view = ann.view().await;
    assert_eq!((view.head, view.floor), (Seq::new(31), Seq::new(21)));
}

#[tokio::test]
async fn a_room_that_stays_active_is_looked_at_from_time_to_time() {
    let node = Node::start(RoomSettings { retention_look: Duration::from_millis(64), ..keeping(10) }).await;
    let mut ann = Desk::at(&node, "room", "ann");
    ann.write_all(1, 29).await;
    in_time(async {
        while floor_of_log(&node, &ann).await < 16 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!ann.write(30, "on").await.duplicate);
}

/// The scribe's entries are stamped with a base and their numbers, in milliseconds.
#[tokio::test]
async fn the_last_entry_that_has_come_of_age_is_found_wherever_it_is() {
    const BASE_MS: i64 = 1_790_000_000_000;
    let log = MemoryLog::new();
    let mut scribe = Scribe::activate(&log, "room", 1).await;
    let entries = scribe.commit_messages(&log, 100).await;
    for floor in [1, 2, 50, 100] {
        for through in [0, 1, 49, 50, 99, 100] {
            for age in (0..=103).map(Some).chain([None]) {
                let expirable = Expirable {
                    floor: Seq::new(floor),
                    through: Seq::new(through),
                    head: Seq::new(100),
                    made_before_ms: age.map(|age| BASE_MS + age),
                };
                let of_age = age.map_or(0, |age| u64::try_from(age - 1).unwrap_or(0).min(100));
                let last = of_age.max(through);
                let expected = (last >= floor).then(|| entries[usize::try_from(last).unwrap() - 1].clone());
                let expected = expected.map(|entry| LastExpired { seq: entry.seq, hash: entry.hash });
                assert_eq!(find_expirable(&log, &scribe.room, expirable).await, Ok(expected), "{expirable:?}");
            }
        }
    }
}
