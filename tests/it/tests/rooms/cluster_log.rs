//! What a node answers from the log where no owner answers.

use std::sync::Arc;
use std::time::Duration;

use rollcall_actors::cluster::ownership::{RedisAnswer, RedisCommand};
use rollcall_actors::ports::{Ownership, PortFuture};
use rollcall_it::scribe::Scribe;
use rollcall_it::together::Together;
use rollcall_protocol::{ErrorCode, Hash, Seq};
use tokio::sync::watch;

use super::desk::Desk;
use super::node::{NOON_MS, Node, ROOMY};

/// As many as a node reads at once.
const READS_MAX: usize = 16;

/// Who owns what, until that is away.
struct Leaving {
    ownership: Arc<dyn Ownership>,
    is_away: watch::Receiver<bool>,
}

impl Ownership for Leaving {
    fn run<'a>(&'a self, command: &'a RedisCommand) -> PortFuture<'a, RedisAnswer> {
        if *self.is_away.borrow() {
            return Box::pin(std::future::ready(RedisAnswer::Failed("away".to_owned())));
        }
        self.ownership.run(command)
    }
}

/// A node that can ask nobody but the log.
async fn alone(together: &Together) -> Node {
    let (away, is_away) = watch::channel(false);
    let ownership = Arc::new(Leaving { ownership: Arc::new(together.ownership.clone()), is_away });
    let node = Node::join_with(together, "alone", ROOMY, ownership).await;
    away.send_replace(true);
    node
}

#[tokio::test]
async fn what_somebody_has_seen_behind_a_damage_is_no_other_history() {
    let together = Together::at(NOON_MS);
    let mut scribe = Scribe::activate(&*together.log, "room", 1).await;
    let mut entries = scribe.messages(5);
    let good = entries[1].hash;
    entries[2].hash = Hash([7; 32]);
    scribe.commit(&*together.log, entries).await;
    let node = alone(&together).await;
    let mut ann = Desk::at(&node, "room", "ann");
    let beyond = [(3, None), (3, Some(Hash([7; 32]))), (5, None), (9, Some(Hash([9; 32])))];
    let beyond = beyond.map(|(after, hash)| ann.ask_join(Some(after), hash));
    let (before, other) = (ann.ask_join(Some(2), Some(good)), ann.ask_join(Some(2), Some(Hash([9; 32]))));
    for id in beyond {
        let error = ann.joined(id).await.unwrap_err();
        assert_eq!((error.code, error.retryable), (ErrorCode::Unavailable, true), "it may be restored");
    }
    assert_eq!(ann.joined(before).await.unwrap().joined.head, Seq::new(2), "what comes before the damage is read");
    assert_eq!(ann.joined(other).await.unwrap_err().code, ErrorCode::Diverged);
}

#[tokio::test]
async fn everybody_who_asks_the_log_for_one_room_shares_one_read_of_it() {
    let together = Together::at(NOON_MS);
    let mut scribe = Scribe::activate(&*together.log, "room", 1).await;
    let written = scribe.commit_messages(&*together.log, 5).await;
    let node = alone(&together).await;
    // Longer than it takes to ask, so that all who ask have come before the answer.
    node.log.slow_reads(Duration::from_millis(500));
    let mut ann = Desk::at(&node, "room", "ann");
    let at_head: Vec<u64> = (0..50).map(|_| ann.ask_join(None, None)).collect();
    let behind: Vec<u64> = (0..50).map(|_| ann.ask_join(Some(2), Some(written[1].hash))).collect();
    for id in at_head.into_iter().chain(behind) {
        assert_eq!(ann.joined(id).await.unwrap().joined.head, Seq::new(5));
    }
    let reads = node.log.take_ranges_read();
    // The room, and the entry that all have who are behind; twice where this machine was too slow to ask.
    assert!(reads.len() <= 4, "{} reads: {reads:?}", reads.len());
}

#[tokio::test]
async fn a_node_reads_few_rooms_at_once_from_the_log() {
    let together = Together::at(NOON_MS);
    let node = alone(&together).await;
    node.log.reads.hold();
    let mut desks = Vec::new();
    for number in 0..3 * READS_MAX {
        let name = format!("room{number}");
        Scribe::activate(&*together.log, &name, 1).await.commit_messages(&*together.log, 1).await;
        let mut desk = Desk::at(&node, &name, "ann");
        let id = desk.ask_view();
        desks.push((desk, id));
    }
    for _ in 0..3 {
        // All of them wait by now, for the log or for a place.
        node.log.reads.until_waiting(READS_MAX).await;
        (0..READS_MAX).for_each(|_| node.log.reads.let_one_pass());
    }
    for (desk, id) in &mut desks {
        desk.reply(*id).await;
    }
}

/// A read that waits for its place has not begun: whoever comes meanwhile is answered by it, however long that takes. One who comes long
/// after it began is not: it may not know what that one knows.
#[tokio::test]
async fn a_read_of_the_log_that_waits_is_shared_and_one_that_began_long_ago_is_not() {
    let together = Together::at(NOON_MS);
    let node = alone(&together).await;
    let names: Vec<String> = (0..=READS_MAX).map(|number| format!("room{number}")).collect();
    for name in &names {
        Scribe::activate(&*together.log, name, 1).await.commit_messages(&*together.log, 1).await;
    }
    node.log.reads.hold();
    let ask_all = || names.iter().map(|name| Desk::at(&node, name, "ann")).map(|mut desk| (desk.ask_view(), desk));
    let first: Vec<(u64, Desk)> = ask_all().collect();
    node.log.reads.until_waiting(READS_MAX).await;
    assert_eq!(node.log.tails_so_far(), READS_MAX, "the last room waits for its place");
    let second: Vec<(u64, Desk)> = ask_all().collect();
    // Each asks the log five seconds after it has asked.
    tokio::time::sleep(Duration::from_secs(8)).await; // pace: until the second ones ask the log, too
    assert_eq!(node.log.tails_so_far(), READS_MAX);
    node.log.reads.release();
    for (id, mut desk) in first.into_iter().chain(second) {
        desk.reply(id).await;
    }
    // Those that had begun were read once more; the one that had not was not.
    assert_eq!(node.log.tails_so_far(), 2 * READS_MAX + 1);
}
