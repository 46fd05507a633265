//! A device's writes are numbered in its order, also while the log is asked what one of them is about; and no redaction is
//! overtaken by that.

use rollcall_actors::room::Refusal;
use rollcall_actors::shell::{Frame, Pulled};
use rollcall_protocol::{Kind, Seq};

use super::desk::{Desk, ack};
use super::node::{Node, SHORT_RING};
use super::reader::Reader;

/// A room whose entries 2 to 5 are Ann's and lie in the log alone.
async fn room_with_history(node: &Node) -> Desk {
    let mut ann = Desk::at(node, "room", "ann");
    ann.write_all(1, 5).await;
    ann
}

#[tokio::test]
async fn writes_behind_a_look_at_the_log_keep_their_order() {
    let node = Node::start(SHORT_RING).await;
    let mut ann = room_with_history(&node).await;
    let mut bob = Desk::at(&node, "room", "bob");
    node.log.reads.hold();
    let edit = ann.edit(6, 2, "edited");
    let behind_it = [ann.send(7, "7"), ann.edit(8, 3, "edited, too"), ann.send(9, "9")];
    node.log.reads.until_waiting(1).await;
    bob.write_all(1, 3).await;
    assert_eq!(ann.unanswered(), 4);

    node.log.reads.let_one_pass();
    assert_eq!(ann.ack(edit).await, ack(10));
    assert_eq!(ann.ack(behind_it[0]).await, ack(11));
    node.log.reads.until_waiting(1).await;
    assert_eq!(ann.unanswered(), 2, "the second look holds back what is behind it");
    bob.write(4, "4").await;
    node.log.reads.release();
    assert_eq!((ann.ack(behind_it[1]).await, ann.ack(behind_it[2]).await), (ack(13), ack(14)));

    let history = node.history(&ann.room).await;
    let numbered: Vec<u64> = history.iter().filter(|entry| entry.sender == ann.user).map(|entry| entry.n).collect();
    assert_eq!(numbered, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], "entry 1 is the room's creation");
}

#[tokio::test]
async fn a_target_that_cannot_be_read_is_told_to_be_tried_again() {
    let node = Node::start(SHORT_RING).await;
    let mut ann = room_with_history(&node).await;
    node.log.fail_reads(1);
    let ids = [ann.edit(6, 2, "edited"), ann.send(7, "7")];
    assert!(matches!(ann.retryable(ids[0]).await, Refusal::Unavailable(_)));
    assert_eq!(ann.answer(ids[1]).await, Err(Refusal::OutOfOrder { last: 5 }), "nothing overtakes what was refused");
    let ids = [ann.edit(6, 2, "edited"), ann.send(7, "7")];
    assert_eq!((ann.ack(ids[0]).await, ann.ack(ids[1]).await), (ack(7), ack(8)));
}

#[tokio::test]
async fn targets_that_are_none() {
    let node = Node::start(SHORT_RING).await;
    let mut ann = room_with_history(&node).await;
    for target in [0, 7, 99, rollcall_protocol::NUMBER_MAX] {
        let id = ann.edit(6, target, "edited");
        assert_eq!(ann.answer(id).await, Err(Refusal::Target(Seq::new(target))));
    }
    let id = ann.edit(6, 1, "edited");
    assert_eq!(ann.answer(id).await, Err(Refusal::Target(Seq::new(1))), "entry 1 is the room's creation");
}

/// The log answers what the edit's target is, then the redaction commits, and only then the room hears the answer.
#[tokio::test]
async fn a_redaction_during_the_look_at_the_log_is_not_overlooked() {
    let node = Node::start(SHORT_RING).await;
    let mut ann = room_with_history(&node).await;
    let mut bob = Desk::at(&node, "room", "bob");
    node.log.read_answers.hold_next();
    let edit = ann.edit(6, 2, "too late");
    node.log.read_answers.until_waiting(1).await;
    let redactions = [bob.redact(1, 2), bob.redact(2, 3)];
    for id in redactions {
        bob.ack(id).await;
    }
    node.log.read_answers.release();
    assert_eq!(ann.answer(edit).await, Err(Refusal::Target(Seq::new(2))));
    let edit = ann.edit(6, 4, "in time");
    ann.ack(edit).await;
}

/// Redaction and edit wait for their turn together, and are committed in different batches.
#[tokio::test]
async fn an_edit_that_is_numbered_after_the_redaction_is_shown_without_its_body() {
    let node = Node::start(SHORT_RING).await;
    let mut ann = room_with_history(&node).await;
    let mut bob = Desk::at(&node, "room", "bob");
    let mut reader = Reader::join(&node, "room", 6).await;
    node.log.appends.hold();
    let in_flight = bob.send(1, "in flight");
    node.log.appends.until_waiting(1).await;
    let redact = bob.redact(2, 6);
    let fillers = [bob.send(3, &"x".repeat(100_000)), bob.send(4, &"x".repeat(100_000))];
    let edit = ann.edit(6, 6, "a secret");
    node.log.appends.release();
    for id in [in_flight, redact, fillers[0], fillers[1]] {
        bob.ack(id).await;
    }
    assert_eq!(ann.ack(edit).await, ack(11));
    let history = node.history(&ann.room).await;
    assert_eq!(history[10].kind, Kind::Edit);
    assert_eq!(reader.read_to(11).await, &history[6..]);
    assert!(reader.seen.iter().all(|entry| entry.kind != Kind::Edit || entry.is_redacted()));
    match reader.subscribed.room.tail().pull(Seq::new(10), 9, 9) {
        Pulled::Frames(frames) => assert!(!shows(&frames[0], "a secret")),
        other => panic!("the ring holds its last frame: {other:?}"),
    }
}

fn shows(frame: &Frame, text: &str) -> bool {
    let bytes = frame.bytes_after(frame.first().previous(), rollcall_protocol::Format::Json);
    String::from_utf8_lossy(&bytes).contains(text)
}
