//! A room's actor that panics: everybody is answered once, the room goes on from its log, and the others notice nothing.

use std::collections::BTreeMap;

use rollcall_actors::room::Refusal;
use rollcall_actors::shell::Pulled;
use rollcall_it::controlled_log::Fate;
use rollcall_protocol::{Entry, Seq};

use super::desk::{Desk, ack, duplicate};
use super::node::{Node, ROOMY, SHORT_RING, in_time, until};
use super::reader::Reader;

/// What a history holds of devices' writes: text and number by (user, n), each only once.
fn writes(history: &[Entry]) -> BTreeMap<(String, u64), u64> {
    let mut writes = BTreeMap::new();
    for entry in history.iter().filter(|entry| entry.n > 0) {
        let key = (entry.sender.as_str().to_owned(), entry.n);
        assert_eq!(writes.insert(key.clone(), entry.seq.get()), None, "{key:?} is stored twice");
    }
    writes
}

/// Requests in flight, queued, waiting for the log to tell their target, waiting for the log to check a cursor, and in the
/// mailbox: all of them while one append panics.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_open_request_is_answered_once_and_nothing_acked_is_lost() {
    let node = Node::start(SHORT_RING).await;
    let [mut ann, mut bob, mut eve] = ["ann", "bob", "eve"].map(|user| Desk::at(&node, "room", user));
    let mut other = Desk::at(&node, "other", "ann");
    let mut reader = Reader::join(&node, "room", 0).await;
    bob.write(1, "first").await;
    ann.write_all(1, 4).await;
    assert_eq!(reader.read_to(6).await.len(), 6);

    node.log.reads.hold();
    let looked_up = bob.edit(2, 2, "edited");
    let behind_it = bob.send(3, "after the edit");
    let checked = eve.ask_join(Some(3), Some(rollcall_protocol::Hash([0; 32])));
    node.log.reads.until_waiting(2).await;
    node.log.appends.hold();
    let in_flight = ann.send(5, "in flight");
    node.log.appends.until_waiting(1).await;
    let queued = ann.send(6, "queued");
    let mut stuck = node.log.panic_in_next_append();
    node.log.appends.release();
    stuck.entered().await;
    let in_mailbox = [ann.send(7, "in the mailbox"), ann.ask_view()];
    let joins_in_mailbox = eve.ask_join(None, None);
    assert_eq!((ann.unanswered(), bob.unanswered(), eve.unanswered()), (4, 2, 2), "the actor is stuck");
    assert_eq!(other.write(1, "meanwhile").await, ack(2), "other rooms go on");

    stuck.panic();
    for id in [in_flight, queued, in_mailbox[0]] {
        ann.retryable(id).await;
    }
    for id in [looked_up, behind_it] {
        bob.retryable(id).await;
    }
    ann.reply(in_mailbox[1]).await;
    node.log.reads.release();
    for id in [checked, joins_in_mailbox] {
        assert!(eve.joined(id).await.unwrap_err().retryable);
    }

    // The very next requests find the room activated again.
    let retried = [ann.send(5, "in flight"), ann.send(6, "queued"), ann.send(7, "in the mailbox")];
    assert_eq!(ann.ack(retried[0]).await, duplicate(7), "it was stored, which nobody had heard of");
    assert_eq!((ann.ack(retried[1]).await, ann.ack(retried[2]).await), (ack(8), ack(9)));
    let retried = [bob.edit(2, 2, "edited"), bob.send(3, "after the edit")];
    assert_eq!((bob.ack(retried[0]).await, bob.ack(retried[1]).await), (ack(10), ack(11)));

    let history = node.history(&ann.room).await;
    assert_eq!(writes(&history).len(), 10);
    assert_eq!(reader.read_to(11).await, history);
    assert_eq!(reader.rejoins, 1, "it was told that the room ended");
    assert_eq!(other.write(2, "still there").await, ack(3));
    assert_eq!((ann.unanswered(), bob.unanswered(), eve.unanswered()), (0, 0, 0));
    in_time(node.directory.drain()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_are_told_and_the_dead_room_is_let_go() {
    let node = Node::start(ROOMY).await;
    let mut ann = Desk::at(&node, "room", "ann");
    ann.write(1, "before").await;
    let reader = Reader::join(&node, "room", 0).await;
    let tail = reader.subscribed.room.tail().clone();
    let (handle, its_tail) =
        (std::sync::Arc::downgrade(&reader.subscribed.room), std::sync::Arc::downgrade(reader.subscribed.room.tail()));
    let stuck = node.log.panic_in_next_append();
    let id = ann.send(2, "never stored");
    stuck.panic();
    assert_eq!(ann.retryable(id).await, Refusal::OutcomeUnknown);
    until(|| matches!(tail.pull(Seq::ZERO, 1, 1), Pulled::Ended(_))).await;
    until(|| node.directory.active_rooms() == 0).await;
    drop((reader, tail));
    until(|| handle.upgrade().is_none() && its_tail.upgrade().is_none()).await;
    assert_eq!(ann.write(2, "never stored").await, ack(3));
}

/// What waits for the log panics, and the room's actor does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_log_that_panics_later_leaves_an_unknown_outcome() {
    let node = Node::start(ROOMY).await;
    let mut ann = Desk::at(&node, "room", "ann");
    ann.write(1, "before").await;
    node.log.next_append(Fate::PanicInTask);
    let id = ann.send(2, "perhaps");
    assert_eq!(ann.retryable(id).await, Refusal::OutcomeUnknown);
    assert_eq!(ann.write(2, "perhaps").await, ack(3));
    in_time(node.directory.drain()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_room_may_panic_again_and_again() {
    let node = Node::start(ROOMY).await;
    let mut ann = Desk::at(&node, "room", "ann");
    for n in 1..=100 {
        let stuck = node.log.panic_in_next_append();
        let id = ann.send(n, &n.to_string());
        stuck.panic();
        ann.retryable(id).await;
        assert_eq!(ann.write(n, &n.to_string()).await, ack(n + 1));
    }
    assert_eq!(node.history(&ann.room).await.len(), 101);
    in_time(node.directory.drain()).await;
}
