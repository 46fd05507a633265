//! Idle rooms are given up: their memory goes, nothing else does.

use std::sync::Arc;
use std::time::Duration;

use rollcall_actors::room::{Refusal, snapshot};
use rollcall_actors::shell::RoomSettings;
use rollcall_protocol::Seq;

use super::desk::{Desk, ack, duplicate};
use super::node::{Node, ROOMY, in_time, until};
use super::reader::Reader;

fn idle(after: Duration) -> RoomSettings {
    RoomSettings { idle: after, ..ROOMY }
}

#[tokio::test]
async fn an_idle_room_leaves_no_memory_and_goes_on_from_its_snapshot() {
    let node = Node::start(idle(Duration::from_millis(5))).await;
    let mut ann = Desk::at(&node, "room", "ann");
    ann.write_all(1, 3).await;
    let handle = node.directory.room(&ann.room).unwrap();
    let epoch = ann.view().await.epoch;
    let (weak_handle, weak_tail) = (Arc::downgrade(&handle), Arc::downgrade(handle.tail()));
    drop(handle);
    until(|| node.directory.active_rooms() == 0).await;
    until(|| weak_handle.upgrade().is_none() && weak_tail.upgrade().is_none()).await;

    let log = node.port();
    let head = Seq::new(4);
    let stored = in_time(async {
        loop {
            if let Some(stored) = log.read_snapshot(&ann.room, head).await.unwrap() {
                return stored;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(snapshot::decode(&stored).unwrap().head, head);
    node.log.take_ranges_read();
    assert_eq!(ann.write(4, "4").await, ack(5));
    assert!(node.log.take_ranges_read().is_empty(), "the snapshot holds all that there was");
    assert_eq!(ann.write(2, "2").await, duplicate(3));
    let id = ann.send(2, "another text");
    assert_eq!(ann.answer(id).await, Err(Refusal::Conflict));
    assert_eq!(ann.view().await.epoch, epoch.next());
}

#[tokio::test]
async fn a_room_that_nobody_wrote_to_is_given_up_without_a_trace() {
    let node = Node::start(idle(Duration::from_millis(5))).await;
    let mut ann = Desk::at(&node, "room", "ann");
    ann.view().await;
    until(|| node.directory.active_rooms() == 0).await;
    assert_eq!(node.port().tail(&ann.room).await.unwrap(), None);
    assert_eq!(node.port().read_snapshot(&ann.room, Seq::new(9)).await.unwrap(), None);
}

/// What is owed holds a room: a subscription, or an answer. Another room, begun later, shows how time passes.
#[tokio::test]
async fn a_room_that_owes_something_stays() {
    let node = Node::start(idle(Duration::from_millis(5))).await;
    let reader = Reader::join(&node, "joined", 0).await;
    node.log.appends.hold();
    let mut ann = Desk::at(&node, "writing", "ann");
    let id = ann.send(1, "first");
    node.log.appends.until_waiting(1).await;
    for number in 0..3 {
        Desk::at(&node, &format!("other{number}"), "ann").view().await;
        until(|| node.directory.active_rooms() == 2).await;
    }
    node.log.appends.release();
    ann.ack(id).await;
    until(|| node.directory.active_rooms() == 1).await;
    let activations = node.log.activations_so_far();
    drop(reader);
    until(|| node.directory.active_rooms() == 0).await;
    assert_eq!(node.log.activations_so_far(), activations, "neither was given up and activated again");
}

/// An inbox holds an answer, the answer a subscription, the subscription the room and the inbox: closing it cuts that.
#[tokio::test]
async fn a_connection_that_ended_holds_no_room() {
    let node = Node::start(idle(Duration::from_millis(5))).await;
    let mut ann = Desk::at(&node, "room", "ann");
    let inbox = Arc::downgrade(&ann.inbox);
    ann.ask_join(None, None);
    in_time(ann.inbox.rung()).await;
    let (mut eve, other) = (Desk::at(&node, "room", "eve"), Arc::downgrade(&ann.inbox));
    eve.view().await;
    let closing = Arc::clone(&ann.inbox);
    drop(ann);
    assert!(other.upgrade().is_some() && inbox.strong_count() > 1, "it is held by the answer in it");
    closing.close();
    drop(closing);
    assert!(inbox.upgrade().is_none());
    until(|| node.directory.active_rooms() == 0).await;
}

/// Answers that come after the connection ended hold nothing either.
#[tokio::test]
async fn an_answer_to_a_closed_inbox_holds_no_room() {
    let node = Node::start(idle(Duration::from_millis(5))).await;
    node.log.activations.hold();
    let mut ann = Desk::at(&node, "room", "ann");
    ann.ask_join(None, None);
    ann.inbox.close();
    let inbox = Arc::downgrade(&ann.inbox);
    drop(ann);
    node.log.activations.until_waiting(1).await;
    node.log.activations.release();
    until(|| inbox.upgrade().is_none()).await;
    until(|| node.directory.active_rooms() == 0).await;
}

/// Rooms are given up as soon as they may be, while many tasks ask, until that happened often: no request is refused, and none
/// is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_that_race_with_passivation_are_never_lost() {
    const TASKS: u64 = 8;
    const ROOMS: u64 = 25;
    const ROUNDS_MIN: u64 = 60;
    const ACTIVATIONS_MIN: usize = 4 * ROOMS as usize;
    for after in [Duration::ZERO, Duration::from_millis(1)] {
        let node = Node::start(idle(after)).await;
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let mut desks: Vec<Desk> =
                    (0..ROOMS).map(|room| Desk::at(&node, &format!("room{room}"), &format!("user{task}"))).collect();
                let log = node.log.clone();
                tokio::spawn(async move {
                    let mut n = 0;
                    while n < ROUNDS_MIN || log.activations_so_far() < ACTIVATIONS_MIN {
                        n += 1;
                        for desk in &mut desks {
                            let id = desk.send(n, &n.to_string());
                            assert!(!desk.answer(id).await.unwrap().duplicate);
                        }
                    }
                    n
                })
            })
            .collect();
        let mut sent = 0;
        for task in tasks {
            sent += in_time(task).await.unwrap();
        }
        until(|| node.directory.active_rooms() == 0).await;
        for number in 0..ROOMS {
            let history = node.history(&super::node::room(&format!("room{number}"))).await;
            assert_eq!(history.len() as u64, 1 + sent);
        }
    }
}
