//! Redis and Cassandra of our own, for servers that are a cluster.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use rollcall_services::{Cassandra, Redis, ServiceError};
use tokio::process::Command;
use tokio::task::spawn_blocking;

/// What the nodes of a cluster share. Dropped, its servers are gone.
#[derive(Debug, Clone)]
pub struct Backing {
    /// What keeps the log.
    pub cassandra: Arc<Cassandra>,
    /// What the nodes meet in; none where there is one.
    pub redis: Option<Arc<Redis>>,
}

impl Backing {
    /// Starts the servers in a folder.
    ///
    /// # Errors
    /// [`ServiceError::Skipped`] where this machine cannot run them; else where one does not start.
    ///
    /// # Cancel safety
    /// What was begun goes on, and ends with the program.
    pub async fn start(folder: &Path, cassandra_nodes: usize, with_redis: bool) -> Result<Self, ServiceError> {
        let folder = folder.to_owned();
        let started = spawn_blocking(move || {
            let redis = with_redis.then(|| Redis::start(&folder.join("redis"))).transpose()?.map(Arc::new);
            let cassandra = Arc::new(Cassandra::start(&folder.join("cassandra"), cassandra_nodes)?);
            Ok(Self { cassandra, redis })
        });
        started.await.expect("starting servers does not panic")
    }

    /// Makes the keyspace, with a copy on each server, and the tables.
    ///
    /// # Errors
    /// Where the server's program cannot, with what it said.
    pub async fn make_tables(&self, binary: &Path, folder: &Path) -> anyhow::Result<()> {
        let servers = self.cassandra.contact_points();
        let settings = [
            format!("cql.contact_points={}", servers[0]),
            format!("cql.replication={}={}", Cassandra::DATACENTER, servers.len()),
        ];
        let arguments = settings.iter().flat_map(|setting| ["--set", setting]);
        let mut command = Command::new(binary);
        command.args(["schema", "apply"]).args(arguments).current_dir(folder);
        let output = command.output().await.context("failed to run the server's program")?;
        ensure!(output.status.success(), "failed to make the tables: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Returns the settings of a node, as `(SECTION__KEY, value)`.
    pub fn settings_of(&self, node: &str) -> Vec<(String, String)> {
        let mut settings = vec![
            ("LOG__KIND", "cql".to_owned()),
            ("CQL__CONTACT_POINTS", self.cassandra.contact_points()[0].to_string()),
        ];
        if let Some(redis) = &self.redis {
            settings.push(("CLUSTER__NODE", node.to_owned()));
            settings.push(("REDIS__SERVERS", redis.address().to_string()));
        }
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
