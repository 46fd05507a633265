//! What says who owns what goes back to what it held, or answers late: rooms go on, and nobody numbers what another has numbered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rollcall_actors::cluster::ownership::{RedisAnswer, RedisCommand};
use rollcall_actors::ports::{Ownership, PortFuture};
use rollcall_it::machine::eventually;
use rollcall_it::together::Together;
use rollcall_protocol::{Ack, Epoch, Seq};
use tokio::sync::watch;

use super::cluster::{by_role, join_cuttable, owns};
use super::desk::{Desk, ack};
use super::node::{NOON_MS, Node, ROOMY, in_time, room};
use super::reader::Reader;

/// As the adapter for Redis does, a node takes an answer that is later than this for none.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// Redis, as a node sees it to which it is slow: what was given up is carried out all the same, late.
struct Slow {
    ownership: Arc<dyn Ownership>,
    takes: watch::Receiver<Duration>,
}

impl Ownership for Slow {
    fn run<'a>(&'a self, command: &'a RedisCommand) -> PortFuture<'a, RedisAnswer> {
        let (ownership, command, takes) = (Arc::clone(&self.ownership), command.clone(), *self.takes.borrow());
        Box::pin(async move {
            let answer = tokio::spawn(async move {
                tokio::time::sleep(takes).await; // pace: a slow Redis
                ownership.run(&command).await
            });
            match tokio::time::timeout(ANSWER_LIMIT, answer).await {
                Ok(answer) => answer.unwrap(),
                Err(_) => RedisAnswer::Failed("it takes too long".to_owned()),
            }
        })
    }
}

/// Joins a node to which Redis answers after as long as is said.
async fn join_slowly(together: &Together, name: &str) -> (Node, watch::Sender<Duration>) {
    let (takes, is_taking) = watch::channel(Duration::ZERO);
    let ownership = Arc::new(Slow { ownership: Arc::new(together.ownership.clone()), takes: is_taking });
    (Node::join_with(together, name, ROOMY, ownership).await, takes)
}

/// How often a node has lost a room that it did not give up.
fn lost(node: &Node) -> u64 {
    let stats = node.directory.cluster().unwrap().stats();
    stats.rooms_fenced.get() + stats.rooms_yielded.get() + stats.rooms_lost.get()
}

#[tokio::test]
async fn nobody_forks_a_room_where_redis_goes_back_to_an_earlier_owner() {
    let together = Together::at(NOON_MS);
    let (old, cut) = join_cuttable(&together, "old", ROOMY).await;
    let mut ann = Desk::at(&old, "general", "ann");
    ann.persist(1, "first").await;
    assert!(owns(&old, "general").await);
    let new = Node::join(&together, "new", ROOMY).await;
    let mut reader = Reader::join(&new, "general", 0).await;
    reader.read_to(2).await;

    let before_the_take_over = together.ownership.saved();
    cut.send_replace(true);
    let mut bob = Desk::at(&new, "general", "bob");
    let bobs = in_time(async {
        let mut n = 0;
        while !owns(&new, "general").await {
            n += 1;
            bob.persist(n, "until the old owner's lease has ended").await;
            tokio::time::sleep(Duration::from_millis(100)).await; // pace: a lease takes seconds to end
        }
        n
    })
    .await;
    let begun = new.history_head(&room("general")).await;
    assert_eq!(bob.persist(bobs + 1, "by the new owner").await, ack(begun + 1));
    let taken_over = new.history(&room("general")).await.last().unwrap().epoch;
    assert!(taken_over > Epoch::new(1));
    // Redis says again that the old node owns the room, and that one epoch was drawn; and the old node hears it.
    together.ownership.rewind(before_the_take_over);
    cut.send_replace(false);
    for n in 2..=10 {
        ann.persist(n, "by the old owner's clients").await;
        bob.persist(bobs + n, "by the new owner's").await;
    }
    let head = begun + 1 + 18;
    reader.read_to(head).await;
    assert_eq!(reader.seen, old.history(&room("general")).await);

    // The next ownership is above all that the log has seen, whatever Redis counts.
    let (owner, other) = by_role(&old, &new, "general").await;
    drop(reader);
    let before = owner.history(&room("general")).await.last().unwrap().epoch;
    in_time(owner.directory.drain()).await;
    let mut eve = Desk::at(other, "general", "eve");
    assert_eq!(eve.persist(1, "by the next").await, ack(head + 1));
    let entries = other.history(&room("general")).await;
    assert!(entries.last().unwrap().epoch > before && before >= taken_over);
    for pair in entries.windows(2) {
        let [one, next] = [&pair[0], &pair[1]];
        assert!(one.epoch < next.epoch || (one.epoch, one.owner) == (next.epoch, next.owner), "{pair:?}");
    }
}

#[tokio::test]
async fn a_redis_that_is_slow_costs_no_room_its_owner_as_long_as_renewals_come_in_time() {
    let together = Together::at(NOON_MS);
    let (a, slow_a) = join_slowly(&together, "a").await;
    let (b, slow_b) = join_slowly(&together, "b").await;
    let mut ann = Desk::at(&a, "general", "ann");
    ann.persist(1, "1").await;
    let mut reader = Reader::join(&b, "general", 0).await;
    let owns_a = owns(&a, "general").await;
    let activations = a.log.activations_so_far() + b.log.activations_so_far();
    for slow in [&slow_a, &slow_b] {
        slow.send_replace(Duration::from_millis(700));
    }
    let began = Instant::now();
    let mut n = 1;
    // Longer than a lease lives.
    while began.elapsed() < Duration::from_secs(6) {
        n += 1;
        let id = ann.send(n, "on");
        assert_eq!(ann.outcome(id).await, Ok(ack(n + 1)), "no write waits for Redis");
        tokio::time::sleep(Duration::from_millis(100)).await; // pace: some writes in each second
    }
    assert_eq!(owns(&a, "general").await, owns_a);
    assert_eq!((lost(&a), lost(&b)), (0, 0));
    assert_eq!(a.log.activations_so_far() + b.log.activations_so_far(), activations);
    reader.read_to(n + 1).await;
    assert_eq!(reader.seen, a.history(&room("general")).await);
}

/// Where nobody hears from Redis in time nobody is given the room either: its owner goes on, by the log, which it reads each second.
#[tokio::test]
async fn an_owner_goes_on_by_the_log_where_redis_is_too_slow_for_everybody() {
    let together = Together::at(NOON_MS);
    let (a, slow_a) = join_slowly(&together, "a").await;
    let mut ann = Desk::at(&a, "general", "ann");
    ann.persist(1, "1").await;
    let mut reader = Reader::join(&a, "general", 0).await;
    let (b, slow_b) = join_slowly(&together, "b").await;
    for slow in [&slow_a, &slow_b] {
        slow.send_replace(Duration::from_secs(3_600));
    }
    let mut bob = Desk::at(&b, "general", "bob");
    let from_afar = bob.ask_view();
    let (began, mut n) = (Instant::now(), 1);
    while began.elapsed() < Duration::from_secs(6) {
        n += 1;
        let id = ann.send(n, "on");
        assert_eq!(ann.outcome(id).await, Ok(ack(n + 1)));
        tokio::time::sleep(Duration::from_millis(100)).await; // pace: some writes in each second
    }
    bob.reply(from_afar).await;
    assert_eq!((lost(&a), a.log.activations_so_far(), b.log.activations_so_far()), (0, 1, 0));
    assert!(a.log.tails_so_far() >= 2, "it reads its fence, since it may be none: {}", a.log.tails_so_far());
    reader.read_to(n + 1).await;
    assert_eq!(reader.seen, a.history(&room("general")).await);
}

/// One whose renewals come too late is replaced, and what it takes then is refused by the log.
#[tokio::test]
async fn an_owner_to_whom_redis_is_too_slow_is_replaced_and_acknowledges_nothing_more() {
    let together = Together::at(NOON_MS);
    let (old, takes) = join_slowly(&together, "old").await;
    let mut ann = Desk::at(&old, "general", "ann");
    ann.persist(1, "first").await;
    let mut behind = Reader::join(&old, "general", 0).await;
    behind.read_to(2).await;
    let new = Node::join(&together, "new", ROOMY).await;
    // The bus goes through Redis, too.
    together.cut_off("old");
    takes.send_replace(Duration::from_secs(30));
    let mut bob = Desk::at(&new, "general", "bob");
    assert_eq!(bob.persist(1, "by the new owner").await, ack(3));
    assert!(owns(&new, "general").await);
    let id = ann.send(2, "too late");
    let outcome = ann.outcome(id).await;
    assert!(
        outcome.as_ref().is_ok_and(|ack| ack.seq > Seq::new(3)) || outcome.as_ref().is_err_and(|error| error.retryable),
        "{outcome:?}"
    );
    eventually("it has learnt that it is not the owner", async || (lost(&old) == 1).then_some(())).await;
    // Its readers are given what the new owner numbers, from the log.
    behind.read_to(3).await;
    let mut ann = Desk::at(&new, "general", "ann");
    let stored = ann.persist(2, "too late").await;
    assert_eq!(stored.duplicate, outcome.is_ok());
    if let Ok(Ack { seq, .. }) = outcome {
        assert_eq!(stored.seq, seq);
    }
    let entries = new.history(&room("general")).await;
    behind.read_to(entries.len() as u64).await;
    assert_eq!(behind.seen, entries);
}
