//! The contract of the `Log` port.

use rollcall_cql_tests::Keyspace;

rollcall_it::log_contract!(cassandra, {
    let Some(keyspace) = Keyspace::fresh().await else { return };
    keyspace
});
