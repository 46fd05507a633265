//! Redis for real: alone, as a cluster, under Sentinel; started, killed, stopped, started again, and gone at the end.

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rollcall_services::{ProcessId, Redis, RedisCluster, RedisSentinel, Reply, unless_skipped};
use support::{assert_no_process_in, processes_in};

/// Waits until `look` gives something.
///
/// # Panics
/// After 30 seconds, with what it waited for.
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited 30 s in vain until {what}");
        thread::sleep(Duration::from_millis(10)); // pace: between looks
    }
}

fn text(text: &str) -> Reply {
    Reply::Text(text.to_owned())
}

#[test]
fn redis_forgets_when_killed_and_remembers_when_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let Some(redis) = unless_skipped(Redis::start(folder.path())) else { return };
    assert_eq!(redis.url(), format!("redis://127.0.0.1:{}", redis.address().port()));
    assert!(redis.version().split('.').next().unwrap().parse::<u32>().unwrap() >= 7, "{}", redis.version());
    assert_eq!(redis.command(&["SET", "key", "value"]).unwrap(), text("OK"));

    redis.stop().unwrap();
    assert!(!redis.is_running());
    let silent = redis.command(&["GET", "key"]).unwrap_err().to_string();
    assert!(silent.contains("Resource temporarily unavailable"), "{silent}");
    redis.cont().unwrap();
    assert_eq!(redis.command(&["GET", "key"]).unwrap(), text("value"));

    redis.kill();
    assert_no_process_in(folder.path());
    assert!(redis.command(&["PING"]).unwrap_err().to_string().contains("refused"));
    assert!(redis.stop().is_err(), "who does not run cannot be stopped");
    let url = redis.url();
    redis.restart().unwrap();
    assert_eq!(redis.url(), url);
    assert_eq!(redis.command(&["GET", "key"]).unwrap(), Reply::Nil);

    assert_eq!(processes_in(folder.path()).len(), 2, "the server and its guard");
    drop(redis);
    assert_no_process_in(folder.path());
}

#[test]
fn redis_dies_with_the_process_that_started_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut holder = Command::new(env!("CARGO_BIN_EXE_hold-redis"))
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let was_alive = serde_json::from_str(&line).ok().map(ProcessId::is_alive);
    holder.kill().unwrap();
    holder.wait().unwrap();
    if line.is_empty() {
        return assert!(unless_skipped(Redis::start(folder.path())).is_none(), "the holder can start what we can");
    }
    assert_eq!(was_alive, Some(true));
    eventually("the guard has ended the server", || processes_in(folder.path()).is_empty().then_some(()));
}

#[test]
fn redis_cluster_replaces_a_master_that_dies_and_takes_it_back_as_a_replica() {
    let folder = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let Some(cluster) = unless_skipped(RedisCluster::start(folder.path())) else { return };
    println!("a cluster of six: {:.1?}", start.elapsed());
    for (key, master) in [("bar", 0), ("hello", 0), ("b", 0), ("foo", 2)] {
        assert_eq!(cluster.master_of(key).unwrap(), master, "{key}");
    }
    let old = cluster.master_of("foo").unwrap();
    assert_eq!(cluster.nodes()[old].command(&["SET", "foo", "1"]).unwrap(), text("OK"));
    assert_eq!(cluster.nodes()[old].command(&["WAIT", "1", "2000"]).unwrap(), Reply::Integer(1));

    let start = Instant::now();
    cluster.nodes()[old].kill();
    let new = cluster.wait_until_replaced(old, "foo").unwrap();
    println!("a new master: {:.1?}", start.elapsed());
    assert_eq!(new, old + 3);
    cluster.wait_until_whole().unwrap();
    assert_eq!(cluster.nodes()[new].command(&["GET", "foo"]).unwrap(), text("1"));

    cluster.nodes()[old].restart().unwrap();
    cluster.wait_until_whole().unwrap();
    assert_eq!(cluster.master_of("foo").unwrap(), new);
    drop(cluster);
    assert_no_process_in(folder.path());
}

#[test]
fn redis_sentinel_replaces_a_master_that_dies() {
    let folder = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let Some(trio) = unless_skipped(RedisSentinel::start(folder.path())) else { return };
    println!("a trio under Sentinel: {:.1?}", start.elapsed());
    assert_eq!((trio.master().unwrap(), trio.sentinel_urls().len()), (0, 3));
    let old = &trio.servers()[0];
    assert_eq!(old.command(&["SET", "key", "value"]).unwrap(), text("OK"));
    assert_eq!(old.command(&["WAIT", "2", "2000"]).unwrap(), Reply::Integer(2));

    let start = Instant::now();
    old.kill();
    let new = trio.wait_until_replaced(0).unwrap();
    println!("a new master: {:.1?}", start.elapsed());
    assert_eq!(trio.servers()[new].command(&["SET", "key", "newer"]).unwrap(), text("OK"));
    old.restart().unwrap();
    trio.wait_until_whole().unwrap();
    println!("the old one follows it: {:.1?}", start.elapsed());
    let role = old.command(&["ROLE"]).unwrap();
    let port = i64::from(trio.servers()[new].address().port());
    assert_eq!(role.as_list()[..3], [text("slave"), text("127.0.0.1"), Reply::Integer(port)]);
    drop(trio);
    assert_no_process_in(folder.path());
}
