//! Activation: from the newest snapshot that can be read and the log after it, or not at all.

use std::sync::Arc;
use std::time::Duration;

use rollcall::log::MemoryLog;
use rollcall_actors::ports::{Log, StoredSnapshot};
use rollcall_actors::room::{ChangeKind, Refusal, RoomChange, snapshot};
use rollcall_actors::shell::RoomSettings;
use rollcall_it::machine::eventually;
use rollcall_it::scribe::{Scribe, after_up_to};
use rollcall_protocol::{Epoch, ErrorCode, Hash, Seq};

use super::desk::{Desk, ack, duplicate};
use super::node::{Node, ROOMY, in_time, room};

#[tokio::test]
async fn who_waits_for_an_activation_that_fails_is_told_and_the_next_one_succeeds() {
    let node = Node::start(ROOMY).await;
    let mut ann = Desk::at(&node, "room", "ann");
    node.log.activations.hold();
    node.log.fail_activations(1);
    let writes = [ann.send(1, "1"), ann.send(2, "2")];
    let join = ann.ask_join(None, None);
    node.log.activations.until_waiting(1).await;
    node.log.activations.release();
    for id in writes {
        assert!(matches!(ann.retryable(id).await, Refusal::NotActivated { .. }));
    }
    assert!(ann.joined(join).await.unwrap_err().retryable);
    assert_eq!(ann.write_when_activated(1, "1").await, ack(2));
    assert_eq!(ann.write(2, "2").await, ack(3));
}

#[tokio::test]
async fn a_room_that_cannot_be_read_is_tried_again_after_a_pause() {
    let node = Node::start(ROOMY).await;
    let mut ann = Desk::at(&node, "room", "ann");
    node.log.fail_activations(3);
    assert_eq!(ann.write_when_activated(1, "1").await, ack(2));
    let other = Node::start_on(node.log.clone(), ROOMY).await;
    other.log.fail_reads(1);
    let mut ann = Desk::at(&other, "room", "ann");
    let id = ann.send(2, "2");
    assert!(matches!(ann.retryable(id).await, Refusal::NotActivated { .. }), "the entries could not be read");
    assert_eq!(ann.write_when_activated(2, "2").await, ack(3));
}

#[tokio::test]
async fn a_room_that_cannot_be_read_is_not_tried_by_each_request() {
    let pause = Duration::from_secs(3600);
    let node = Node::start(RoomSettings { activation_pause: pause, ..ROOMY }).await;
    let mut ann = Desk::at(&node, "room", "ann");
    node.log.fail_activations(1);
    for _ in 0..100 {
        let id = ann.send(1, "1");
        let Refusal::NotActivated { retry_after_ms } = ann.retryable(id).await else { panic!("it was tried") };
        assert!(u128::from(retry_after_ms).abs_diff(pause.as_millis()) < 60_000, "{retry_after_ms}");
        let id = ann.ask_join(None, None);
        let error = ann.joined(id).await.unwrap_err();
        assert!(error.retryable && error.retry_after_ms.is_some_and(|wait_ms| wait_ms <= retry_after_ms), "{error:?}");
    }
    assert_eq!((node.log.activations_so_far(), node.directory.active_rooms()), (0, 0));
    assert_eq!(Desk::at(&node, "other", "ann").write(1, "1").await, ack(2), "other rooms are");
}

/// Starts a node on a log of this room's entries.
async fn node_on(log: &Arc<MemoryLog>) -> (Node, Desk) {
    let node = Node::start_on(Arc::clone(log) as Arc<dyn Log>, ROOMY).await;
    let desk = Desk::at(&node, "room", "ann");
    (node, desk)
}

async fn refuses_to_activate(log: &Arc<MemoryLog>) {
    let before = log.tail(&room("room")).await.unwrap().unwrap().last_seq;
    let (node, mut ann) = node_on(log).await;
    for _ in 0..2 {
        let id = ann.send(1, "1");
        assert!(matches!(ann.retryable(id).await, Refusal::NotActivated { .. }));
        let id = ann.ask_join(None, None);
        assert!(ann.joined(id).await.unwrap_err().retryable);
    }
    assert_eq!(log.tail(&room("room")).await.unwrap().unwrap().last_seq, before, "nothing was numbered");
    let mut other = Desk::at(&node, "other", "ann");
    assert_eq!(other.write(1, "1").await, ack(2), "other rooms are");
}

/// A damaged room is shown up to its last good entry, and numbers nothing.
async fn shows_but_does_not_write(log: &Arc<MemoryLog>, good: u64) {
    let before = log.tail(&room("room")).await.unwrap();
    let entries = log.read(&room("room"), after_up_to(Seq::ZERO, good, 100)).await.unwrap();
    let hash_of = |seq: u64| Some(entries[usize::try_from(seq).unwrap() - 1].hash);
    let (node, mut ann) = node_on(log).await;
    let head = Seq::new(good);
    for n in 1..3 {
        let id = ann.send(n, "on top of it");
        assert!(matches!(ann.retryable(id).await, Refusal::Unavailable(why) if why.contains("damaged")));
        let id = ann.ask_change(ChangeKind::Room(RoomChange::default()));
        assert!(matches!(ann.retryable(id).await, Refusal::Unavailable(_)));
        let view = ann.view().await;
        assert_eq!((view.head, Some(view.hash)), (head, hash_of(good)));
    }
    for (after, hash) in
        [(None, None), (Some(good), hash_of(good)), (Some(1), hash_of(1)), (Some(1), None), (Some(0), None)]
    {
        let id = ann.ask_join(after, hash);
        let subscribed = ann.joined(id).await.unwrap();
        assert_eq!((subscribed.joined.head, subscribed.cursor), (head, Seq::new(after.unwrap_or(good))));
        let shown = subscribed.room.history(subscribed.cursor, head).await.unwrap();
        assert_eq!(shown.len() as u64, head.since(subscribed.cursor));
    }
    let id = ann.ask_join(Some(1), Some(Hash([9; 32])));
    assert_eq!(ann.joined(id).await.unwrap_err().code, ErrorCode::Diverged);
    // What somebody has seen behind the damage may be restored: that is no other history.
    let id = ann.ask_join(Some(good + 1), None);
    assert!(ann.joined(id).await.unwrap_err().retryable);

    assert_eq!(node.directory.damaged_rooms(), 1);
    let mut other = Desk::at(&node, "other", "ann");
    assert_eq!(other.write(1, "1").await, ack(2), "other rooms are");
    in_time(node.directory.drain()).await;
    let after = log.tail(&room("room")).await.unwrap();
    assert_eq!(after.map(|tail| tail.last_seq), before.map(|tail| tail.last_seq), "nothing was numbered");
}

#[tokio::test]
async fn a_room_with_a_damaged_chain_is_shown_up_to_there() {
    let log = Arc::new(MemoryLog::new());
    let mut scribe = Scribe::activate(&*log, "room", 1).await;
    let mut entries = scribe.messages(5);
    entries[2].hash = Hash([7; 32]);
    scribe.commit(&*log, entries).await;
    shows_but_does_not_write(&log, 2).await;
}

#[tokio::test]
async fn a_room_with_a_changed_last_entry_is_shown_up_to_there() {
    let log = Arc::new(MemoryLog::new());
    let mut scribe = Scribe::activate(&*log, "room", 1).await;
    let mut entries = scribe.messages(5);
    entries[4].created_at_ms += 1;
    scribe.commit(&*log, entries).await;
    shows_but_does_not_write(&log, 4).await;
}

/// Who reads it holds it; when everybody has left, the next one finds out whether it was repaired.
#[tokio::test]
async fn a_damaged_room_is_tried_again_when_everybody_has_left() {
    let log = Arc::new(MemoryLog::new());
    let mut scribe = Scribe::activate(&*log, "room", 1).await;
    let mut entries = scribe.messages(5);
    entries[2].hash = Hash([7; 32]);
    scribe.commit(&*log, entries).await;
    let settings = RoomSettings { idle: Duration::from_millis(50), ..ROOMY };
    let node = Node::start_on(log as Arc<dyn Log>, settings).await;
    let mut ann = Desk::at(&node, "room", "ann");
    let id = ann.ask_join(None, None);
    let subscribed = ann.joined(id).await.unwrap();
    assert_eq!(node.log.activations_so_far(), 1);
    // Or as soon as somebody writes, but not with each write.
    eventually("a write has tried it again", async || {
        let id = ann.send(1, "1");
        assert!(matches!(ann.retryable(id).await, Refusal::Unavailable(_)));
        (node.log.activations_so_far() == 2).then_some(())
    })
    .await;
    for _ in 0..20 {
        let id = ann.send(1, "1");
        ann.retryable(id).await;
    }
    assert!(node.log.activations_so_far() <= 3, "there is a pause between two tries");
    let tried = node.log.activations_so_far();
    drop(subscribed);
    eventually("the room was given up", async || (node.directory.active_rooms() == 0).then_some(())).await;
    assert_eq!(node.directory.damaged_rooms(), 1, "it is remembered");
    assert_eq!(ann.view().await.head, Seq::new(2));
    assert!(node.log.activations_so_far() > tried);
}

/// A room of six entries that was given up in order, with a snapshot at its end.
async fn room_with_snapshot() -> (Arc<MemoryLog>, StoredSnapshot) {
    let log = Arc::new(MemoryLog::new());
    let (node, mut ann) = node_on(&log).await;
    ann.write_all(1, 5).await;
    in_time(node.directory.drain()).await;
    let stored = log.read_snapshot(&ann.room, Seq::new(6)).await.unwrap().unwrap();
    assert_eq!(stored.seq, Seq::new(6));
    (log, stored)
}

/// The newest snapshot is read while the room is fenced.
#[tokio::test]
async fn a_room_whose_entries_expired_while_it_was_fenced_is_rebuilt_from_the_snapshot_that_came_meanwhile() {
    let without_snapshot = Arc::new(MemoryLog::new());
    node_on(&without_snapshot).await.1.write_all(1, 5).await;
    for log in [room_with_snapshot().await.0, without_snapshot] {
        let (node, mut ann) = node_on(&log).await;
        node.log.activations.hold();
        let late = ann.send(9, "9");
        node.log.activations.until_waiting(1).await;
        let (before, mut there) = node_on(&log).await;
        there.write_all(6, 8).await;
        in_time(before.directory.drain()).await;
        log.expire_before(&ann.room, Seq::new(9)).await.unwrap();
        node.log.activations.release();
        assert_eq!(ann.ack(late).await, ack(10));
    }
}

fn of_format(mut stored: StoredSnapshot, format: u8) -> StoredSnapshot {
    for part in &mut stored.parts {
        part[0] = format;
    }
    stored
}

/// A snapshot that a later version wrote.
fn of_newer_format(stored: StoredSnapshot) -> StoredSnapshot {
    of_format(stored, snapshot::SNAPSHOT_FORMAT + 1)
}

/// A snapshot of a version that this one does not read any more.
fn of_older_format(stored: StoredSnapshot) -> StoredSnapshot {
    of_format(stored, snapshot::SNAPSHOT_FORMAT - 1)
}

#[tokio::test]
async fn snapshots_that_cannot_be_used_are_passed_over() {
    let spoilt: [fn(StoredSnapshot) -> StoredSnapshot; 5] = [
        of_newer_format,
        of_older_format,
        |stored| StoredSnapshot { parts: Vec::new(), ..stored },
        |mut stored| {
            stored.parts[0].truncate(20);
            stored
        },
        |mut stored| {
            *stored.parts[0].last_mut().unwrap() ^= 1;
            stored
        },
    ];
    for spoil in spoilt {
        let (log, stored) = room_with_snapshot().await;
        log.write_snapshot(&room("room"), spoil(stored)).await.unwrap();
        let (node, mut ann) = node_on(&log).await;
        assert_eq!(ann.write(5, "5").await, duplicate(6));
        assert_eq!(ann.write(6, "6").await, ack(7));
        assert_eq!(node.log.take_ranges_read().len(), 1, "the log was read from its beginning");
    }
}

#[tokio::test]
async fn an_older_snapshot_is_used_where_the_newest_cannot_be() {
    let (log, stored) = room_with_snapshot().await;
    let (node, mut ann) = node_on(&log).await;
    ann.write(6, "6").await;
    in_time(node.directory.drain()).await;
    let newest = log.read_snapshot(&ann.room, Seq::new(7)).await.unwrap().unwrap();
    log.write_snapshot(&ann.room, of_newer_format(newest)).await.unwrap();
    log.write_snapshot(&ann.room, stored).await.unwrap();
    let (node, mut ann) = node_on(&log).await;
    assert_eq!(ann.write(6, "6").await, duplicate(7));
    let ranges = node.log.take_ranges_read();
    assert_eq!(ranges.iter().map(|range| range.after).collect::<Vec<_>>(), [Seq::new(6)]);
}

/// What lies below the floor cannot be replayed: without a snapshot that can be read the room is left to another node.
#[tokio::test]
async fn a_room_whose_beginning_expired_is_never_begun_from_nothing() {
    let (log, stored) = room_with_snapshot().await;
    log.expire_before(&room("room"), Seq::new(4)).await.unwrap();
    let (node, mut ann) = node_on(&log).await;
    assert_eq!(ann.write(6, "6").await, ack(7), "with its snapshot it goes on");
    in_time(node.directory.drain()).await;

    for at in [stored.seq, Seq::new(7)] {
        let usable = log.read_snapshot(&room("room"), at).await.unwrap().unwrap();
        assert_eq!(usable.seq, at);
        log.write_snapshot(&room("room"), of_newer_format(usable)).await.unwrap();
    }
    refuses_to_activate(&log).await;
}

#[tokio::test]
async fn a_long_history_is_replayed_page_by_page_and_snapshots_come_by_themselves() {
    for (snapshots_lost, reads, from) in [(0, 1, 1_000), (9, 2, 0)] {
        let node = Node::start(ROOMY).await;
        node.log.lose_snapshots(snapshots_lost);
        let mut ann = Desk::at(&node, "room", "ann");
        for first in (1..=1_500).step_by(50) {
            let ids: Vec<u64> = (first..first + 50).map(|n| ann.send(n, &n.to_string())).collect();
            for id in ids {
                ann.ack(id).await;
            }
        }
        let next = Node::start_on(node.log.clone(), ROOMY).await;
        let mut bob = Desk::at(&next, "room", "bob");
        assert_eq!(bob.view().await.epoch, Epoch::new(2));
        let ranges = next.log.take_ranges_read();
        assert_eq!(ranges.len(), reads, "{ranges:?}");
        assert!(ranges[0].after >= Seq::new(from), "a snapshot was written on the way: {ranges:?}");
        let mut ann = Desk::at(&next, "room", "ann");
        assert_eq!(ann.write(1_500, "1500").await, duplicate(1_501));
    }
}
