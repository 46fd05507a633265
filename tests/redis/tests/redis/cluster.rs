//! Three masters with their replicas, of which one dies.

use std::time::Instant;

use bytes::Bytes;
use rollcall::cluster::redis::{Inbound, RedisBus, RedisClient, RedisServers, RedisSettings};
use rollcall::config::Secret;
use rollcall_actors::cluster::ownership::{RedisAnswer, RedisCommand};
use rollcall_actors::ports::{Bus as _, InboundEvent};
use rollcall_redis_tests::{LIMIT, connected, next, node, room, run_until_answered};
use rollcall_services::{RedisCluster, unless_skipped};

fn settings(cluster: &RedisCluster) -> RedisSettings {
    let servers = RedisServers::Cluster(cluster.urls().into_iter().map(Secret::new).collect());
    RedisSettings { servers, authorities: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_channels_are_found_wherever_they_are_and_after_a_master_died() {
    let folder = tempfile::tempdir().unwrap();
    let Some(cluster) = unless_skipped(RedisCluster::start(folder.path())) else { return };
    let settings = settings(&cluster);
    let client = RedisClient::start(&settings).unwrap();
    connected(&client).await;
    let rooms: Vec<_> = (0..30).map(|number| room(&format!("room-{number}"))).collect();
    for room in &rooms {
        let answer = client.run(&RedisCommand::DrawEpoch { room: room.clone() }).await;
        assert_eq!(answer, RedisAnswer::Number(1));
        let swap = RedisCommand::SwapOwner { room: room.clone(), expected: None, new: Some("1 n1 x".into()) };
        assert_eq!(client.run(&swap).await, RedisAnswer::Swapped);
    }
    // One node's channel on each master.
    let mut names: Vec<Option<String>> = vec![None; 3];
    for number in 0.. {
        let name = format!("n{number}");
        let master = cluster.master_of(&format!("rollcall:node:{{{name}}}")).unwrap();
        names[master].get_or_insert(name);
        if names.iter().all(Option::is_some) {
            break;
        }
    }
    let names: Vec<String> = names.into_iter().flatten().collect();
    let bus = RedisBus::new(client.clone());
    let mut inbound = Vec::new();
    for name in &names {
        let mut channel = Inbound::start(&settings, &node(name)).unwrap();
        assert_eq!(next(&mut channel).await, InboundEvent::Subscribed);
        bus.send(&node(name), Bytes::from_static(b"before"));
        assert_eq!(next(&mut channel).await, InboundEvent::Envelope(Bytes::from_static(b"before")));
        inbound.push(channel);
    }

    let died = 1;
    cluster.nodes()[died].kill();
    let began = Instant::now();
    for room in &rooms {
        let (answer, _) = run_until_answered(&client, &RedisCommand::DrawEpoch { room: room.clone() }).await;
        // What the replica had not got yet is lost with its master; a command that failed may have been carried out.
        assert!(matches!(answer, RedisAnswer::Number(1..)), "{answer:?}");
    }
    assert!(began.elapsed() < LIMIT);
    for (name, channel) in names.iter().zip(&mut inbound) {
        // Sent until it comes: what is sent meanwhile may be lost.
        let began = Instant::now();
        let mut is_subscribed = true;
        loop {
            bus.send(&node(name), Bytes::from_static(b"after"));
            let waited = tokio::time::timeout(std::time::Duration::from_millis(500), channel.next()).await;
            match waited {
                Ok(InboundEvent::Envelope(envelope)) => {
                    assert!(is_subscribed);
                    assert_eq!(envelope, "after");
                    break;
                }
                // Of a channel that was at the dead master; its replica serves channels, too, and goes on with those it has.
                Ok(event) => {
                    is_subscribed = !is_subscribed;
                    let expected = if is_subscribed { InboundEvent::Subscribed } else { InboundEvent::Interrupted };
                    assert_eq!(event, expected);
                }
                Err(_) => assert!(began.elapsed() < LIMIT, "nothing comes to {name}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_cluster_is_no_single_server() {
    let folder = tempfile::tempdir().unwrap();
    let Some(cluster) = unless_skipped(RedisCluster::start(folder.path())) else { return };
    let error = RedisClient::check(&RedisSettings::single(cluster.urls()[0].clone())).await.unwrap_err();
    assert_eq!(error, rollcall::cluster::redis::RedisError::Mode { is_cluster: true });
}
