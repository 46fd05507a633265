//! A server that is killed, emptied and stopped.

use std::time::{Duration, Instant};

use rollcall::cluster::redis::{Inbound, RedisBus, RedisClient, RedisSettings, RedisState};
use rollcall_actors::cluster::ownership::{RedisAnswer, RedisCommand};
use rollcall_actors::ports::{Bus as _, InboundEvent};
use rollcall_protocol::Epoch;
use rollcall_redis_tests::{LIMIT, connected, connected_after, next, node, room, run_until_answered};
use rollcall_services::{Redis, unless_skipped};

fn draw() -> RedisCommand {
    RedisCommand::DrawEpoch { room: room("a") }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_comes_back_empty_and_is_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let Some(redis) = unless_skipped(Redis::start(folder.path())) else { return };
    let settings = RedisSettings::single(redis.url());
    let client = RedisClient::start(&settings).unwrap();
    let mut inbound = Inbound::start(&settings, &node("n1")).unwrap();
    let first = connected(&client).await;
    assert_eq!(next(&mut inbound).await, InboundEvent::Subscribed);
    assert_eq!(client.run(&RedisCommand::RaiseEpoch { room: room("a"), to: Epoch::new(41) }).await, RedisAnswer::Done);
    assert_eq!(client.run(&draw()).await, RedisAnswer::Number(42));

    redis.kill();
    assert_eq!(next(&mut inbound).await, InboundEvent::Interrupted);
    let began = Instant::now();
    assert!(matches!(client.run(&draw()).await, RedisAnswer::Failed(_)));
    assert!(began.elapsed() < Duration::from_secs(1));
    let mut state = client.state();
    let away = |state: &RedisState| matches!(state, RedisState::Away(Some(_)));
    tokio::time::timeout(LIMIT, state.wait_for(away)).await.unwrap().unwrap();

    redis.restart().unwrap();
    let back = Instant::now();
    assert!(connected_after(&client, first).await > first);
    assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
    assert_eq!(client.run(&draw()).await, RedisAnswer::Number(1));
    assert_eq!(next(&mut inbound).await, InboundEvent::Subscribed);
    assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
    RedisBus::new(client).send(&node("n1"), "hello".into());
    assert_eq!(next(&mut inbound).await, InboundEvent::Envelope("hello".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_emptied_keeps_its_connections() {
    let folder = tempfile::tempdir().unwrap();
    let Some(redis) = unless_skipped(Redis::start(folder.path())) else { return };
    let settings = RedisSettings::single(redis.url());
    let client = RedisClient::start(&settings).unwrap();
    let mut inbound = Inbound::start(&settings, &node("n1")).unwrap();
    connected(&client).await;
    assert_eq!(next(&mut inbound).await, InboundEvent::Subscribed);
    assert_eq!(client.run(&draw()).await, RedisAnswer::Number(1));
    redis.command(&["FLUSHALL"]).unwrap();
    assert_eq!(client.run(&draw()).await, RedisAnswer::Number(1));
    RedisBus::new(client.clone()).send(&node("n1"), "hello".into());
    assert_eq!(next(&mut inbound).await, InboundEvent::Envelope("hello".into()));
    assert_eq!(connected(&client).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_is_noticed_and_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let Some(redis) = unless_skipped(Redis::start(folder.path())) else { return };
    let settings = RedisSettings::single(redis.url());
    let client = RedisClient::start(&settings).unwrap();
    let mut inbound = Inbound::start(&settings, &node("n1")).unwrap();
    connected(&client).await;
    assert_eq!(next(&mut inbound).await, InboundEvent::Subscribed);

    redis.stop().unwrap();
    let stopped = Instant::now();
    assert!(matches!(client.run(&draw()).await, RedisAnswer::Failed(_)));
    assert!(stopped.elapsed() < Duration::from_millis(1_500), "{:?}", stopped.elapsed());
    assert_eq!(next(&mut inbound).await, InboundEvent::Interrupted);
    assert!(stopped.elapsed() < Duration::from_millis(2_500), "{:?}", stopped.elapsed());
    let rest = Duration::from_secs(5).saturating_sub(stopped.elapsed());
    tokio::time::sleep(rest).await; // pace: five seconds in all are to be endured

    redis.cont().unwrap();
    let (_, took) = run_until_answered(&client, &draw()).await;
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(next(&mut inbound).await, InboundEvent::Subscribed);
    RedisBus::new(client).send(&node("n1"), "hello".into());
    assert_eq!(next(&mut inbound).await, InboundEvent::Envelope("hello".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_the_server_ends_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let Some(redis) = unless_skipped(Redis::start(folder.path())) else { return };
    let settings = RedisSettings::single(redis.url());
    let mut inbound = Inbound::start(&settings, &node("n1")).unwrap();
    for _ in 0..5 {
        assert_eq!(next(&mut inbound).await, InboundEvent::Subscribed);
        redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).unwrap();
        assert_eq!(next(&mut inbound).await, InboundEvent::Interrupted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_yet_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let Some(redis) = unless_skipped(Redis::start(folder.path())) else { return };
    redis.kill();
    let settings = RedisSettings::single(redis.url());
    let client = RedisClient::start(&settings).unwrap();
    let mut inbound = Inbound::start(&settings, &node("n1")).unwrap();
    let away = |state: &RedisState| matches!(state, RedisState::Away(Some(_)));
    tokio::time::timeout(LIMIT, client.state().wait_for(away)).await.unwrap().unwrap();
    redis.restart().unwrap();
    connected(&client).await;
    assert_eq!(next(&mut inbound).await, InboundEvent::Subscribed);
}
