//! A master that dies under three Sentinels.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rollcall::cluster::redis::{Inbound, RedisBus, RedisClient, RedisError, RedisServers, RedisSettings, RedisState};
use rollcall::config::Secret;
use rollcall_actors::cluster::ownership::{RedisAnswer, RedisCommand};
use rollcall_actors::ports::{Bus as _, InboundEvent};
use rollcall_proxy::Proxy;
use rollcall_redis_tests::{LIMIT, connected, connected_after, next, node, room, run_until_answered};
use rollcall_services::{Redis, RedisSentinel, Reply, unless_skipped};

fn settings(sentinel: &RedisSentinel, master: &str) -> RedisSettings {
    let sentinels = sentinel.sentinel_urls().into_iter().map(Secret::new).collect();
    let servers = RedisServers::Sentinel { sentinels, master: master.to_owned(), node: Secret::new("redis://any") };
    RedisSettings { servers, authorities: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_new_master_is_found_when_the_old_one_died() {
    let folder = tempfile::tempdir().unwrap();
    let Some(sentinel) = unless_skipped(RedisSentinel::start(folder.path())) else { return };
    let unknown = RedisClient::check(&settings(&sentinel, "another")).await.unwrap_err();
    assert_eq!(unknown, RedisError::NoMaster { name: "another".to_owned() });

    let settings = settings(&sentinel, sentinel.master_name());
    let client = RedisClient::start(&settings).unwrap();
    connected(&client).await;
    let mut inbound = Inbound::start(&settings, &node("n1")).unwrap();
    assert_eq!(next(&mut inbound).await, InboundEvent::Subscribed);
    let draw = RedisCommand::DrawEpoch { room: room("a") };
    assert_eq!(client.run(&draw).await, RedisAnswer::Number(1));

    // One Sentinel less does not matter.
    sentinel.sentinels()[0].kill();
    sentinel.servers()[0].kill();
    assert_eq!(next(&mut inbound).await, InboundEvent::Interrupted);
    let (answer, _) = run_until_answered(&client, &draw).await;
    assert!(matches!(answer, RedisAnswer::Number(1..)), "{answer:?}");
    let bus = RedisBus::new(client.clone());
    let began = Instant::now();
    loop {
        bus.send(&node("n1"), Bytes::from_static(b"after"));
        let waited = tokio::time::timeout(Duration::from_millis(500), inbound.next()).await;
        if waited == Ok(InboundEvent::Envelope(Bytes::from_static(b"after"))) {
            break;
        }
        assert!(began.elapsed() < LIMIT, "nothing comes after the fail-over");
    }
}

/// Whom the Sentinels have replaced and who does not know it, takes writes and subscriptions that nobody else sees.
#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_was_replaced_and_goes_on_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let Some(trio) = unless_skipped(RedisSentinel::start(folder.path())) else { return };
    let settings = settings(&trio, trio.master_name());
    let client = RedisClient::start(&settings).unwrap();
    connected(&client).await;
    let mut inbound = Inbound::start(&settings, &node("n1")).unwrap();
    assert_eq!(next(&mut inbound).await, InboundEvent::Subscribed);

    // The old master lives, and cannot be told.
    let (old, ok) = (&trio.servers()[0], Reply::Text("OK".to_owned()));
    assert_eq!(old.command(&["ACL", "SETUSER", "default", "-replicaof", "-slaveof"]).unwrap(), ok);
    assert_eq!(trio.sentinels()[0].command(&["SENTINEL", "FAILOVER", trio.master_name()]).unwrap(), ok);
    let new = &trio.servers()[trio.wait_until_replaced(0).unwrap()];
    let role = old.command(&["ROLE"]).unwrap();
    assert_eq!(role.as_list().first(), Some(&Reply::Text("master".to_owned())));

    assert_eq!(next(&mut inbound).await, InboundEvent::Interrupted);
    assert_eq!(next(&mut inbound).await, InboundEvent::Subscribed);
    connected_after(&client, 1).await;
    run_until_answered(&client, &RedisCommand::DrawEpoch { room: room("a") }).await;
    let drawn = |redis: &Redis| redis.command(&["EXISTS", "room:{a}:epoch"]).unwrap();
    assert_eq!((drawn(new), drawn(old)), (Reply::Integer(1), Reply::Integer(0)));
    let published = new.command(&["SPUBLISH", "rollcall:node:{n1}", "from the new one"]).unwrap();
    assert_eq!(published, Reply::Integer(1));
    assert_eq!(next(&mut inbound).await, InboundEvent::Envelope(Bytes::from_static(b"from the new one")));
}

/// One was cut off from the others long ago and names a master of then, who lives on and calls himself one: whatever is written there,
/// nobody else sees. It answers sooner than the others, and in the end alone.
#[tokio::test(flavor = "multi_thread")]
async fn one_sentinel_that_knows_no_better_ends_no_good_connection() {
    let folder = tempfile::tempdir().unwrap();
    let Some(trio) = unless_skipped(RedisSentinel::start(&folder.path().join("trio"))) else { return };
    let old = Redis::start(&folder.path().join("old")).unwrap();
    let stray = RedisSentinel::start_stray_sentinel(&folder.path().join("stray"), &old).unwrap();
    let ways: Vec<Proxy> = {
        let servers = std::iter::once(&stray).chain(trio.sentinels()).map(|sentinel| Proxy::start(sentinel.address()));
        futures_util::future::try_join_all(servers).await.unwrap()
    };
    ways[1..].iter().for_each(|way| way.delay(Duration::from_millis(100)));
    let sentinels = ways.iter().map(|way| Secret::new(format!("redis://{}", way.address()))).collect();
    let master = trio.master_name().to_owned();
    let servers = RedisServers::Sentinel { sentinels, master, node: Secret::new("redis://any") };
    let settings = RedisSettings { servers, authorities: None };

    let client = RedisClient::start(&settings).unwrap();
    let mut inbound = Inbound::start(&settings, &node("n1")).unwrap();
    let first = connected(&client).await;
    assert_eq!(next(&mut inbound).await, InboundEvent::Subscribed);
    let (draw, master) = (RedisCommand::DrawEpoch { room: room("a") }, &trio.servers()[0]);
    assert_eq!(client.run(&draw).await, RedisAnswer::Number(1));

    // With all of the others, with one of them, and alone.
    for left in [3, 1, 0] {
        trio.sentinels()[left..].iter().for_each(Redis::kill);
        // Both, who run commands and who is subscribed, have looked three times.
        let asked = ways[0].accepted_connections();
        let began = Instant::now();
        while ways[0].accepted_connections() < asked + 6 {
            assert!(began.elapsed() < LIMIT, "the Sentinels are not asked");
            tokio::time::sleep(Duration::from_millis(20)).await; // pace: they are asked every two seconds
        }
        let state = client.state().borrow().clone();
        assert!(matches!(state, RedisState::Connected { connection, .. } if connection == first), "{left}: {state:?}");
        let published = master.command(&["SPUBLISH", "rollcall:node:{n1}", "still here"]).unwrap();
        assert_eq!(published, Reply::Integer(1));
        assert_eq!(next(&mut inbound).await, InboundEvent::Envelope(Bytes::from_static(b"still here")), "{left}");
    }
    assert_eq!(client.run(&draw).await, RedisAnswer::Number(2));
    assert_eq!(old.command(&["DBSIZE"]).unwrap(), Reply::Integer(0));
}
