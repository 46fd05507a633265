//! `rollcall serve` where it must not start: what a script sees, and what a person reads.

use std::net::{Ipv4Addr, TcpListener};

use rollcall::log::cql::schema::{self, Replicas};
use rollcall_cql_tests::{Keyspace, rollcall_with};
use rollcall_it::server::SECRET;
use rollcall_proxy::Proxy;
use rollcall_services::{Cassandra, Consistency, Redis, Reply, unless_skipped};

const CONFIG: i32 = 64;
const UNAVAILABLE: i32 = 69;
const PERMISSION: i32 = 77;

/// What is set otherwise than in a server that starts, and what comes of it.
struct Refused<'a> {
    because: &'a str,
    settings: Vec<(&'a str, &'a str)>,
    code: i32,
    /// What is wrong, and what to do.
    says: [&'a str; 2],
}

/// Starts servers that must not start; `usual` are the settings of one that would.
fn assert_all_refused(keyspace: &Keyspace, usual: &[(&str, &str)], table: &[Refused<'_>]) {
    for Refused { because, settings, code, says } in table {
        let ended = rollcall_with(keyspace, &["serve"], &[usual, settings].concat());
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(*code), "{because}: {said}");
        for text in says {
            assert!(said.contains(text), "{because} should say {text:?}: {said}");
        }
        assert!(!said.contains("canary"), "{because} tells a secret: {said}");
        assert!(ended.stdout.is_empty(), "{because}: {ended:?}");
    }
}

fn redis() -> Option<(Redis, tempfile::TempDir)> {
    let folder = tempfile::tempdir().unwrap();
    let redis = unless_skipped(tokio::task::block_in_place(|| Redis::start(folder.path())))?;
    Some((redis, folder))
}

/// The settings of a node of a cluster, but for its Redis.
const NODE: [(&str, &str); 4] = [
    ("LISTEN__PUBLIC", "127.0.0.1:0"),
    ("OPS__LISTEN", "127.0.0.1:0"),
    ("AUTH__SECRET", SECRET),
    ("CLUSTER__NODE", "chat1"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_cannot_be_used_ends_a_server_before_it_serves() {
    let Some(keyspace) = Keyspace::shared().await else { return };
    let Some(((master, _folder), (replica, _other_folder))) = redis().zip(redis()) else { return };
    let ok = Reply::Text("OK".to_owned());
    let port = master.address().port().to_string();
    assert_eq!(replica.command(&["REPLICAOF", "127.0.0.1", &port]).unwrap(), ok);
    let user = ["ACL", "SETUSER", "node", "on", ">right-canary", "~*", "&*", "+@all"];
    assert_eq!(master.command(&user).unwrap(), ok);
    let poor = ["ACL", "SETUSER", "poor", "on", ">right-canary", "~*", "&*", "+@all", "-info"];
    assert_eq!(master.command(&poor).unwrap(), ok);
    let old = Proxy::start_redis(master.address()).await.unwrap();
    old.show_major_version(6);

    let [master, replica, old] = [master.address(), replica.address(), old.address()].map(|it| it.to_string());
    let refused = |because, settings, code, says| Refused { because, settings, code, says };
    let table = [
        refused(
            "a replica",
            vec![("REDIS__SERVERS", &*replica)],
            CONFIG,
            ["this Redis is a replica", "name its master, or its Sentinels"],
        ),
        refused(
            "an old version",
            vec![("REDIS__SERVERS", &old)],
            CONFIG,
            ["Redis 6.", "is too old: upgrade it to 7.0 or later"],
        ),
        refused(
            "a wrong password",
            vec![("REDIS__USER", "node"), ("REDIS__PASSWORD", "wrong-canary")],
            PERMISSION,
            ["Redis refuses to let rollcall in", "check `redis.user` and `redis.password_file`"],
        ),
        refused(
            "an unknown user",
            vec![("REDIS__USER", "nobody"), ("REDIS__PASSWORD", "right-canary")],
            PERMISSION,
            ["Redis refuses to let rollcall in", "check `redis.user` and `redis.password_file`"],
        ),
        refused(
            "a user without a right",
            vec![("REDIS__USER", "poor"), ("REDIS__PASSWORD", "right-canary")],
            PERMISSION,
            ["Redis does not permit what rollcall needs", "`rollcall doctor` says which rights the user lacks"],
        ),
        refused(
            "no cluster",
            vec![("REDIS__KIND", "cluster")],
            CONFIG,
            ["this Redis is no part of a Redis Cluster", "set `redis.kind` to \"single\" or \"sentinel\""],
        ),
        refused(
            "certificates that are not there",
            vec![("REDIS__TLS", "true"), ("REDIS__TLS_CA_FILE", "/nowhere/ca.pem")],
            CONFIG,
            ["`redis.tls_ca_file` cannot be read", "No such file"],
        ),
    ];
    let usual = [&NODE[..], &[("REDIS__SERVERS", &master)]].concat();
    assert_all_refused(&keyspace, &usual, &table);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyspace_that_cannot_be_used_ends_a_server_before_it_serves() {
    let Some(keyspace) = Keyspace::shared().await else { return };
    let Some((later, earlier)) = Keyspace::own().await.zip(Keyspace::own().await) else { return };
    for (keyspace, version) in [(&later, schema::VERSION + 1), (&earlier, schema::VERSION - 1)] {
        keyspace.query(&format!("UPDATE {{}}.schema_version SET version = {version} WHERE component = 'rollcall'"));
    }
    let (later, earlier) = (later.options().keyspace, earlier.options().keyspace);
    let replicas = [Replicas { datacenter: Cassandra::DATACENTER.to_owned(), factor: 1 }];
    let cassandra = rollcall_cql_tests::cassandra().unwrap();
    cassandra.query(0, &schema::create_keyspace("refusals_empty", &replicas), Consistency::One).unwrap();
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().to_string();
    let Some((redis, _folder)) = redis() else { return };
    let redis = redis.address().to_string();

    let refused = |because, settings, code, says| Refused { because, settings, code, says };
    let table = [
        refused(
            "a later schema",
            vec![("CQL__KEYSPACE", &*later)],
            CONFIG,
            ["are of schema version 2, and this version of rollcall needs 1", "start a later rollcall"],
        ),
        refused(
            "an earlier schema",
            vec![("CQL__KEYSPACE", &earlier)],
            CONFIG,
            ["are of schema version 0, and this version of rollcall needs 1", "run `rollcall schema apply`"],
        ),
        refused(
            "no keyspace",
            vec![("CQL__KEYSPACE", "refusals_none")],
            CONFIG,
            ["there is no keyspace refusals_none", "set `cql.replication` and run `rollcall schema apply`"],
        ),
        refused(
            "no tables",
            vec![("CQL__KEYSPACE", "refusals_empty")],
            CONFIG,
            ["refusals_empty does not have rollcall's tables", "run `rollcall schema apply`"],
        ),
        refused(
            "another data centre",
            vec![("CQL__DATACENTER", "elsewhere")],
            CONFIG,
            ["`cql.datacenter` is elsewhere", "is replicated to datacenter1"],
        ),
        refused(
            "nobody there",
            vec![("CQL__CONTACT_POINTS", &nobody)],
            UNAVAILABLE,
            ["failed to reach a CQL server at", &nobody],
        ),
    ];
    let usual = [&NODE[..], &[("REDIS__SERVERS", &redis)]].concat();
    assert_all_refused(&keyspace, &usual, &table);
}
