//! Damage that is found while a room is active, by whoever reads further back: nothing more is numbered, operators are told, and what can be
//! read is read.

use std::sync::Arc;

use rollcall::log::MemoryLog;
use rollcall_actors::ports::{Log, LogError};
use rollcall_actors::room::{ChangeKind, Refusal, RoomChange};
use rollcall_actors::shell::Subscribed;
use rollcall_it::machine::eventually;
use rollcall_it::together::Together;
use rollcall_protocol::{Hash, Seq};

use super::desk::{Desk, ack};
use super::node::{NOON_MS, Node, SHORT_RING, in_time, until};

/// The entry that is damaged.
const DAMAGED: u64 = 5;

/// A room of ten entries with a snapshot at its end, on a node that has just found it so, with one of the entries damaged.
async fn damaged_below_its_snapshot() -> (Node, Desk) {
    let log = Arc::new(MemoryLog::new());
    let first = Node::start_on(Arc::clone(&log) as Arc<dyn Log>, SHORT_RING).await;
    let mut ann = Desk::at(&first, "room", "ann");
    ann.write_all(1, 9).await;
    in_time(first.directory.drain()).await;
    assert_eq!(log.read_snapshot(&ann.room, Seq::new(10)).await.unwrap().unwrap().seq, Seq::new(10));
    let node = Node::start_on(log, SHORT_RING).await;
    let ann = Desk::at(&node, "room", "ann");
    node.log.damage(&ann.room, DAMAGED);
    (node, ann)
}

async fn join_from_start(desk: &mut Desk) -> Subscribed {
    let id = desk.ask_join(Some(0), None);
    desk.joined(id).await.unwrap()
}

async fn is_refused_as_damaged(desk: &mut Desk, n: u64) {
    let id = desk.send(n, "on top of it");
    let refusal = desk.retryable(id).await;
    assert!(matches!(&refusal, Refusal::Unavailable(why) if why.contains("damaged")), "{refusal:?}");
}

fn found(node: &Node, desk: &Desk) -> (usize, Option<u64>) {
    let damage = node.directory.damage_of(&desk.room);
    (node.directory.damaged_rooms(), damage.map(|found| found.entry.get()))
}

/// Reads the room from its beginning, as a reader does who is behind; returns how far that goes.
async fn read_on(subscribed: &Subscribed) -> Result<u64, LogError> {
    let (mut cursor, head) = (Seq::ZERO, subscribed.room.tail().head());
    while cursor < head {
        cursor = subscribed.room.page(cursor, head).await?.last().unwrap().last();
    }
    Ok(cursor.get())
}

#[tokio::test]
async fn a_reader_who_meets_damage_below_the_snapshot_stops_the_room() {
    let (node, mut ann) = damaged_below_its_snapshot().await;
    assert_eq!(ann.write(10, "10").await, ack(11), "nobody knows of it yet");
    let subscribed = join_from_start(&mut ann).await;
    assert_eq!((found(&node, &ann), read_on(&subscribed).await.is_err()), ((0, None), true));

    for _ in 0..2 {
        is_refused_as_damaged(&mut ann, 11).await;
        let id = ann.ask_change(ChangeKind::Room(RoomChange { members_only: Some(true), ..RoomChange::default() }));
        assert!(matches!(ann.retryable(id).await, Refusal::Unavailable(_)));
    }
    assert_eq!(found(&node, &ann), (1, Some(DAMAGED)));
    let [head, before] = [11, DAMAGED - 1].map(Seq::new);
    assert_eq!(subscribed.room.history(Seq::ZERO, head).await.unwrap().len() as u64, before.get(), "what comes before");
    assert_eq!(subscribed.room.history(before.next(), head).await.unwrap().len(), 6, "and after it is read");
    let view = ann.view().await;
    assert_eq!((view.head, view.epoch.get()), (head, 2), "the room has its owner and its head still");
    let mut other = Desk::at(&node, "other", "ann");
    assert_eq!(other.write(1, "1").await, ack(2), "other rooms go on");

    node.log.restore();
    eventually("the room goes on once the entry was restored", async || {
        let id = ann.send(11, "11");
        ann.answer(id).await.ok()
    })
    .await;
    assert_eq!((found(&node, &ann), ann.view().await.head), ((0, None), Seq::new(12)));
    assert_eq!(read_on(&subscribed).await, Ok(12));
    assert_eq!(node.history(&ann.room).await.len(), 12);
}

#[tokio::test]
async fn what_was_taken_before_the_damage_was_found_is_finished_and_no_more() {
    let (node, mut ann) = damaged_below_its_snapshot().await;
    let subscribed = join_from_start(&mut ann).await;
    node.log.appends.hold();
    let taken = [10, 11, 12].map(|n| ann.send(n, "taken"));
    node.log.appends.until_waiting(1).await;
    assert!(read_on(&subscribed).await.is_err());
    is_refused_as_damaged(&mut ann, 13).await;
    node.log.appends.release();
    for (id, seq) in taken.into_iter().zip(11..) {
        assert_eq!(ann.ack(id).await, ack(seq));
    }
    is_refused_as_damaged(&mut ann, 13).await;
    assert_eq!(node.history_head(&ann.room).await, 13);
}

#[tokio::test]
async fn a_room_goes_on_once_all_is_whole_that_was_found_damaged() {
    let (node, mut ann) = damaged_below_its_snapshot().await;
    let subscribed = join_from_start(&mut ann).await;
    let head = Seq::new(10);
    assert!(read_on(&subscribed).await.is_err());
    node.log.damage(&ann.room, DAMAGED + 2);
    assert!(subscribed.room.history(Seq::new(DAMAGED + 1), head).await.is_err());
    let known = node.directory.damage_of(&ann.room).unwrap();
    assert_eq!((known.entry.get(), known.last.get()), (DAMAGED, DAMAGED + 2));
    // The first is whole by now, and the room's owner looks there.
    node.log.take_ranges_read();
    eventually("the log is looked at again", async || {
        is_refused_as_damaged(&mut ann, 10).await;
        (!node.log.take_ranges_read().is_empty()).then_some(())
    })
    .await;
    is_refused_as_damaged(&mut ann, 10).await;
    node.log.restore();
    eventually("the room goes on once the other one was restored", async || {
        let id = ann.send(10, "10");
        ann.answer(id).await.ok()
    })
    .await;
    assert_eq!((found(&node, &ann), node.history_head(&ann.room).await), ((0, None), 11));
}

#[tokio::test]
async fn a_reader_of_an_owner_that_has_ended_stops_the_next_one() {
    let (node, mut ann) = damaged_below_its_snapshot().await;
    node.log.restore();
    let subscribed = join_from_start(&mut ann).await;
    assert!(node.directory.give_up(&ann.room));
    until(|| node.directory.active_rooms() == 0).await;
    assert_eq!(ann.write(10, "10").await, ack(11), "by the next one");
    node.log.damage(&ann.room, DAMAGED);
    assert!(subscribed.room.history(Seq::new(DAMAGED - 1), Seq::new(10)).await.is_err());
    is_refused_as_damaged(&mut ann, 11).await;
    assert_eq!((found(&node, &ann), node.history_head(&ann.room).await), ((1, Some(DAMAGED)), 11));
}

/// A write's target, a cursor, and what is to expire are read for somebody, too.
#[tokio::test]
async fn whatever_reads_a_damaged_entry_stops_the_room() {
    type Find = fn(&mut Desk) -> u64;
    let finders: [(&str, Find); 3] = [
        ("an edit", |ann| ann.edit(10, DAMAGED, "of it")),
        ("a join", |ann| ann.ask_join(Some(DAMAGED), Some(Hash([9; 32])))),
        ("an expiry", |ann| ann.ask_change(ChangeKind::Expire(Seq::new(DAMAGED + 1)))),
    ];
    for (what, find) in finders {
        let (node, mut ann) = damaged_below_its_snapshot().await;
        let id = find(&mut ann);
        ann.reply(id).await;
        assert_eq!(found(&node, &ann), (1, Some(DAMAGED)), "{what}");
        is_refused_as_damaged(&mut ann, 11).await;
        assert_eq!(node.history_head(&ann.room).await, 10, "{what}");
    }
}

/// No snapshot hides what was found: the node that has found it looks there before it numbers again.
#[tokio::test]
async fn a_room_that_was_given_up_damaged_is_not_begun_again_before_it_was_restored() {
    let (node, mut ann) = damaged_below_its_snapshot().await;
    assert_eq!(ann.write(10, "10").await, ack(11));
    assert!(read_on(&join_from_start(&mut ann).await).await.is_err());
    is_refused_as_damaged(&mut ann, 11).await;
    for _ in 0..2 {
        assert!(node.directory.give_up(&ann.room));
        until(|| node.directory.active_rooms() == 0).await;
        is_refused_as_damaged(&mut ann, 11).await;
        assert_eq!((found(&node, &ann), ann.view().await.head), ((1, Some(DAMAGED)), Seq::new(11)));
        let shown = join_from_start(&mut ann).await;
        assert_eq!(shown.room.history(Seq::ZERO, Seq::new(11)).await.unwrap().len() as u64, DAMAGED - 1);
    }
    let newest = node.log.read_snapshot(&ann.room, Seq::new(11)).await.unwrap().unwrap();
    assert_eq!(newest.seq, Seq::new(10), "no later snapshot was stored");
    node.log.restore();
    eventually("the room goes on once the entry was restored", async || {
        let id = ann.send(11, "11");
        ann.answer(id).await.ok()
    })
    .await;
    assert_eq!((found(&node, &ann), node.history(&ann.room).await.len()), ((0, None), 12));
}

/// A room of eleven entries on two nodes of a cluster: its owner, with a client, and another one, with another.
async fn on_two_nodes() -> ((Node, Desk), (Node, Desk)) {
    let together = Together::at(NOON_MS);
    let owner = Node::join(&together, "a", SHORT_RING).await;
    let mut ann = Desk::at(&owner, "room", "ann");
    for n in 1..10 {
        ann.persist(n, "1").await;
    }
    let other = Node::join(&together, "b", SHORT_RING).await;
    other.see(|view| view.peers.len() == 1).await;
    owner.see(|view| view.peers.len() == 1).await;
    let mut bob = Desk::at(&other, "room", "bob");
    assert_eq!(bob.persist(1, "1").await, ack(11));
    ((owner, ann), (other, bob))
}

/// In a cluster the owner keeps the room, and refuses what other nodes forward.
#[tokio::test]
async fn an_owner_that_has_found_damage_refuses_the_writes_of_other_nodes() {
    let ((owner, mut ann), (other, mut bob)) = on_two_nodes().await;
    owner.log.damage(&ann.room, DAMAGED);
    let subscribed = join_from_start(&mut ann).await;
    assert!(read_on(&subscribed).await.is_err());
    for n in 2..4 {
        let id = bob.send(n, "on top of it");
        let error = bob.outcome(id).await.unwrap_err();
        assert!(error.retryable && error.message.contains("damaged"), "{error:?}");
    }
    assert_eq!((found(&owner, &ann), found(&other, &bob)), ((1, Some(DAMAGED)), (0, None)));
    assert_eq!(owner.history_head(&ann.room).await, 11);
    owner.log.restore();
    assert_eq!(bob.persist(2, "2").await, ack(12));
    assert_eq!(found(&owner, &ann), (0, None));
}

#[tokio::test]
async fn a_reader_of_another_node_who_meets_damage_stops_the_owner() {
    let ((owner, mut ann), (other, mut bob)) = on_two_nodes().await;
    let subscribed = join_from_start(&mut bob).await;
    for node in [&owner, &other] {
        node.log.damage(&ann.room, DAMAGED);
    }
    assert_eq!(ann.persist(10, "10").await, ack(12), "nobody knows of it yet");
    assert!(subscribed.room.history(Seq::new(DAMAGED - 1), Seq::new(11)).await.is_err());
    until(|| found(&owner, &ann) == (1, Some(DAMAGED))).await;
    is_refused_as_damaged(&mut ann, 11).await;
    assert_eq!((found(&other, &bob), owner.history_head(&ann.room).await), ((1, Some(DAMAGED)), 12));
    owner.log.restore();
    assert_eq!(ann.persist(11, "11").await, ack(13));
    assert_eq!(found(&owner, &ann), (0, None));
}
