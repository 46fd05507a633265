//! What can be set on a CQL log.

use std::path::PathBuf;
use std::time::Duration;

use rollcall_actors::fencing::Buckets;
use serde::{Deserialize, Serialize};

use crate::config::{Cql, Secret, SecretError};

/// Where two owners of a room would meet: whose Paxos decides about conditional writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CqlConsistency {
    /// One data centre's: `LOCAL_SERIAL` and `LOCAL_QUORUM`. Only for a keyspace that is replicated to exactly one data centre, since
    /// two that each ran their own Paxos would be two owners.
    Local,
    /// That of all data centres together: `SERIAL` and `QUORUM`, for reads too.
    Global,
}

/// How a node shows who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CqlCredentials {
    /// The role.
    pub user: String,
    /// Its password.
    pub password: Secret,
}

/// The settings of a [`CqlLog`](super::CqlLog).
#[derive(Debug, Clone)]
pub struct CqlOptions {
    /// Servers to ask first, as `host:port`; the others are learnt from them.
    pub contact_points: Vec<String>,
    /// The keyspace of the tables, which is there and has them: see [`schema`](super::schema).
    pub keyspace: String,
    /// The data centre whose servers are asked. With [`CqlConsistency::Local`] it is the keyspace's one, and need not be said.
    pub datacenter: Option<String>,
    /// Whose Paxos decides.
    pub consistency: CqlConsistency,
    /// None where the servers ask for none.
    pub credentials: Option<CqlCredentials>,
    /// The certificates, in PEM, of those who may vouch for a server; with them every connection is encrypted. A server's own
    /// certificate must name the address that it is connected to by.
    pub tls_ca_file: Option<PathBuf>,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long the answer to one statement is waited for; after it the outcome is unknown.
    pub request_timeout: Duration,
    /// When whoever waits for an append is told what is known by then.
    pub append_deadline: Duration,
    /// When an activation is given up.
    pub activation_deadline: Duration,
    /// The first and the longest pause before a statement is sent again.
    pub retry_pause: (Duration, Duration),
    /// Rooms whose ownership is kept in memory; of more, those that were written to least recently are given up, and activated
    /// again when somebody writes to them. Must be above the number of active rooms of a node.
    pub ownerships_max: usize,
    /// How a room's log is cut into partitions. Never to be changed on stored rooms; tests take small ones.
    pub buckets: Buckets,
}

impl CqlOptions {
    /// The options of a log in a keyspace of the servers at these addresses; everything else as it is by default.
    pub fn new(contact_points: Vec<String>, keyspace: impl Into<String>) -> Self {
        Self {
            contact_points,
            keyspace: keyspace.into(),
            datacenter: None,
            consistency: CqlConsistency::Local,
            credentials: None,
            tls_ca_file: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(3),
            append_deadline: Duration::from_secs(10),
            activation_deadline: Duration::from_secs(10),
            retry_pause: (Duration::from_millis(20), Duration::from_secs(1)),
            ownerships_max: 200_000,
            buckets: Buckets::STORED,
        }
    }

    /// Keeps the ownerships of a node that has so many rooms active at most, and of some that are being activated or given up.
    #[must_use]
    pub fn for_active_rooms(self, active_rooms_max: usize) -> Self {
        // Of the ownerships that are too many a quarter is given up at once: what is left is more than may be active.
        Self { ownerships_max: active_rooms_max.saturating_mul(2).max(1_000), ..self }
    }

    /// The options that an operator has set.
    ///
    /// # Errors
    /// Where the password cannot be read.
    pub fn from_settings(settings: &Cql) -> Result<Self, SecretError> {
        let password = settings.read_password()?;
        let credentials = settings.user.clone().zip(password);
        Ok(Self {
            datacenter: settings.datacenter.clone(),
            consistency: settings.consistency,
            credentials: credentials.map(|(user, password)| CqlCredentials { user, password }),
            tls_ca_file: settings.tls_ca_file.clone(),
            ..Self::new(settings.contact_points.clone(), &settings.keyspace)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_room_loses_its_ownership_that_may_be_active() {
        for active_rooms_max in [1, 1_000, 100_000, 1_000_000, usize::MAX] {
            let options = CqlOptions::new(Vec::new(), "k").for_active_rooms(active_rooms_max);
            let left = options.ownerships_max - options.ownerships_max / 4;
            assert!(left > active_rooms_max || options.ownerships_max == usize::MAX, "{active_rooms_max}: {left}");
        }
    }
}
