//! What `rollcall doctor` finds at a real Cassandra, a good one and others.

use rollcall::doctor::{Finding, Status};
use rollcall::log::cql::schema::{self, Replicas};
use rollcall::log::{CqlConsistency, CqlOptions, cql};
use rollcall_cql_tests::{Keyspace, cassandra, rollcall};
use rollcall_services::{Cassandra, Consistency};

fn found<'a>(findings: &'a [Finding], check: &str) -> &'a Finding {
    let found = findings.iter().find(|finding| finding.check == check);
    found.unwrap_or_else(|| panic!("{check} was not looked at: {findings:#?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_cassandra_is_well_and_nothing_is_written() {
    let Some(keyspace) = Keyspace::own().await else { return };
    let findings = cql::examine(&keyspace.options()).await;
    for check in ["reachable", "version", "clock", "paxos", "commitlog", "mutations", "schema", "permissions"] {
        let finding = found(&findings, &format!("cql.{check}"));
        assert_eq!(finding.status, Status::Ok, "{finding:?}");
    }
    // One server has one copy, which is warned of.
    let copies = found(&findings, "cql.keyspace");
    assert!(copies.status == Status::Warn && copies.text.ends_with("1 in datacenter1"), "{copies:?}");
    for table in ["messages", "edits", "snapshots", "floors", "takeovers"] {
        assert!(keyspace.query(&format!("SELECT * FROM {{}}.{table}")).is_empty(), "{table}");
    }

    let ended = rollcall(&keyspace, &["doctor"]);
    let output = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{output}");
    assert!(output.contains("ok    cql.paxos          paxos_variant of 127.0.0.1:"), "{output}");
    assert!(output.ends_with("a server can run, with the warnings above\n"), "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_or_of_another_version_is_a_failure_with_what_to_do() {
    let Some(server) = cassandra() else { return };
    let options = CqlOptions::new(vec![server.contact_points()[0].to_string()], "doctor_none");
    let findings = cql::examine(&options).await;
    let keyspace = found(&findings, "cql.keyspace");
    assert!(keyspace.status == Status::Fail && keyspace.text.contains("rollcall schema apply"), "{keyspace:?}");

    let options = CqlOptions { keyspace: "doctor_empty".to_owned(), ..options };
    let replicas = [Replicas { datacenter: Cassandra::DATACENTER.to_owned(), factor: 1 }];
    server.query(0, &schema::create_keyspace("doctor_empty", &replicas), Consistency::One).unwrap();
    let findings = cql::examine(&options).await;
    let tables = found(&findings, "cql.schema");
    assert!(tables.status == Status::Fail && tables.text.contains("run `rollcall schema apply`"), "{tables:?}");

    let Some(keyspace) = Keyspace::own().await else { return };
    keyspace.query("UPDATE {}.schema_version SET version = 77 WHERE component = 'rollcall'");
    let findings = cql::examine(&keyspace.options()).await;
    let tables = found(&findings, "cql.schema");
    assert!(tables.status == Status::Fail && tables.text.contains("start a later rollcall"), "{tables:?}");
    let ended = rollcall(&keyspace, &["doctor", "--json"]);
    assert_eq!(ended.status.code(), Some(1));

    let elsewhere = Some("elsewhere".to_owned());
    let options = CqlOptions { datacenter: elsewhere, consistency: CqlConsistency::Global, ..keyspace.options() };
    assert_eq!(found(&cql::examine(&options).await, "cql.keyspace").status, Status::Fail);
}
