//! A Cassandra that asks for a password, knows permissions and speaks TLS.
#![expect(clippy::unwrap_used, reason = "a test: an unwrap is the assertion")]

mod secured_cassandra;
mod unsafe_settings;

use std::fs;

use rollcall::config::Secret;
use rollcall::doctor::Status;
use rollcall::log::cql::examine;
use rollcall::log::cql::schema::{self, Replicas};
use rollcall::log::{CqlCredentials, CqlError, CqlLog, CqlOptions};
use rollcall_actors::ports::{AppendOutcome, Log, NotCommitted};
use rollcall_cql_tests::rollcall_on;
use rollcall_it::scribe::{Scribe, read_all};
use rollcall_services::Cassandra;
use secured_cassandra::SecuredCassandra;

fn options(server: &SecuredCassandra, user: &str, password: &str) -> CqlOptions {
    let credentials = CqlCredentials { user: user.to_owned(), password: Secret::new(password) };
    CqlOptions { credentials: Some(credentials), ..CqlOptions::new(vec![server.address().to_string()], "rooms") }
}

async fn refusal(options: CqlOptions) -> CqlError {
    CqlLog::open(options).await.err().expect("it cannot be opened")
}

/// One test, since the server takes its time: from a stranger to a node that may do what it needs and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cassandra_lets_in_whom_it_knows_and_shows_who_it_is() {
    let Some(server) = SecuredCassandra::start() else { return };
    let superuser = options(&server, "cassandra", "cassandra");
    let replicas = [Replicas { datacenter: Cassandra::DATACENTER.to_owned(), factor: 1 }];
    schema::apply(&superuser, &replicas).await.unwrap();
    for role in ["node", "reader", "stranger"] {
        server.query(&format!("CREATE ROLE {role} WITH PASSWORD = 'canary {role}' AND LOGIN = true"));
    }
    server.query("GRANT SELECT ON KEYSPACE rooms TO reader");
    server.query("GRANT SELECT ON KEYSPACE rooms TO node");
    server.query("GRANT MODIFY ON KEYSPACE rooms TO node");

    // Nobody, and somebody with a wrong password.
    let nobody = CqlOptions { credentials: None, ..superuser.clone() };
    for refused in [nobody, options(&server, "node", "guessed"), options(&server, "noone", "canary node")] {
        let error = refusal(refused).await;
        assert!(matches!(error, CqlError::Credentials { .. }), "{error}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }

    // Somebody who may not read; and one who may not write, which is known before anything was done.
    let error = refusal(options(&server, "stranger", "canary stranger")).await;
    assert!(matches!(error, CqlError::Permission { .. }), "{error}");
    let log = CqlLog::open(options(&server, "reader", "canary reader")).await.unwrap();
    let mut scribe = Scribe::activate(&log, "room", 1).await;
    let entries = scribe.messages(1);
    let outcome = log.append(scribe.append(entries)).await;
    assert!(matches!(outcome, AppendOutcome::NotCommitted(NotCommitted::Refused(_))), "{outcome:?}");

    // A server that such a role is for ends before it serves.
    let serve = |credentials: &[(&str, &str)]| {
        let usual = [("LISTEN__PUBLIC", "127.0.0.1:0"), ("OPS__LISTEN", "127.0.0.1:0")];
        let ended = rollcall_on(&superuser, &["serve"], &[&usual[..], credentials].concat());
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };
    let refused = ["the CQL servers refuse to let rollcall in", "check `cql.user` and `cql.password_file`"];
    let not_permitted = ["do not permit what rollcall needs", "grant SELECT and MODIFY on the keyspace to the role"];
    for (credentials, says) in [
        (&[][..], refused),
        (&[("CQL__USER", "node"), ("CQL__PASSWORD", "guessed canary")], refused),
        (&[("CQL__USER", "noone"), ("CQL__PASSWORD", "canary node")], refused),
        (&[("CQL__USER", "stranger"), ("CQL__PASSWORD", "canary stranger")], not_permitted),
    ] {
        let (code, said) = serve(credentials);
        assert!(code == Some(77) && says.iter().all(|text| said.contains(text)), "{code:?}: {said}");
        assert!(!said.contains("canary"), "{said}");
    }

    // What the doctor says to each of them.
    for (user, check) in [("stranger", "cql.schema"), ("reader", "cql.permissions")] {
        let findings = examine(&options(&server, user, &format!("canary {user}"))).await;
        let denied = findings.iter().find(|it| it.check == check && it.status == Status::Fail);
        let denied = denied.unwrap_or_else(|| panic!("{findings:#?}"));
        assert!(denied.text.contains("grant SELECT and MODIFY on the keyspace"), "{denied:?}");
        assert!(!format!("{findings:?}").contains("canary"));
    }
    let findings = examine(&options(&server, "node", "canary node")).await;
    assert!(findings.iter().all(|it| it.status != Status::Fail), "{findings:#?}");
    let findings = examine(&options(&server, "node", "guessed")).await;
    assert!(findings.len() == 1 && findings[0].text.contains("cql.password_file"), "{findings:#?}");

    // The node, whose rights suffice for all but making tables, on an encrypted connection.
    let node = CqlOptions { tls_ca_file: Some(server.certificate()), ..options(&server, "node", "canary node") };
    let log = CqlLog::open(node.clone()).await.unwrap();
    let mut scribe = Scribe::activate(&log, "room", 2).await;
    let entries = scribe.commit_messages(&log, 3).await;
    assert_eq!(read_all(&log, &scribe.room).await, entries);

    // A threshold of the server's, which holds for roles, refuses for certain: the room goes on under the same fence.
    let large = vec![scribe.clone().message(&"\u{1f600}".repeat(30_000))];
    match log.append(scribe.append(large)).await {
        AppendOutcome::NotCommitted(NotCommitted::Refused(reason)) => {
            let says_what_to_do = reason.contains("column_value_size") && reason.contains("1MiB or more");
            assert!(says_what_to_do, "{reason}");
        }
        outcome => panic!("{outcome:?}"),
    }
    let entries = [entries, scribe.commit_messages(&log, 1).await].concat();
    assert_eq!(read_all(&log, &scribe.room).await, entries);
    let findings = examine(&superuser).await;
    assert!(findings.iter().any(|it| it.check == "cql.values" && it.status == Status::Fail), "{findings:#?}");

    let connections = "SELECT ssl_enabled FROM system_views.clients WHERE username = 'node' ALLOW FILTERING";
    let encrypted = server.query(connections);
    assert!(!encrypted.is_empty() && encrypted.iter().all(|row| row[0] == Some(vec![1])), "{encrypted:?}");
    server.query("DROP TABLE rooms.takeovers");
    let error = schema::apply(&node, &[]).await.unwrap_err();
    assert!(matches!(error, CqlError::Permission { .. }), "{error}");

    // A server that others vouch for is not talked to.
    let others = server.folder().join("others.pem");
    fs::write(&others, OTHERS).unwrap();
    let error = refusal(CqlOptions { tls_ca_file: Some(others), ..node }).await;
    assert!(matches!(error, CqlError::Unreachable { .. }), "{error}");
}

/// A certificate whose key nobody has any more.
const OTHERS: &str = "\
-----BEGIN CERTIFICATE-----
MIIBOTCB4aADAgECAggsz88DWxz1XzAKBggqhkjOPQQDAjARMQ8wDQYDVQQDEwZv
dGhlcnMwIBcNMjYxMTIxMDgyMDU1WhgPMjEyNjEwMjgwODIwNTVaMBExDzANBgNV
BAMTBm90aGVyczBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABFhGPLDirOknVaEU
XoIR09AA6D/UikwUEyr+PI+TKRrSRO1SyWg/VI4ev5l0QI/lomdEguZEcoTo26SQ
xpg5nMSjITAfMB0GA1UdDgQWBBSHILdvUQle3jww2JEsTq+uLvLFETAKBggqhkjO
PQQDAgNHADBEAiAFswY7/EUNw1J6SYtU2k/pKb6FKyeE7EkIgymGC2yznQIgIWzm
9cFiOPxfTVKeHRpG4CYBfhv27JVUTeiRyUjdT0k=
-----END CERTIFICATE-----
";
