//! Every command does on a server what [`RedisKeys`] says that it does.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use rollcall::cluster::redis::{RedisClient, RedisSettings};
use rollcall_actors::cluster::ownership::{NodeRecord, OwnerRecord, RedisAnswer, RedisCommand, RedisKeys};
use rollcall_actors::cluster::{Incarnation, NodeRef};
use rollcall_protocol::{Epoch, Seq};
use rollcall_redis_tests::{connected, node, room};
use rollcall_services::{Redis, unless_skipped};

/// Leases of the test do not end while it runs.
const TTL_MS: u64 = 600_000;

fn record(incarnation: u64) -> NodeRecord {
    NodeRecord { incarnation: Incarnation(incarnation), takes_rooms: true, connect: Some("wss://a".into()) }
}

fn owner(epoch: u64) -> Arc<str> {
    OwnerRecord { epoch: Epoch::new(epoch), owner: NodeRef::new(node("n1"), Incarnation(epoch)) }.text()
}

fn command() -> impl Strategy<Value = RedisCommand> {
    let name = || prop_oneof![Just(node("n1")), Just(node("n2"))];
    let of = || prop_oneof![Just(room("a")), Just(room("b.c:d"))];
    let text = || prop_oneof![Just(None), (1..4_u64).prop_map(|epoch| Some(owner(epoch)))];
    let number = || prop_oneof![0..10_u64, Just((1 << 53) - 1)];
    prop_oneof![
        (name(), 1..4_u64).prop_map(|(node, incarnation)| RedisCommand::RenewNode {
            node,
            record: record(incarnation),
            ttl_ms: TTL_MS
        }),
        (name(), 1..4_u64)
            .prop_map(|(node, incarnation)| RedisCommand::DeleteNode { node, incarnation: Incarnation(incarnation) }),
        name().prop_map(|node| RedisCommand::ReadNode { node }),
        name().prop_map(|node| RedisCommand::Enroll { node }),
        of().prop_map(|room| RedisCommand::ReadOwner { room }),
        (of(), text(), text()).prop_map(|(room, expected, new)| RedisCommand::SwapOwner { room, expected, new }),
        of().prop_map(|room| RedisCommand::DrawEpoch { room }),
        (of(), number()).prop_map(|(room, to)| RedisCommand::RaiseEpoch { room, to: Epoch::new(to) }),
        of().prop_map(|room| RedisCommand::ReadSeq { room }),
        (of(), number()).prop_map(|(room, to)| RedisCommand::RaiseSeq { room, to: Seq::new(to) }),
        (of(), number()).prop_map(|(room, to)| RedisCommand::CorrectSeq { room, to: Seq::new(to) }),
    ]
}

/// Leaves out what depends on the time.
fn timeless(answer: RedisAnswer) -> RedisAnswer {
    match answer {
        RedisAnswer::Renewal { held, held_ttl_ms, .. } => {
            let held_ttl_ms = if held_ttl_ms > TTL_MS / 2 { TTL_MS } else { held_ttl_ms };
            RedisAnswer::Renewal { held, held_ttl_ms, redis_ms: 0 }
        }
        RedisAnswer::Node(Some((text, ttl_ms))) if ttl_ms > TTL_MS / 2 => RedisAnswer::Node(Some((text, TTL_MS))),
        RedisAnswer::Roster(mut names) => {
            names.sort();
            RedisAnswer::Roster(names)
        }
        other => other,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_at_random_are_answered_as_the_keys_say() {
    let folder = tempfile::tempdir().unwrap();
    let Some(redis) = unless_skipped(Redis::start(folder.path())) else { return };
    let client = RedisClient::start(&RedisSettings::single(redis.url())).unwrap();
    connected(&client).await;
    let mut runner = TestRunner::default();
    for _ in 0..40 {
        redis.command(&["FLUSHALL"]).unwrap();
        let mut keys = RedisKeys::default();
        let commands = vec(command(), 1..80).new_tree(&mut runner).unwrap().current();
        for (at, command) in commands.iter().enumerate() {
            let expected = timeless(keys.run(1_790_000_000_000, command));
            let answer = timeless(client.run(command).await);
            assert_eq!(answer, expected, "{at} of {commands:#?}");
        }
    }
    assert!(client.commands().iter().sum::<u64>() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_ends_by_itself_and_tells_the_time() {
    let folder = tempfile::tempdir().unwrap();
    let Some(redis) = unless_skipped(Redis::start(folder.path())) else { return };
    let client = RedisClient::start(&RedisSettings::single(redis.url())).unwrap();
    connected(&client).await;
    let wall_ms = || i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let before = wall_ms();
    let renew = RedisCommand::RenewNode { node: node("n1"), record: record(1), ttl_ms: 300 };
    let RedisAnswer::Renewal { held: None, redis_ms, .. } = client.run(&renew).await else { panic!("it was free") };
    assert!((before - 1..=wall_ms() + 1).contains(&redis_ms));
    let read = RedisCommand::ReadNode { node: node("n1") };
    let RedisAnswer::Node(Some((text, ttl_ms))) = client.run(&read).await else { panic!("it lives") };
    assert_eq!(NodeRecord::parse(&text), Some(record(1)));
    assert!((1..=300).contains(&ttl_ms));
    let began = std::time::Instant::now();
    while client.run(&read).await != RedisAnswer::Node(None) {
        assert!(began.elapsed().as_secs() < 5, "the lease never ended");
    }
    assert!(began.elapsed().as_millis() >= 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_somebody_put_under_a_key_can_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let Some(redis) = unless_skipped(Redis::start(folder.path())) else { return };
    let client = RedisClient::start(&RedisSettings::single(redis.url())).unwrap();
    connected(&client).await;
    // Neither a text in UTF-8 nor a number.
    redis.command(&["EVAL", "return redis.call('SET', KEYS[1], '\\255\\254x')", "1", "room:{a}:owner"]).unwrap();
    redis.command(&["SET", "room:{a}:epoch", "garbage"]).unwrap();
    let RedisAnswer::Text(held @ Some(_)) = client.run(&RedisCommand::ReadOwner { room: room("a") }).await else {
        panic!("the key holds something")
    };
    let swap = RedisCommand::SwapOwner { room: room("a"), expected: held, new: Some(owner(3)) };
    assert_eq!(client.run(&swap).await, RedisAnswer::Swapped);
    assert!(matches!(client.run(&RedisCommand::DrawEpoch { room: room("a") }).await, RedisAnswer::Failed(_)));
    let raise = RedisCommand::RaiseEpoch { room: room("a"), to: Epoch::new(7) };
    assert_eq!(client.run(&raise).await, RedisAnswer::Done);
    assert_eq!(client.run(&RedisCommand::DrawEpoch { room: room("a") }).await, RedisAnswer::Number(8));
    // An error of the server's is none of the connection's.
    redis.command(&["LPUSH", "room:{b}:owner", "x"]).unwrap();
    assert!(matches!(client.run(&RedisCommand::ReadOwner { room: room("b") }).await, RedisAnswer::Failed(_)));
    assert_eq!(connected(&client).await, 1);
}
