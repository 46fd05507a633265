//! What the log makes of an append: refused, fenced or unknown. A write that is tried again is stored once.

use rollcall_actors::ports::{AppendOutcome, NotCommitted};
use rollcall_actors::room::Refusal;
use rollcall_it::controlled_log::Fate;

use super::desk::{Desk, ack, duplicate};
use super::node::{Node, ROOMY};
use super::reader::Reader;

/// Writes n = 2 in flight and n = 3 behind it, with this fate for the first; returns both refusals.
async fn write_two(node: &Node, ann: &mut Desk, fate: Fate) -> (Refusal, Refusal) {
    node.log.appends.hold();
    node.log.next_append(fate);
    let in_flight = ann.send(2, "in flight");
    node.log.appends.until_waiting(1).await;
    let queued = ann.send(3, "queued");
    ann.view().await;
    node.log.appends.release();
    (ann.retryable(in_flight).await, ann.retryable(queued).await)
}

/// A room with entries 1 and 2.
async fn begin() -> (Node, Desk) {
    let node = Node::start(ROOMY).await;
    let mut ann = Desk::at(&node, "room", "ann");
    ann.write(1, "before").await;
    (node, ann)
}

#[tokio::test]
async fn an_unknown_append_that_was_stored_keeps_its_numbers() {
    let (node, mut ann) = begin().await;
    let mut reader = Reader::join(&node, "room", 0).await;
    let (in_flight, queued) = write_two(&node, &mut ann, Fate::UnknownStored).await;
    assert_eq!(in_flight, Refusal::OutcomeUnknown);
    assert!(matches!(queued, Refusal::Unavailable(_)), "nothing of it can be stored: {queued}");
    let epoch = ann.view().await.epoch;
    assert_eq!(ann.write(2, "in flight").await, duplicate(3));
    assert_eq!(ann.write(3, "queued").await, ack(4));
    let history = node.history(&ann.room).await;
    assert_eq!(history.len(), 4);
    assert_eq!(reader.read_to(4).await, history);
    assert_eq!((reader.rejoins, history[2].epoch.next(), history[3].epoch), (1, epoch, epoch));
}

#[tokio::test]
async fn an_unknown_append_that_was_not_stored_is_numbered_anew() {
    let (node, mut ann) = begin().await;
    let (in_flight, _) = write_two(&node, &mut ann, Fate::UnknownNotStored).await;
    assert_eq!(in_flight, Refusal::OutcomeUnknown);
    assert_eq!(ann.write(2, "in flight").await, ack(3));
    assert_eq!(ann.write(3, "queued").await, ack(4));
    assert_eq!(node.history(&ann.room).await.len(), 4);
}

/// The append reaches the log after the room was activated again: it comes too late, for ever.
#[tokio::test]
async fn an_unknown_append_that_arrives_late_is_fenced() {
    let (node, mut ann) = begin().await;
    write_two(&node, &mut ann, Fate::UnknownLate).await;
    let id = ann.ask_join(None, None);
    ann.joined(id).await.unwrap();
    assert_eq!(node.log.deliver_late().await, [AppendOutcome::NotCommitted(NotCommitted::Fenced)]);
    assert_eq!(ann.write(2, "in flight").await, ack(3));
    assert_eq!(node.history(&ann.room).await.len(), 3);
}

/// The append reaches the log before the room is activated again.
#[tokio::test]
async fn an_unknown_append_that_arrives_in_time_keeps_its_numbers() {
    let (node, mut ann) = begin().await;
    node.log.activations.hold();
    write_two(&node, &mut ann, Fate::UnknownLate).await;
    let retried = ann.send(2, "in flight");
    node.log.activations.until_waiting(1).await;
    assert_eq!(node.log.deliver_late().await, [AppendOutcome::Committed]);
    node.log.activations.release();
    assert_eq!(ann.ack(retried).await, duplicate(3));
    assert_eq!(node.history(&ann.room).await.len(), 3);
}

#[tokio::test]
async fn the_creation_of_a_room_may_be_unknown() {
    for (fate, answer) in [(Fate::UnknownStored, duplicate(2)), (Fate::UnknownNotStored, ack(2))] {
        let node = Node::start(ROOMY).await;
        let mut ann = Desk::at(&node, "room", "ann");
        node.log.next_append(fate);
        let id = ann.send(1, "first");
        assert_eq!(ann.retryable(id).await, Refusal::OutcomeUnknown);
        assert_eq!(ann.write(1, "first").await, answer);
        assert_eq!(node.history(&ann.room).await.len(), 2);
    }
}

#[tokio::test]
async fn a_refused_append_is_tried_again_and_the_room_goes_on() {
    let (node, mut ann) = begin().await;
    let mut reader = Reader::join(&node, "room", 0).await;
    let epoch = ann.view().await.epoch;
    let (in_flight, queued) = write_two(&node, &mut ann, Fate::Refused).await;
    let refusal = Refusal::Unavailable("the room's log takes no writes now".to_owned());
    assert_eq!((in_flight, queued), (refusal.clone(), refusal), "the log's own reason is not for clients");
    assert_eq!(ann.write(2, "in flight").await, ack(3));
    assert_eq!(ann.write(3, "queued").await, ack(4));
    let history = node.history(&ann.room).await;
    assert_eq!(reader.read_to(4).await, history);
    assert_eq!((reader.rejoins, ann.view().await.epoch), (0, epoch), "it is the same actor");
}

#[tokio::test]
async fn a_fenced_room_stops_and_comes_back() {
    let (node, mut ann) = begin().await;
    let mut reader = Reader::join(&node, "room", 0).await;
    let epoch = ann.view().await.epoch;
    let (in_flight, queued) = write_two(&node, &mut ann, Fate::Fenced).await;
    assert!(matches!((in_flight, queued), (Refusal::Unavailable(_), Refusal::Unavailable(_))));
    // The very next requests find the room's next actor.
    let retried = [ann.send(2, "in flight"), ann.send(3, "queued")];
    assert_eq!((ann.ack(retried[0]).await, ann.ack(retried[1]).await), (ack(3), ack(4)));
    assert_eq!(ann.view().await.epoch, epoch.next());
    assert_eq!(reader.read_to(4).await, node.history(&ann.room).await);
    assert_eq!(reader.rejoins, 1);
}

/// Two nodes on one log, each of which takes the room for its own: only one of them numbers at a time.
#[tokio::test]
async fn two_nodes_take_a_room_from_each_other_and_number_it_once() {
    let node = Node::start(ROOMY).await;
    let other = Node::start_on(node.log.clone(), ROOMY).await;
    let [mut ann, mut bob] = [Desk::at(&node, "room", "ann"), Desk::at(&other, "room", "bob")];
    let mut refused = 0;
    for n in 1..=50 {
        for desk in [&mut ann, &mut bob] {
            let mut id = desk.send(n, &n.to_string());
            while let Err(refusal) = desk.answer(id).await {
                assert!(matches!(refusal, Refusal::Unavailable(_)), "{refusal}");
                refused += 1;
                id = desk.send(n, &n.to_string());
            }
        }
    }
    assert!(refused >= 90, "each write fences the other node: {refused}");
    let history = node.history(&ann.room).await;
    for desk in [&ann, &bob] {
        let numbers: Vec<u64> =
            history.iter().filter(|entry| entry.n > 0 && entry.sender == desk.user).map(|entry| entry.n).collect();
        assert_eq!(numbers, (1..=50).collect::<Vec<_>>());
    }
    assert!(history.windows(2).all(|pair| pair[0].epoch <= pair[1].epoch), "epochs never fall");
}
