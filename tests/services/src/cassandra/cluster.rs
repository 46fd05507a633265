//! One Cassandra node, or three as a cluster.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::class_archive::ClassArchive;
use super::cql::{Consistency, QueryError, Row, query};
use super::jars::fetch_jars;
use super::java::find_java;
use super::settings::{NodeSettings, tokens};
use crate::error::{DuringExt as _, ServiceError};
use crate::ports::free_ports;
use crate::process::{Ending, Launch, ProcessId, ServerProcess};

/// How long a node may take until it answers: 6 s on a quiet machine of 2 cores, far more on a busy one.
const START_LIMIT: Duration = Duration::from_secs(120);

/// How long the nodes may take to see each other. After a kill they tell a restart by gossip, within seconds.
const AGREE_LIMIT: Duration = Duration::from_secs(90);

/// How long a node may take to end by itself before it is killed.
const SHUT_DOWN_LIMIT: Duration = Duration::from_secs(20);

const VERSION: &str = "SELECT release_version FROM system.local";
const SCHEMA: &str = "SELECT schema_version FROM system.local";

/// Reads a row that is not there, of a keyspace that Cassandra itself replicates to three nodes: a read at `ALL` shows that this
/// node sees all of them.
const REPLICATED: &str =
    "SELECT status FROM system_distributed.view_build_status WHERE keyspace_name = 'none' AND view_name = 'none'";

/// Cassandra nodes on 127.0.0.1, 127.0.0.2 and 127.0.0.3. Dropped, they are killed.
#[derive(Debug)]
pub struct Cassandra {
    nodes: Vec<Node>,
    version: String,
}

#[derive(Debug)]
struct Node {
    process: ServerProcess,
    address: SocketAddr,
}

impl Cassandra {
    /// The data center of all nodes.
    pub const DATACENTER: &'static str = "datacenter1";

    /// Starts one node or three, each in a folder of its own within this one, and returns when every one of them answers CQL and
    /// sees all others. Brings the jars first, if need be: see [`fetch_jars`].
    ///
    /// An acknowledged write is on disk: the commit log is synced before each acknowledgement.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Skipped`] if the machine has no Java 17, or the jars cannot be had; else with the end of the log of
    /// the node that does not come up.
    ///
    /// # Panics
    ///
    /// If `nodes` is neither 1 nor 3.
    pub fn start(folder: &Path, nodes: usize) -> Result<Self, ServiceError> {
        assert!(matches!(nodes, 1 | 3), "a cluster of {nodes} nodes");
        let java = find_java()?;
        let jars = fetch_jars()?;
        let archive = ClassArchive::of(&jars, |folder, archive| {
            let recorded = Self::start_with(&java, &jars, &archive, folder, 1)?;
            let ending = recorded.nodes[0].process.shut_down(START_LIMIT);
            if ending == Ending::Ended {
                Ok(())
            } else {
                Err(ServiceError::refused("Cassandra", "it did not end by itself"))
            }
        });
        Self::start_with(&java, &jars, &archive, folder, nodes)
    }

    fn start_with(
        java: &Path,
        jars: &Path,
        archive: &ClassArchive,
        folder: &Path,
        nodes: usize,
    ) -> Result<Self, ServiceError> {
        let addresses: Vec<Ipv4Addr> =
            [1, 2, 3].iter().take(nodes).map(|&last| Ipv4Addr::new(127, 0, 0, last)).collect();
        let [cql_port, storage_port] = free_ports::<2>(&addresses)?;
        let mut cluster = Self { nodes: Vec::new(), version: String::new() };
        for (index, (&address, token)) in addresses.iter().zip(tokens(nodes)).enumerate() {
            let name = format!("cassandra-{}", index + 1);
            let folder = folder.join(&name);
            fs::create_dir_all(&folder).during("make the folder", &folder)?;
            let folder = fs::canonicalize(&folder).during("find", &folder)?;
            let settings = NodeSettings { address, seeds: &addresses, cql_port, storage_port, token };
            settings.write(&folder)?;
            let arguments = settings.arguments(&folder, jars, archive)?;
            let process = ServerProcess::start(Launch { name, program: java.to_owned(), arguments, folder })?;
            cluster.nodes.push(Node { process, address: SocketAddr::from((address, cql_port)) });
        }
        for node in &cluster.nodes {
            cluster.version = node.wait_until_it_answers()?;
        }
        cluster.wait_until_agreed()?;
        Ok(cluster)
    }

    /// Returns where the nodes take CQL connections, in their order.
    pub fn contact_points(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.address).collect()
    }

    /// Returns the servers' version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns a node's name in messages.
    pub fn name(&self, node: usize) -> &str {
        self.nodes[node].process.name()
    }

    /// Returns the folder that a node lives in.
    pub fn folder(&self, node: usize) -> &Path {
        self.nodes[node].process.folder()
    }

    /// Returns the file that a node logs to.
    pub fn log(&self, node: usize) -> PathBuf {
        self.nodes[node].process.log()
    }

    /// Returns a node's process, while there is one.
    pub fn process(&self, node: usize) -> Option<ProcessId> {
        self.nodes[node].process.id()
    }

    /// Carries out one statement at a node, over a connection of its own: to make a keyspace, or to look at what is stored. No
    /// substitute for a driver.
    ///
    /// # Errors
    ///
    /// If the node refuses it, or does not answer within 15 seconds.
    pub fn query(&self, node: usize, statement: &str, consistency: Consistency) -> Result<Vec<Row>, QueryError> {
        query(self.nodes[node].address, statement, consistency)
    }

    /// Ends a node with SIGKILL, and returns when it is gone. What it acknowledged is on its disk.
    pub fn kill(&self, node: usize) {
        self.nodes[node].process.kill();
    }

    /// Ends a node with SIGTERM, and returns when it is gone; after 20 s it is killed.
    pub fn shut_down(&self, node: usize) -> Ending {
        self.nodes[node].process.shut_down(SHUT_DOWN_LIMIT)
    }

    /// Stops a node with SIGSTOP: connections stay open, and nobody answers.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn stop(&self, node: usize) -> Result<(), ServiceError> {
        self.nodes[node].process.set_stopped(true)
    }

    /// Continues a node with SIGCONT.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn cont(&self, node: usize) -> Result<(), ServiceError> {
        self.nodes[node].process.set_stopped(false)
    }

    /// Starts a node again on what is in its folder, after a kill if it still runs, and returns when it answers and it and all
    /// other nodes that run see each other.
    ///
    /// # Errors
    ///
    /// With the end of its log, if it does not come back.
    pub fn restart(&self, node: usize) -> Result<(), ServiceError> {
        self.nodes[node].process.start_again()?;
        self.nodes[node].wait_until_it_answers()?;
        self.wait_until_agreed()
    }

    /// Waits until every node that runs sees all that run, and they have the same schema: needed after each change of it, before
    /// other nodes know the table.
    ///
    /// # Errors
    ///
    /// After 90 s, with the end of the log of the node that does not agree.
    pub fn wait_until_agreed(&self) -> Result<(), ServiceError> {
        let running: Vec<&Node> = self.nodes.iter().filter(|node| node.process.is_running()).collect();
        let consistency = match running.len() {
            3 => Consistency::All,
            2 => Consistency::Quorum,
            _ => Consistency::One,
        };
        running.iter().try_for_each(|node| {
            node.process.wait_until_ready(AGREE_LIMIT, || {
                let schema_of = |node: &Node| query(node.address, SCHEMA, Consistency::One);
                let ask = || Ok::<_, QueryError>((schema_of(running[0])?, schema_of(node)?));
                query(node.address, REPLICATED, consistency).map_err(|error| error.to_string())?;
                let (first, own) = ask().map_err(|error| error.to_string())?;
                if first == own { Ok(()) } else { Err("the nodes have different schemas".to_owned()) }
            })
        })
    }

    /// Leaves a node running when we end.
    pub(crate) fn detach(&self, node: usize) -> Option<ProcessId> {
        self.nodes[node].process.detach()
    }
}

impl Node {
    /// Returns the version.
    fn wait_until_it_answers(&self) -> Result<String, ServiceError> {
        self.process.wait_until_ready(START_LIMIT, || version_at(self.address).map_err(|error| error.to_string()))
    }
}

fn version_at(address: SocketAddr) -> Result<String, QueryError> {
    let rows = query(address, VERSION, Consistency::One)?;
    let version = rows.into_iter().flatten().flatten().next().unwrap_or_default();
    Ok(String::from_utf8_lossy(&version).into_owned())
}
