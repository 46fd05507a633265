//! Apache Cassandra without Docker: its jars by Maven, kept across runs, and one Java process for each node.

mod class_archive;
mod cluster;
mod cql;
mod jars;
mod java;
mod settings;

pub use cluster::Cassandra;
pub(crate) use cql::query;
pub use cql::{Consistency, QueryError, Row};
pub use jars::fetch_jars;
pub use java::find_java;
