//! The contract of the `Log` port.

use rollcall_cql_tests::Keyspace;

rollcall_it::log_contract!(cassandra, {
    let Some(keyspace) = Keyspace::shared().await else { return };
    keyspace
});
