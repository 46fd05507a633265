//! No more than a limit of idle rooms stay in memory; of more, those that are idle for longest leave it.

use std::time::Duration;

use rollcall_actors::shell::RoomSettings;

use super::desk::{Desk, ack};
use super::node::{Node, ROOMY, in_time, room, until};
use super::reader::Reader;

/// Idle rooms leave for their number alone.
fn at_most(idle_rooms_max: usize) -> RoomSettings {
    RoomSettings { idle_rooms_max, ..ROOMY }
}

fn name(number: usize) -> String {
    format!("room{number}")
}

#[tokio::test]
async fn of_too_many_idle_rooms_the_longest_idle_leave() {
    let node = Node::start(at_most(3)).await;
    for number in 0..20 {
        let mut ann = Desk::at(&node, &name(number), "ann");
        assert_eq!(ann.write(1, "first").await, ack(2));
        // The newest room is not idle yet where they are counted for it.
        until(|| node.directory.active_rooms() <= 3 + 1).await;
    }
    let activations = node.log.activations_so_far();
    for number in 17..20 {
        Desk::at(&node, &name(number), "ann").view().await;
    }
    assert_eq!(node.log.activations_so_far(), activations, "the last three had stayed");
    for number in 0..16 {
        assert_eq!(Desk::at(&node, &name(number), "bob").write(1, "second").await, ack(3));
    }
    assert_eq!(node.log.activations_so_far(), activations + 16, "the others had left");
    for number in 0..16 {
        assert_eq!(node.history(&room(&name(number))).await.len(), 3);
    }
}

#[tokio::test]
async fn a_room_that_is_asked_again_counts_as_new() {
    let node = Node::start(at_most(3)).await;
    let mut often = Desk::at(&node, "often", "ann");
    for number in 0..20 {
        Desk::at(&node, &name(number), "ann").view().await;
        often.view().await;
        until(|| node.directory.active_rooms() <= 3 + 1).await;
    }
    assert_eq!(node.log.activations_so_far(), 21, "it never left");
}

#[tokio::test]
async fn rooms_that_owe_something_are_not_counted_and_stay() {
    let node = Node::start(at_most(2)).await;
    let mut readers = Vec::new();
    for number in 0..10 {
        readers.push(Reader::join(&node, &format!("joined{number}"), 0).await);
    }
    node.log.appends.hold();
    let mut ann = Desk::at(&node, "writing", "ann");
    let id = ann.send(1, "first");
    node.log.appends.until_waiting(1).await;
    for number in 0..20 {
        Desk::at(&node, &name(number), "ann").view().await;
        until(|| node.directory.active_rooms() <= 11 + 2 + 1).await;
    }
    let activations = node.log.activations_so_far();
    node.log.appends.release();
    ann.ack(id).await;
    for number in 0..10 {
        Desk::at(&node, &format!("joined{number}"), "ann").view().await;
    }
    assert_eq!(node.log.activations_so_far(), activations, "none of them had left");
    drop(readers);
    Desk::at(&node, "another", "ann").view().await;
    until(|| node.directory.active_rooms() <= 2 + 1).await;
}

/// Rooms leave as soon as they may, while many tasks ask: no request is refused, and none is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_that_race_with_the_limit_are_never_lost() {
    const TASKS: usize = 8;
    const ROOMS: usize = 25;
    const ROUNDS: u64 = 40;
    for idle_rooms_max in [0, 2] {
        let node = Node::start(RoomSettings { idle: Duration::from_secs(3600), ..at_most(idle_rooms_max) }).await;
        let tasks = (0..TASKS).map(|task| {
            let user = format!("user{task}");
            let mut desks: Vec<Desk> = (0..ROOMS).map(|number| Desk::at(&node, &name(number), &user)).collect();
            tokio::spawn(async move {
                for n in 1..=ROUNDS {
                    for desk in &mut desks {
                        let id = desk.send(n, &n.to_string());
                        assert!(!desk.answer(id).await.unwrap().duplicate);
                    }
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            in_time(task).await.unwrap();
        }
        assert!(node.log.activations_so_far() > 2 * ROOMS, "hardly a room left");
        for number in 0..ROOMS {
            assert_eq!(node.history(&room(&name(number))).await.len() as u64, 1 + TASKS as u64 * ROUNDS);
        }
    }
}
