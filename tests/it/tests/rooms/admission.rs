//! A full queue: said at once, nothing lost, and free again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rollcall_actors::room::Refusal;
use rollcall_actors::shell::{QueueLimits, RoomSettings};
use rollcall_protocol::ErrorCode;

use super::desk::{Desk, ack};
use super::node::{Node, ROOMY, in_time, until};

fn queue(entries_max: usize, bytes_max: usize) -> RoomSettings {
    RoomSettings { queue: QueueLimits { entries_max, bytes_max }, ..ROOMY }
}

#[tokio::test]
async fn full_by_number_busy_and_free_again() {
    let node = Node::start(queue(3, usize::MAX)).await;
    let mut ann = Desk::at(&node, "room", "ann");
    let mut bob = Desk::at(&node, "room", "bob");
    node.log.appends.hold();
    let taken = [ann.send(1, "1"), ann.send(2, "2"), ann.send(3, "3")];
    node.log.appends.until_waiting(1).await;
    let id = ann.send(4, "4");
    assert_eq!(ann.retryable(id).await, Refusal::Busy);
    let id = bob.ask_join(None, None);
    let error = bob.joined(id).await.unwrap_err();
    assert_eq!((error.code, error.retryable), (ErrorCode::Busy, true));
    assert!(error.retry_after_ms.is_some_and(|pause_ms| pause_ms > 0));
    assert_eq!(ann.unanswered(), 3);
    Desk::at(&node, "other", "ann").view().await;

    node.log.appends.release();
    for (id, seq) in taken.into_iter().zip(2..) {
        assert_eq!(ann.ack(id).await, ack(seq));
    }
    assert_eq!(ann.write(4, "4").await, ack(5));
    assert_eq!(node.history(&ann.room).await.len(), 5);
}

#[tokio::test]
async fn full_by_size_busy_and_free_again() {
    let body = r#"{"text":"0123456789"}"#.len();
    let node = Node::start(queue(100, 3 * body)).await;
    let mut ann = Desk::at(&node, "room", "ann");
    node.log.appends.hold();
    let taken: Vec<u64> = (1..=3).map(|n| ann.send(n, "0123456789")).collect();
    let refused = ann.send(4, "0");
    assert_eq!(ann.retryable(refused).await, Refusal::Busy);
    ann.view().await;
    node.log.appends.release();
    for id in taken {
        ann.ack(id).await;
    }
    assert_eq!(ann.write(4, "0").await, ack(5));
}

#[tokio::test]
async fn one_request_larger_than_the_queue_passes_alone() {
    let node = Node::start(queue(100, 10)).await;
    let mut ann = Desk::at(&node, "room", "ann");
    node.log.appends.hold();
    let large = ann.send(1, &"x".repeat(100_000));
    let refused = ann.send(2, "2");
    assert_eq!(ann.retryable(refused).await, Refusal::Busy);
    node.log.appends.release();
    assert_eq!(ann.ack(large).await, ack(2));
    assert_eq!(ann.write(2, &"y".repeat(100_000)).await, ack(3), "the next one may be large, too");
}

#[tokio::test]
async fn a_room_that_is_being_activated_takes_no_more_than_others() {
    let node = Node::start(queue(2, usize::MAX)).await;
    let mut ann = Desk::at(&node, "room", "ann");
    node.log.activations.hold();
    let taken = [ann.send(1, "1"), ann.send(2, "2")];
    node.log.activations.until_waiting(1).await;
    let refused = ann.send(3, "3");
    assert_eq!(ann.retryable(refused).await, Refusal::Busy);
    assert_eq!(ann.unanswered(), 2);
    node.log.activations.release();
    for (id, seq) in taken.into_iter().zip(2..) {
        assert_eq!(ann.ack(id).await, ack(seq));
    }
}

/// Many devices press upon a queue of four, which nothing leaves until it was full, and try again whenever it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_tries_again_gets_in() {
    let node = Node::start(queue(4, 200)).await;
    let busy = Arc::new(AtomicUsize::new(0));
    node.log.appends.hold();
    let devices: Vec<_> = (0..12)
        .map(|number| {
            let busy = Arc::clone(&busy);
            let mut desk = Desk::at(&node, "room", &format!("user{number}"));
            tokio::spawn(async move {
                for n in 1..=50 {
                    let mut id = desk.send(n, &n.to_string());
                    while let Err(refusal) = desk.answer(id).await {
                        assert_eq!(refusal, Refusal::Busy);
                        busy.fetch_add(1, Ordering::Relaxed);
                        tokio::task::yield_now().await;
                        id = desk.send(n, &n.to_string());
                    }
                }
            })
        })
        .collect();
    until(|| busy.load(Ordering::Relaxed) > 0).await;
    node.log.appends.release();
    for device in devices {
        in_time(device).await.unwrap();
    }
    assert_eq!(node.history(&super::node::room("room")).await.len(), 1 + 12 * 50);
}
