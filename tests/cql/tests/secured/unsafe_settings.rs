//! A Cassandra as it is delivered, with Paxos v1 and a commit log that is synced later; and one with little room for what a room
//! writes.

use std::fs;

use rollcall::doctor::Status;
use rollcall::log::cql::examine;
use rollcall::log::cql::schema::{self, Replicas};
use rollcall::log::{CqlError, CqlLog, CqlOptions};
use rollcall_it::scribe::{Scribe, read_all};
use rollcall_protocol::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, BODY_BYTES_MAX};
use rollcall_protocol::{Body, Entry, Kind, hash};
use rollcall_services::{Cassandra, unless_skipped};
use tempfile::TempDir;

/// A server whose settings are changed; dropped, it is gone.
struct Changeable {
    cassandra: Cassandra,
    usual_settings: String,
    _folder: TempDir,
}

impl Changeable {
    /// Starts it with settings made of the usual ones; none where the machine cannot run it.
    fn start(change: impl FnOnce(&str) -> String) -> Option<Self> {
        let start = || {
            let folder = tempfile::tempdir().unwrap();
            let cassandra = unless_skipped(Cassandra::start(folder.path(), 1))?;
            let usual_settings = fs::read_to_string(cassandra.folder(0).join("conf/cassandra.yaml")).unwrap();
            Some(Self { cassandra, usual_settings, _folder: folder })
        };
        let server = tokio::task::block_in_place(start)?;
        server.restart_with(change);
        Some(server)
    }

    /// Starts it again with other settings, made of the usual ones.
    fn restart_with(&self, change: impl FnOnce(&str) -> String) {
        tokio::task::block_in_place(|| {
            self.cassandra.shut_down(0);
            fs::write(self.cassandra.folder(0).join("conf/cassandra.yaml"), change(&self.usual_settings)).unwrap();
            self.cassandra.restart(0).unwrap();
        });
    }
}

/// Writes an entry with as long a body as there is.
fn largest(scribe: &mut Scribe) -> Entry {
    scribe.changed_entry(Kind::Message, None, None, |entry| {
        let quotes = 2;
        let body = Body::from_value(&"x".repeat(BODY_BYTES_MAX - quotes)).unwrap();
        entry.content_hash = hash::content(&entry.salt.unwrap(), Some(body.as_str()));
        entry.body = Some(body);
    })
}

/// One test, since the server takes its time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_of_cassandra_that_the_promises_do_not_rest_on_are_found() {
    let as_delivered = |usual: &str| {
        let settings = usual.replace("paxos_variant: v2", "paxos_variant: v1");
        let settings =
            settings.replace("commitlog_sync: batch", "commitlog_sync: periodic\ncommitlog_sync_period: 10s");
        // Its thresholds for batches, made smaller: they do not hold for ours, which are conditional.
        format!("{settings}batch_size_warn_threshold: 1KiB\nbatch_size_fail_threshold: 2KiB\n")
    };
    let Some(server) = Changeable::start(as_delivered) else { return };
    let options = CqlOptions::new(vec![server.cassandra.contact_points()[0].to_string()], "rooms");
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

    let log = CqlLog::open(options.clone()).await.unwrap();
    let mut scribe = Scribe::activate(&log, "room", 1).await;
    let text = "x".repeat(BATCH_BYTES_MAX / BATCH_ENTRIES_MAX);
    let many: Vec<_> = (0..BATCH_ENTRIES_MAX).map(|_| scribe.message(&text)).collect();
    scribe.commit(&log, many.clone()).await;
    drop(log);

    // An append that no server can write down is never decided: such a server is not used at all.
    server.restart_with(|usual| format!("{usual}max_mutation_size: 1023KiB\n"));
    let findings = examine(&options).await;
    assert!(findings.iter().any(|it| it.check == "cql.mutations" && it.status == Status::Fail), "{findings:#?}");
    let refused = CqlLog::open(options.clone()).await.err().expect("it cannot be used");
    assert!(matches!(refused, CqlError::Setting { .. }), "{refused}");
    assert!(refused.to_string().contains("takes writes of up to 1023 KiB; leave `max_mutation_size` out"), "{refused}");

    // And one that has just the room for the largest is.
    server.restart_with(|usual| format!("{usual}max_mutation_size: 1MiB\n"));
    let log = CqlLog::open(options).await.unwrap();
    let mut scribe = Scribe::activate(&log, "room", 2).await;
    let one = vec![largest(&mut scribe)];
    scribe.commit(&log, one.clone()).await;
    assert_eq!(read_all(&log, &scribe.room).await, [many, one].concat());
}
