//! Why a CQL log could not be opened, and what to do about it.

use std::path::PathBuf;

/// Why the servers cannot be used as a log. Each text says what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CqlError {
    /// Nobody answers.
    #[error("failed to reach a CQL server at {}: {reason}", contact_points.join(", "))]
    Unreachable {
        /// Who was asked.
        contact_points: Vec<String>,
        /// What happened.
        reason: String,
    },
    /// The servers do not take the credentials, or ask for some.
    #[error("the CQL servers refuse to let rollcall in: {reason}; check `cql.user` and `cql.password_file`")]
    Credentials {
        /// What they said.
        reason: String,
    },
    /// The role may not do what is needed.
    #[error(
        "the CQL servers do not permit what rollcall needs: {reason}; grant SELECT and MODIFY on the keyspace to the role, \
             and for `rollcall schema apply` CREATE"
    )]
    Permission {
        /// What they said.
        reason: String,
    },
    /// The file of certificates cannot be used.
    #[error("failed to use the certificates in {}: {reason}", path.display())]
    Certificates {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There is no such keyspace.
    #[error(
        "there is no keyspace {keyspace}: create it with the replication that you want, or set `cql.replication` and run \
             `rollcall schema apply`"
    )]
    NoKeyspace {
        /// Which one.
        keyspace: String,
    },
    /// The keyspace does not have our tables.
    #[error("the keyspace {keyspace} does not have rollcall's tables: run `rollcall schema apply`")]
    NoSchema {
        /// Which one.
        keyspace: String,
    },
    /// The tables are those of another version.
    #[error("the tables in keyspace {keyspace} are of schema version {found}, and this version of rollcall needs {supported}: \
             {}", if found > supported { "start a later rollcall" } else { "run `rollcall schema apply`" })]
    SchemaVersion {
        /// Where they are.
        keyspace: String,
        /// Their version.
        found: i32,
        /// Ours.
        supported: i32,
    },
    /// Local consistency in a keyspace of several data centres.
    #[error("the keyspace {keyspace} is replicated to {}, and `cql.consistency` is local: two data centres that each decide for \
             themselves would be two owners of a room. Set it to global, or replicate to one data centre", datacenters.join(" and "))]
    SeveralDatacenters {
        /// Which keyspace.
        keyspace: String,
        /// Where it is replicated to.
        datacenters: Vec<String>,
    },
    /// No server of the wanted data centre holds the keyspace.
    #[error("`cql.datacenter` is {wanted}, and the keyspace {keyspace} is replicated to {}", known(datacenters))]
    Datacenter {
        /// Which keyspace.
        keyspace: String,
        /// What was asked for.
        wanted: String,
        /// Where it is replicated to.
        datacenters: Vec<String>,
    },
    /// A server is set so that rooms would come to a stop.
    #[error("a CQL server cannot hold the log: {reason}; {advice}")]
    Setting {
        /// Which server, and what is wrong with it.
        reason: String,
        /// What to set instead.
        advice: String,
    },
    /// The servers refused something else.
    #[error("the CQL servers refused to {action}: {reason}")]
    Refused {
        /// What was asked.
        action: &'static str,
        /// What they said.
        reason: String,
    },
}

fn known(datacenters: &[String]) -> String {
    if datacenters.is_empty() { "none".to_owned() } else { datacenters.join(" and ") }
}
