//! What `rollcall doctor` finds at real servers, good ones and others.

use rollcall::cluster::redis::{RedisServers, RedisSettings, examine};
use rollcall::config::Secret;
use rollcall::doctor::{Finding, Status};
use rollcall_proxy::Proxy;
use rollcall_services::{Redis, RedisCluster, RedisSentinel, Reply, unless_skipped};

/// Asserts that everything that can be looked at is well.
fn assert_well(findings: &[Finding]) {
    let checks: Vec<&str> = findings.iter().map(|finding| finding.check).collect();
    let all = ["reachable", "version", "role", "memory", "clock", "permissions", "channels"];
    assert_eq!(checks, all.map(|name| format!("redis.{name}")));
    assert!(findings.iter().all(|finding| finding.status == Status::Ok), "{findings:#?}");
}

fn failed<'a>(findings: &'a [Finding], check: &str) -> &'a Finding {
    let found = findings.iter().find(|finding| finding.check == check && finding.status == Status::Fail);
    found.unwrap_or_else(|| panic!("{check} has not failed: {findings:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_redis_is_well_and_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let Some(redis) = unless_skipped(Redis::start(folder.path())) else { return };
    assert_well(&examine(&RedisSettings::single(redis.url())).await);
    assert_eq!(redis.command(&["DBSIZE"]).unwrap(), Reply::Integer(0));
    redis.command(&["CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "volatile-lru"]).unwrap();
    let findings = examine(&RedisSettings::single(redis.url())).await;
    assert!(findings.iter().any(|it| it.check == "redis.memory" && it.status == Status::Warn), "{findings:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_and_a_trio_under_sentinels_are_well_too() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(cluster) = unless_skipped(RedisCluster::start(one.path())) else { return };
    let urls = cluster.nodes().iter().map(|node| Secret::new(node.url())).collect();
    assert_well(&examine(&RedisSettings { servers: RedisServers::Cluster(urls), authorities: None }).await);

    let Some(trio) = unless_skipped(RedisSentinel::start(other.path())) else { return };
    let sentinels = trio.sentinel_urls().into_iter().map(Secret::new).collect();
    let master = trio.master_name().to_owned();
    let servers = RedisServers::Sentinel { sentinels, master, node: Secret::new("redis://any") };
    assert_well(&examine(&RedisSettings { servers, authorities: None }).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_and_nobody_at_all_are_failures() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(master) = unless_skipped(Redis::start(folder.path())) else { return };
    let Some(replica) = unless_skipped(Redis::start(other.path())) else { return };
    replica.command(&["REPLICAOF", "127.0.0.1", &master.address().port().to_string()]).unwrap();
    let findings = examine(&RedisSettings::single(replica.url())).await;
    let advice = failed(&findings, "redis.role").advice.as_deref().unwrap();
    assert!(advice.contains("the master"), "{advice}");
    let url = master.url();
    master.kill();
    failed(&examine(&RedisSettings::single(url)).await, "redis.reachable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_an_hour_off_and_a_version_that_is_too_old_are_failures() {
    let folder = tempfile::tempdir().unwrap();
    let Some(redis) = unless_skipped(Redis::start(folder.path())) else { return };
    let way = Proxy::start_redis(redis.address()).await.unwrap();
    let settings = RedisSettings::single(format!("redis://{}", way.address()));
    for (by_s, direction) in [(3_600, "ahead of"), (-3_600, "behind")] {
        way.shift_time(by_s);
        let findings = examine(&settings).await;
        let found = failed(&findings, "redis.clock");
        assert!(found.text.ends_with(&format!("s {direction} this machine's")), "{found:?}");
        assert!(found.advice.as_deref().unwrap().contains("NTP"), "{found:?}");
        let all_else = || findings.iter().filter(|finding| finding.check != "redis.clock");
        assert!(all_else().count() == 6 && all_else().all(|finding| finding.status == Status::Ok), "{findings:#?}");
    }
    way.shift_time(0);
    assert_well(&examine(&settings).await);

    way.show_major_version(6);
    let findings = examine(&settings).await;
    let found = failed(&findings, "redis.version");
    assert!(found.text.contains("Redis 6.") && found.text.contains("too old"), "{found:?}");
    let advice = found.advice.as_deref().unwrap();
    assert!(advice.contains("upgrade Redis to 7"), "{advice}");
    assert_eq!(findings.len(), 1, "nothing else is asked of it: {findings:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_needs_all_rights_and_is_told_which() {
    let folder = tempfile::tempdir().unwrap();
    let Some(redis) = unless_skipped(Redis::start(folder.path())) else { return };
    let url = redis.url().replace("redis://", "redis://node:canary@");
    let grant = |rights: &[&str]| {
        let reset = ["ACL", "SETUSER", "node", "reset", "on", ">canary"];
        assert_eq!(redis.command(&[&reset[..], rights].concat()).unwrap(), Reply::Text("OK".to_owned()));
    };
    let keys = ["~room:*", "~node:*", "~rollcall:*"];
    let channels = ["&rollcall:node:*"];
    let commands = ["+@read", "+@write", "+@pubsub", "+@scripting", "+@connection", "+info", "+time"];

    // What the advice says is enough, and no part of it is too much.
    grant(&[&keys[..], &channels, &commands].concat());
    assert_well(&examine(&RedisSettings::single(&url)).await);
    for (check, rights) in [
        ("redis.channels", [&keys[..], &commands].concat()),
        ("redis.permissions", [&keys[1..], &channels, &commands].concat()),
        ("redis.permissions", [&["~room:*", "~rollcall:*"][..], &channels, &commands].concat()),
        ("redis.permissions", [&["~room:*", "~node:*"][..], &channels, &commands].concat()),
        ("redis.permissions", [&keys[..], &channels, &commands, &["-incr"]].concat()),
        ("redis.permissions", [&keys[..], &channels, &commands, &["-eval"]].concat()),
        ("redis.channels", [&keys[..], &channels, &commands, &["-ssubscribe"]].concat()),
        ("redis.channels", [&keys[..], &channels, &commands, &["-spublish"]].concat()),
    ] {
        grant(&rights);
        let findings = examine(&RedisSettings::single(&url)).await;
        let advice = failed(&findings, check).advice.as_deref().unwrap();
        assert!(advice.contains("~room:*"), "{rights:?}: {findings:#?}");
        assert!(!format!("{findings:?}").contains("canary"));
    }
    let wrong = redis.url().replace("redis://", "redis://node:wrong@");
    failed(&examine(&RedisSettings::single(wrong)).await, "redis.reachable");
}
