//! What a log says to servers and keyspaces that are not as they should be.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use rollcall::log::cql::schema::{self, Replicas};
use rollcall::log::{CqlConsistency, CqlError, CqlLog, CqlOptions};
use rollcall_cql_tests::{Keyspace, cassandra};
use rollcall_it::log_contract::LogUnderTest as _;
use rollcall_services::{Cassandra, Consistency};

async fn refusal(options: CqlOptions) -> CqlError {
    CqlLog::open(options).await.err().expect("it cannot be opened")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_is_applied_once_and_again() {
    let Some(keyspace) = Keyspace::own().await else { return };
    schema::apply(&keyspace.options(), &[]).await.unwrap();
    let tables = keyspace.query("SELECT version FROM {}.schema_version");
    assert_eq!(tables, [[Some(schema::VERSION.to_be_bytes().to_vec())]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyspace_without_the_tables_is_refused() {
    let Some(server) = cassandra() else { return };
    let options = CqlOptions::new(vec![server.contact_points()[0].to_string()], "startup_none");
    let missing = CqlError::NoKeyspace { keyspace: "startup_none".to_owned() };
    assert_eq!(refusal(options.clone()).await, missing);
    assert_eq!(schema::apply(&options, &[]).await, Err(missing));

    let options = CqlOptions { keyspace: "startup_empty".to_owned(), ..options };
    let replicas = [Replicas { datacenter: Cassandra::DATACENTER.to_owned(), factor: 1 }];
    server.query(0, &schema::create_keyspace("startup_empty", &replicas), Consistency::One).unwrap();
    assert_eq!(refusal(options.clone()).await, CqlError::NoSchema { keyspace: "startup_empty".to_owned() });
    schema::apply(&options, &[]).await.unwrap();
    CqlLog::open(options).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_another_version_are_refused_and_left_alone() {
    let Some(keyspace) = Keyspace::own().await else { return };
    for found in [schema::VERSION + 1, schema::VERSION - 1] {
        keyspace.query(&format!("UPDATE {{}}.schema_version SET version = {found} WHERE component = 'rollcall'"));
        let error = refusal(keyspace.options()).await;
        assert!(matches!(error, CqlError::SchemaVersion { found: it, .. } if it == found), "{error}");
        let applied = schema::apply(&keyspace.options(), &[]).await;
        assert_eq!(applied, Err(error));
    }
    keyspace.query("TRUNCATE {}.schema_version");
    assert!(matches!(refusal(keyspace.options()).await, CqlError::NoSchema { .. }), "it was applied half-way");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_centre_that_does_not_have_the_keyspace_is_refused() {
    let Some(keyspace) = Keyspace::own().await else { return };
    for consistency in [CqlConsistency::Local, CqlConsistency::Global] {
        let elsewhere = CqlOptions { datacenter: Some("elsewhere".to_owned()), consistency, ..keyspace.options() };
        let error = refusal(elsewhere).await;
        assert!(matches!(error, CqlError::Datacenter { .. }), "{error}");
        let here = Some(Cassandra::DATACENTER.to_owned());
        CqlLog::open(CqlOptions { datacenter: here, consistency, ..keyspace.options() }).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_there_is_said_so() {
    if cassandra().is_none() {
        return;
    }
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    for contact_points in [vec![free.to_string()], Vec::new(), vec!["nowhere.invalid:9042".to_owned()]] {
        let error = refusal(CqlOptions::new(contact_points.clone(), "any")).await;
        let is_unreachable =
            matches!(&error, CqlError::Unreachable { contact_points: it, .. } if *it == contact_points);
        assert!(is_unreachable, "{error}");
    }
    let _: SocketAddr = free;
}

/// With `global`, everything is as with `local`, in one data centre.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn global_consistency_works_as_well() {
    let global = |options| CqlOptions { consistency: CqlConsistency::Global, ..options };
    let Some(keyspace) = Keyspace::shared_with(global).await else { return };
    let log = keyspace.log();
    let mut scribe = rollcall_it::scribe::Scribe::activate(&*log, &keyspace.room("room"), 1).await;
    let entries = scribe.commit_messages(&*log, 3).await;
    assert_eq!(rollcall_it::scribe::read_all(&*log, &scribe.room).await, entries);
}
