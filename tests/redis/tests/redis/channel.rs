//! Envelopes from node to node.

use bytes::Bytes;
use rollcall::cluster::redis::{Inbound, RedisBus, RedisClient, RedisSettings};
use rollcall_actors::ports::{Bus as _, InboundEvent};
use rollcall_redis_tests::{connected, next, node};
use rollcall_services::{Redis, unless_skipped};

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_sends_to_another_comes_in_order_and_to_nobody_else() {
    const ENVELOPES: u32 = 3_000;
    let folder = tempfile::tempdir().unwrap();
    let Some(redis) = unless_skipped(Redis::start(folder.path())) else { return };
    let settings = RedisSettings::single(redis.url());
    let client = RedisClient::start(&settings).unwrap();
    connected(&client).await;
    let bus = RedisBus::new(client.clone());
    let mut first = Inbound::start(&settings, &node("n1")).unwrap();
    let mut second = Inbound::start(&settings, &node("n2")).unwrap();
    assert_eq!(next(&mut first).await, InboundEvent::Subscribed);
    assert_eq!(next(&mut second).await, InboundEvent::Subscribed);
    for number in 0..ENVELOPES {
        bus.send(&node("n1"), Bytes::copy_from_slice(&number.to_be_bytes()));
        if number % 100 == 0 {
            bus.send(&node("n2"), Bytes::from_static(b"for n2"));
        }
    }
    for number in 0..ENVELOPES {
        let expected = Bytes::copy_from_slice(&number.to_be_bytes());
        assert_eq!(next(&mut first).await, InboundEvent::Envelope(expected));
    }
    for _ in 0..ENVELOPES / 100 {
        assert_eq!(next(&mut second).await, InboundEvent::Envelope(Bytes::from_static(b"for n2")));
    }
    assert_eq!((bus.losses(), client.published()), (0, u64::from(ENVELOPES + ENVELOPES / 100)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_envelopes_come_whole() {
    let folder = tempfile::tempdir().unwrap();
    let Some(redis) = unless_skipped(Redis::start(folder.path())) else { return };
    let settings = RedisSettings::single(redis.url());
    let client = RedisClient::start(&settings).unwrap();
    connected(&client).await;
    let bus = RedisBus::new(client);
    let mut inbound = Inbound::start(&settings, &node("n1")).unwrap();
    assert_eq!(next(&mut inbound).await, InboundEvent::Subscribed);
    let largest = Bytes::from(vec![7; rollcall_actors::cluster::ENVELOPE_BYTES_MAX]);
    for _ in 0..5 {
        bus.send(&node("n1"), largest.clone());
        assert_eq!(next(&mut inbound).await, InboundEvent::Envelope(largest.clone()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_published_is_counted_as_lost() {
    let folder = tempfile::tempdir().unwrap();
    let Some(redis) = unless_skipped(Redis::start(folder.path())) else { return };
    let client = RedisClient::start(&RedisSettings::single(redis.url())).unwrap();
    connected(&client).await;
    redis.kill();
    let bus = RedisBus::new(client);
    bus.send(&node("n1"), Bytes::from_static(b"lost"));
    let began = std::time::Instant::now();
    while bus.losses() == 0 {
        assert!(began.elapsed() < rollcall_redis_tests::LIMIT, "the loss was not counted");
        tokio::task::yield_now().await;
    }
    assert_eq!(bus.losses(), 1);
}
