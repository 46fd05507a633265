//! A Cassandra as it is delivered: Paxos v1, and a commit log that is synced later.

use std::fs;

use rollcall::doctor::Status;
use rollcall::log::CqlOptions;
use rollcall::log::cql::examine;
use rollcall::log::cql::schema::{self, Replicas};
use rollcall_services::{Cassandra, unless_skipped};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_of_cassandra_that_the_promises_do_not_rest_on_are_found() {
    let start = || {
        let folder = tempfile::tempdir().unwrap();
        let server = unless_skipped(Cassandra::start(folder.path(), 1))?;
        server.shut_down(0);
        let path = server.folder(0).join("conf/cassandra.yaml");
        let settings = fs::read_to_string(&path).unwrap();
        let settings = settings.replace("paxos_variant: v2", "paxos_variant: v1");
        fs::write(
            &path,
            settings.replace("commitlog_sync: batch", "commitlog_sync: periodic\ncommitlog_sync_period: 10s"),
        )
        .unwrap();
        server.restart(0).unwrap();
        Some((server, folder))
    };
    let Some((server, _folder)) = tokio::task::block_in_place(start) else { return };
    let options = CqlOptions::new(vec![server.contact_points()[0].to_string()], "rooms");
    let replicas = [Replicas { datacenter: Cassandra::DATACENTER.to_owned(), factor: 1 }];
    schema::apply(&options, &replicas).await.unwrap();
    let findings = examine(&options).await;
    for (check, status, advice) in
        [("cql.paxos", Status::Fail, "`paxos_variant: v2`"), ("cql.commitlog", Status::Warn, "`commitlog_sync: group`")]
    {
        let finding = findings.iter().find(|finding| finding.check == check).unwrap();
        let is_said = finding.advice.as_deref().is_some_and(|it| it.contains(advice));
        assert!(finding.status == status && is_said, "{finding:?}");
    }
    assert!(findings.iter().any(|it| it.check == "cql.permissions" && it.status == Status::Ok), "{findings:#?}");
}
