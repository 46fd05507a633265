//! No more rooms than a limit are active, however many are joined.

use rollcall_actors::cluster::node_core::RoomRole;
use rollcall_actors::room::Refusal;
use rollcall_actors::shell::RoomSettings;
use rollcall_it::together::Together;
use rollcall_protocol::ErrorCode;

use super::desk::{Desk, ack};
use super::node::{NOON_MS, Node, ROOMY, in_time, room};
use super::reader::Reader;

/// Rooms leave for the limit alone.
fn at_most(active_rooms_max: usize) -> RoomSettings {
    RoomSettings { active_rooms_max, ..ROOMY }
}

fn name(number: usize) -> String {
    format!("room{number}")
}

#[tokio::test]
async fn an_idle_room_leaves_for_a_new_one() {
    let node = Node::start(at_most(3)).await;
    for number in 0..20 {
        let mut ann = Desk::at(&node, &name(number), "ann");
        assert_eq!(ann.write(1, "first").await, ack(2));
        assert!(node.directory.active_rooms() <= 3);
    }
    let activations = node.log.activations_so_far();
    for number in 17..20 {
        Desk::at(&node, &name(number), "ann").view().await;
    }
    assert_eq!(node.log.activations_so_far(), activations, "the longest idle have left");
    for number in 0..20 {
        assert_eq!(node.history(&room(&name(number))).await.len(), 2);
    }
}

#[tokio::test]
async fn where_all_rooms_are_joined_one_more_is_refused_until_one_is_left() {
    let node = Node::start(at_most(3)).await;
    let mut readers = Vec::new();
    for number in 0..3 {
        readers.push(Reader::join(&node, &name(number), 0).await);
    }
    let mut ann = Desk::at(&node, "another", "ann");
    for _ in 0..100 {
        let id = ann.send(1, "first");
        assert_eq!(ann.retryable(id).await, Refusal::TooManyRooms);
        let id = ann.ask_join(None, None);
        let error = ann.joined(id).await.unwrap_err();
        assert_eq!((error.code, error.retryable), (ErrorCode::Busy, true));
        assert!(error.retry_after_ms.is_some_and(|pause_ms| pause_ms > 0));
    }
    assert_eq!((node.directory.active_rooms(), node.log.activations_so_far()), (3, 3), "it was not made for a moment");
    assert_eq!(Desk::at(&node, &name(1), "bob").write(1, "those that are active go on").await, ack(2));

    readers.pop();
    in_time(async {
        loop {
            let id = ann.send(1, "first");
            match ann.answer(id).await {
                Ok(acked) => break assert_eq!(acked, ack(2)),
                Err(refusal) => assert_eq!(refusal, Refusal::TooManyRooms),
            }
        }
    })
    .await;
    assert_eq!(node.directory.active_rooms(), 3);
}

/// Returns how many rooms a node of a cluster owns, or is about to.
async fn owned(node: &Node) -> usize {
    let reports = node.directory.cluster().unwrap().rooms(None, 100).await;
    reports.iter().filter(|report| matches!(report.role, RoomRole::Owner | RoomRole::Moving)).count()
}

#[tokio::test]
async fn a_node_of_a_cluster_does_not_begin_with_more_rooms_than_it_may_have() {
    let together = Together::at(NOON_MS);
    let node = Node::join(&together, "alone", at_most(3)).await;
    node.log.activations.hold();
    let mut desks = Vec::new();
    for number in 0..20 {
        let mut desk = Desk::at(&node, &name(number), "ann");
        let id = desk.send(1, "first");
        desks.push((desk, id));
    }
    node.log.activations.until_waiting(3).await;
    // All others are told, while the first three wait for the log.
    for (desk, id) in desks.iter_mut().skip(3) {
        let error = desk.outcome(*id).await.unwrap_err();
        assert_eq!((error.code, error.retryable), (ErrorCode::Busy, true));
    }
    assert_eq!(owned(&node).await, 3);
    node.log.activations.release();
    for (mut desk, _) in desks {
        assert_eq!(desk.persist(1, "first").await.seq, ack(2).seq, "an idle one leaves for it");
        assert!(node.directory.active_rooms() <= 3);
    }
}

/// More rooms than are activated at once, in a log that answers for none of them yet: no room waits for ever for others.
#[tokio::test]
async fn rooms_of_a_cluster_do_not_wait_behind_those_that_the_log_keeps_waiting() {
    let together = Together::at(NOON_MS);
    let node = Node::join(&together, "a", ROOMY).await;
    node.log.activations.hold();
    let mut desks: Vec<Desk> = (0..100).map(|number| Desk::at(&node, &name(number), "ann")).collect();
    let asked: Vec<u64> = desks.iter_mut().map(|ann| ann.send(1, "first")).collect();
    node.log.activations.until_waiting(100).await;
    node.log.activations.release();
    for (ann, id) in desks.iter_mut().zip(asked) {
        assert_eq!(ann.outcome(id).await.unwrap(), ack(2));
    }
}

#[tokio::test]
async fn a_node_that_drains_begins_no_more_activations() {
    let together = Together::at(NOON_MS);
    let node = Node::join(&together, "a", ROOMY).await;
    node.log.activations.hold();
    let mut desks: Vec<Desk> = (0..100).map(|number| Desk::at(&node, &name(number), "ann")).collect();
    desks.iter_mut().for_each(|ann| _ = ann.send(1, "first"));
    node.log.activations.until_waiting(64).await;
    let drained = in_time(async {
        tokio::join!(node.directory.drain(), async { node.log.activations.release() });
    });
    drained.await;
    assert!(node.log.activations_so_far() <= 64, "{} activations", node.log.activations_so_far());
}
