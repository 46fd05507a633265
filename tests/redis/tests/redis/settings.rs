//! Servers that cannot be used, and secrets that are not told.

use rollcall::cluster::redis::{RedisClient, RedisError, RedisServers, RedisSettings, RedisState};
use rollcall::config::Secret;
use rollcall_redis_tests::{LIMIT, connected};
use rollcall_services::{Redis, unless_skipped};

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_needed_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let Some(redis) = unless_skipped(Redis::start(folder.path())) else { return };
    redis.command(&["CONFIG", "SET", "requirepass", "right-canary"]).unwrap();
    let url = |credentials: &str| redis.url().replace("redis://", &format!("redis://{credentials}"));
    for (credentials, shown) in [("", RedisError::Credentials), (":wrong-canary@", RedisError::Credentials)] {
        let settings = RedisSettings::single(url(credentials));
        let error = RedisClient::check(&settings).await.unwrap_err();
        assert_eq!(error, shown);
        let client = RedisClient::start(&settings).unwrap();
        let away = |state: &RedisState| matches!(state, RedisState::Away(Some(_)));
        let state = tokio::time::timeout(LIMIT, client.state().wait_for(away)).await.unwrap().unwrap().clone();
        assert!(!format!("{settings:?} {error} {error:?} {state:?} {client:?}").contains("canary"));
    }
    let settings = RedisSettings::single(url(":right-canary@"));
    assert_eq!(RedisClient::check(&settings).await.as_deref(), Ok(redis.version()));
    let client = RedisClient::start(&settings).unwrap();
    connected(&client).await;
    assert!(!format!("{settings:?} {client:?}").contains("canary"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_and_a_server_of_another_kind_are_refused() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(master) = unless_skipped(Redis::start(folder.path())) else { return };
    let Some(replica) = unless_skipped(Redis::start(other.path())) else { return };
    let port = master.address().port().to_string();
    replica.command(&["REPLICAOF", "127.0.0.1", &port]).unwrap();
    let error = RedisClient::check(&RedisSettings::single(replica.url())).await.unwrap_err();
    assert_eq!(error, RedisError::Replica);
    let servers = RedisServers::Cluster(vec![Secret::new(master.url())]);
    let error = RedisClient::check(&RedisSettings { servers, authorities: None }).await.unwrap_err();
    assert_eq!(error, RedisError::Mode { is_cluster: false });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_becomes_a_replica_is_left() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(master) = unless_skipped(Redis::start(folder.path())) else { return };
    let Some(server) = unless_skipped(Redis::start(other.path())) else { return };
    let client = RedisClient::start(&RedisSettings::single(server.url())).unwrap();
    connected(&client).await;
    server.command(&["REPLICAOF", "127.0.0.1", &master.address().port().to_string()]).unwrap();
    let draw = rollcall_actors::cluster::ownership::RedisCommand::DrawEpoch { room: rollcall_redis_tests::room("a") };
    let _ = client.run(&draw).await;
    let is_replica = |state: &RedisState| *state == RedisState::Away(Some(RedisError::Replica));
    tokio::time::timeout(LIMIT, client.state().wait_for(is_replica)).await.unwrap().unwrap();
}
