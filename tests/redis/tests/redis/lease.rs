//! Leases of nodes, by the machine that ships.

use std::time::{Duration, Instant, UNIX_EPOCH};

use rollcall::cluster::redis::{RedisClient, RedisSettings};
use rollcall_actors::cluster::ownership::node_key;
use rollcall_actors::cluster::{
    Incarnation, LEASE_MS, Lease, LeaseEffect, LeaseInput, NodeRef, Now, RENEW_EVERY_MS, Standing,
};
use rollcall_redis_tests::{LIMIT, connected, node};
use rollcall_services::{Redis, Reply, unless_skipped};

/// A lease with its clock and its Redis.
struct Node {
    lease: Lease,
    client: RedisClient,
    began: Instant,
    clock_ahead_ms: i64,
    seen: Vec<LeaseEffect>,
}

impl Node {
    fn new(incarnation: u64, client: &RedisClient) -> Self {
        let lease = Lease::new(NodeRef::new(node("n1"), Incarnation(incarnation)), None);
        Self { lease, client: client.clone(), began: Instant::now(), clock_ahead_ms: 0, seen: Vec::new() }
    }

    fn now(&self) -> Now {
        let since_1970 = UNIX_EPOCH.elapsed().expect("the clock is past 1970").as_millis();
        let wall_ms = i64::try_from(since_1970).expect("it is not that late") + self.clock_ahead_ms;
        let mono_ms = u64::try_from(self.began.elapsed().as_millis()).expect("the test does not take that long");
        Now { mono_ms, wall_ms }
    }

    /// Feeds an input, and the answers to what follows from it.
    async fn feed(&mut self, input: LeaseInput) {
        let mut effects = Vec::new();
        self.lease.handle(self.now(), input, &mut effects);
        while !effects.is_empty() {
            for effect in std::mem::take(&mut effects) {
                if let LeaseEffect::Run(command) = &effect {
                    let answer = self.client.run(command).await;
                    self.lease.handle(self.now(), LeaseInput::Answer(answer), &mut effects);
                }
                self.seen.push(effect);
            }
        }
    }

    /// Lives until something holds.
    async fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !holds(self) {
            assert!(began.elapsed() < LIMIT, "{what}: {:?}", self.seen);
            let wakes_at = Duration::from_millis(self.lease.wakes_at_ms().expect("it was not stopped"));
            tokio::time::sleep(wakes_at.saturating_sub(self.began.elapsed())).await; // pace: the machine's own timer
            self.feed(LeaseInput::Tick).await;
        }
    }

    async fn until_standing(&mut self, standing: Standing) {
        self.until(&format!("{standing:?}"), |node| node.lease.standing() == standing).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_has_one_node_and_is_free_when_that_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let Some(redis) = unless_skipped(Redis::start(folder.path())) else { return };
    let client = RedisClient::start(&RedisSettings::single(redis.url())).unwrap();
    connected(&client).await;
    let mut first = Node::new(1, &client);
    first.until_standing(Standing::Member).await;
    let mut second = Node::new(2, &client);
    let taken = Standing::NameTaken { by: Incarnation(1) };
    let live_on = async {
        loop {
            first.until("never", |_| false).await;
        }
    };
    tokio::select! {
        () = second.until_standing(taken) => {}
        () = live_on => {}
    }
    // The first is gone without a word.
    drop(first);
    let gone = Instant::now();
    let mut third = Node::new(3, &client);
    third.until_standing(Standing::Member).await;
    assert!(gone.elapsed() < Duration::from_millis(LEASE_MS + RENEW_EVERY_MS + 500), "{:?}", gone.elapsed());
    // The third goes in order.
    third.feed(LeaseInput::Stop).await;
    assert_eq!(third.seen.last(), Some(&LeaseEffect::Over));
    assert_eq!(redis.command(&["EXISTS", &node_key(&node("n1"))]).unwrap(), Reply::Integer(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_outlives_the_loss_of_its_redis() {
    let folder = tempfile::tempdir().unwrap();
    let Some(redis) = unless_skipped(Redis::start(folder.path())) else { return };
    let client = RedisClient::start(&RedisSettings::single(redis.url())).unwrap();
    connected(&client).await;
    let mut lease = Node::new(1, &client);
    lease.until_standing(Standing::Member).await;
    redis.command(&["FLUSHALL"]).unwrap();
    lease.until("emptied", |node| node.seen.contains(&LeaseEffect::Lost)).await;
    redis.kill();
    lease.until("away", |node| node.lease.is_away()).await;
    assert!(lease.lease.takes_rooms());
    redis.restart().unwrap();
    lease.seen.clear();
    lease.until("back", |node| node.seen.contains(&LeaseEffect::Returned)).await;
    assert!(lease.seen.contains(&LeaseEffect::Lost));
    assert!(matches!(redis.command(&["PTTL", &node_key(&node("n1"))]).unwrap(), Reply::Integer(1..)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_an_hour_off_takes_no_rooms() {
    let folder = tempfile::tempdir().unwrap();
    let Some(redis) = unless_skipped(Redis::start(folder.path())) else { return };
    let client = RedisClient::start(&RedisSettings::single(redis.url())).unwrap();
    connected(&client).await;
    let mut lease = Node::new(1, &client);
    lease.clock_ahead_ms = 3_600_000;
    lease.until("wrong", |node| matches!(node.lease.standing(), Standing::ClockWrong { .. })).await;
    assert!(!lease.lease.takes_rooms());
    lease.clock_ahead_ms = 0;
    lease.until_standing(Standing::Member).await;
}
