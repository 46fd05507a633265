//! Draining: everything taken is answered, everything acked is stored with a snapshot, and nothing more is taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rollcall_actors::room::{Refusal, snapshot};
use rollcall_protocol::{Epoch, Hash, Seq};

use super::desk::{Desk, ack, duplicate};
use super::node::{Node, ROOMY, SHORT_RING, in_time, room, until};
use super::reader::Reader;

#[tokio::test]
async fn what_was_taken_is_answered_and_nothing_more_is_taken() {
    let node = Node::start(SHORT_RING).await;
    let [mut ann, mut bob, mut eve] = ["ann", "bob", "eve"].map(|user| Desk::at(&node, "room", user));
    let mut new = Desk::at(&node, "new", "ann");
    ann.write_all(1, 3).await;
    let mut quiet = Desk::at(&node, "quiet", "ann");
    quiet.write(1, "1").await;
    let mut reader = Reader::join(&node, "room", 0).await;

    node.log.appends.hold();
    node.log.reads.hold();
    node.log.activations.hold();
    let in_flight = ann.send(4, "in flight");
    node.log.appends.until_waiting(1).await;
    let queued = ann.send(5, "queued");
    let looked_up = bob.edit(1, 2, "edited");
    let checked = eve.ask_join(Some(1), Some(Hash([7; 32])));
    let activating = new.send(1, "1");
    node.log.reads.until_waiting(2).await;
    node.log.activations.until_waiting(1).await;

    let directory = node.directory.clone();
    let draining = tokio::spawn(async move { directory.drain().await });
    assert!(matches!(new.retryable(activating).await, Refusal::Unavailable(_)));
    let late = [ann.send(6, "late"), quiet.send(2, "late"), Desk::at(&node, "fresh", "ann").ask_view()];
    assert!(matches!(ann.retryable(late[0]).await, Refusal::Unavailable(_)));
    assert!(matches!(quiet.retryable(late[1]).await, Refusal::Unavailable(_)));
    assert_eq!((ann.unanswered(), bob.unanswered(), eve.unanswered()), (2, 1, 1), "the log has not answered yet");
    assert!(!draining.is_finished());

    node.log.appends.release();
    node.log.activations.release();
    assert_eq!((ann.ack(in_flight).await, ann.ack(queued).await), (ack(5), ack(6)));
    assert!(matches!(bob.retryable(looked_up).await, Refusal::Unavailable(_)));
    node.log.reads.release();
    assert!(eve.joined(checked).await.unwrap_err().retryable);
    in_time(draining).await.unwrap();

    assert_eq!(node.directory.active_rooms(), 0);
    reader.desk.inbox.rung().await;
    let log = node.port();
    for (name, head) in [("room", 6), ("quiet", 2)] {
        let stored = log.read_snapshot(&room(name), Seq::new(99)).await.unwrap().unwrap();
        assert_eq!(snapshot::decode(&stored).unwrap().head, Seq::new(head), "{name}");
    }
    assert_eq!(log.tail(&room("new")).await.unwrap(), None);
    assert!(node.directory.room(&room("room")).is_err());
    in_time(node.directory.drain()).await;

    let next = Node::start_on(node.log.clone(), ROOMY).await;
    let mut ann = Desk::at(&next, "room", "ann");
    assert_eq!(ann.write(5, "queued").await, duplicate(6));
    assert_eq!(ann.write(6, "late").await, ack(7));
    assert_eq!(ann.view().await.epoch, Epoch::new(2));
    reader.desk.directory = next.directory.clone();
    assert_eq!(reader.read_to(7).await, next.history(&ann.room).await, "a reader goes on at the next node");
}

#[tokio::test]
async fn a_node_without_rooms_is_drained_at_once() {
    let node = Node::start(ROOMY).await;
    in_time(node.directory.drain()).await;
    let mut ann = Desk::at(&node, "room", "ann");
    let id = ann.send(1, "1");
    assert!(matches!(ann.retryable(id).await, Refusal::Unavailable(_)));
}

/// Rooms are activated while the node begins to drain: each of them is drained, too, or never begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_room_slips_through_a_drain() {
    for round in 0..100 {
        let node = Node::start(ROOMY).await;
        let begun = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..4)
            .map(|task| {
                let (directory, begun) = (node.directory.clone(), Arc::clone(&begun));
                tokio::task::spawn_blocking(move || {
                    let mut names = (0..).map(|number| room(&format!("room{task}.{number}")));
                    while directory.room(&names.next().unwrap()).is_ok() {
                        begun.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        until(|| begun.load(Ordering::Relaxed) > round).await;
        in_time(node.directory.drain()).await;
        for task in tasks {
            in_time(task).await.unwrap();
        }
        assert_eq!(node.directory.active_rooms(), 0);
    }
}
