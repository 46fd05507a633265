//! A Redis Cluster: three masters that share the slots, each with a replica.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use super::resp::{Reply, info};
use super::server::Redis;
use crate::error::ServiceError;
use crate::ports::free_ports;
use crate::wait::wait_for;

const MASTERS: usize = 3;
const NODES: usize = 2 * MASTERS;

/// All keys of a cluster fall into this many slots.
const SLOTS: usize = 16_384;

/// How long the nodes may take to find each other, and to agree again after a fail-over.
const AGREE_LIMIT: Duration = Duration::from_secs(30);

/// Six servers that form one cluster, any of whose masters may die. Dropped, they are killed.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Starts the servers, each in a folder of its own within this one, and returns when all of them agree that the cluster is
    /// whole and each replica has caught up. A master that is silent for 2 s is replaced by its replica.
    ///
    /// # Errors
    ///
    /// As [`Redis::start`].
    pub fn start(folder: &Path) -> Result<Self, ServiceError> {
        let ports = free_ports::<{ 2 * NODES }>(&[Ipv4Addr::LOCALHOST])?;
        let (client_ports, bus_ports) = ports.split_at(NODES);
        let mut nodes = Vec::new();
        for (index, (&port, bus_port)) in client_ports.iter().zip(bus_ports).enumerate() {
            let name = format!("redis-{}", index + 1);
            let settings = format!("cluster-enabled yes\ncluster-port {bus_port}\ncluster-node-timeout 2000\n");
            nodes.push(Redis::start_on(port, &name, &folder.join(&name), &settings, &[])?);
        }
        let cluster = Self { nodes };
        cluster.introduce(bus_ports)?;
        cluster.wait_until_whole()?;
        Ok(cluster)
    }

    /// Returns the servers. At the start the first three are masters, and node `i + 3` is the replica of node `i`.
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// Returns the URLs of all servers, for a client of the cluster.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::url).collect()
    }

    /// Returns the index of the server that is the master of a key now, as the first server that answers sees it.
    ///
    /// # Errors
    ///
    /// If none answers, or the slot has no master.
    pub fn master_of(&self, key: &str) -> Result<usize, ServiceError> {
        let asked = self.running().next().ok_or_else(|| ServiceError::refused("the Redis cluster", "no node runs"))?;
        let Reply::Integer(slot) = asked.order(&["CLUSTER", "KEYSLOT", key])? else {
            return Err(ServiceError::refused(asked.name(), "it knows no slots"));
        };
        let ranges = asked.order(&["CLUSTER", "SLOTS"])?;
        let port = ranges.as_list().iter().find_map(|range| master_port(range, slot));
        let is_master = |node: &Redis| Some(i64::from(node.address().port())) == port;
        let index = self.nodes.iter().position(is_master);
        index.ok_or_else(|| ServiceError::refused(asked.name(), format!("slot {slot} has no master")))
    }

    /// Waits until a key has another master than this one, which was killed or stopped; returns its index.
    ///
    /// # Errors
    ///
    /// After 30 s.
    pub fn wait_until_replaced(&self, old: usize, key: &str) -> Result<usize, ServiceError> {
        wait_for(AGREE_LIMIT, || match self.master_of(key) {
            Ok(master) if master != old => Ok(master),
            Ok(_) => Err(format!("{} is the master still", self.nodes[old].name())),
            Err(error) => Err(error.to_string()),
        })
        .map_err(|missing| ServiceError::refused("the Redis cluster", missing))
    }

    /// Waits until every server that runs says that all slots are served and that it can reach all other servers that run, and
    /// every replica among them follows its master.
    ///
    /// # Errors
    ///
    /// After 30 s, with what is missing.
    pub fn wait_until_whole(&self) -> Result<(), ServiceError> {
        self.running().try_for_each(|node| node.wait_for(AGREE_LIMIT, || self.is_whole_to(node)))
    }

    fn running(&self) -> impl Iterator<Item = &Redis> {
        self.nodes.iter().filter(|node| node.is_running())
    }

    /// Gives out the slots, makes the servers known to each other, and says who replicates whom.
    fn introduce(&self, bus_ports: &[u16]) -> Result<(), ServiceError> {
        let (masters, replicas) = self.nodes.split_at(MASTERS);
        for (index, master) in masters.iter().enumerate() {
            let [first, next] = [index, index + 1].map(|index| index * SLOTS / MASTERS);
            master.order(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &(next - 1).to_string()])?;
        }
        for (index, (node, bus_port)) in self.nodes.iter().zip(bus_ports).enumerate() {
            node.order(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()])?;
            let port = node.address().port().to_string();
            if index > 0 {
                masters[0].order(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus_port.to_string()])?;
            }
        }
        for (master, replica) in masters.iter().zip(replicas) {
            let id = master.report(&["CLUSTER", "MYID"])?;
            replica.wait_for(AGREE_LIMIT, || {
                // Refused until it has heard of the master.
                replica.order(&["CLUSTER", "REPLICATE", &id]).map_err(|error| error.to_string())
            })?;
        }
        Ok(())
    }

    fn is_whole_to(&self, node: &Redis) -> Result<(), String> {
        let ask = |words: &[&str]| node.report(words).map_err(|error| error.to_string());
        let cluster = ask(&["CLUSTER", "INFO"])?;
        if info(&cluster, "cluster_state") != Some("ok") {
            return Err(format!("{} says: {}", node.name(), cluster.replace("\r\n", ", ")));
        }
        let view = ask(&["CLUSTER", "NODES"])?;
        for other in self.running() {
            let address = format!(" {}@", other.address());
            let line = view.lines().find(|line| line.contains(&address)).unwrap_or_default();
            if !line.contains(" connected") || line.contains("fail") || line.contains("handshake") {
                return Err(format!("{} does not reach {} yet", node.name(), other.name()));
            }
        }
        let replication = ask(&["INFO", "replication"])?;
        let is_replica = info(&replication, "role") == Some("slave");
        if is_replica && info(&replication, "master_link_status") != Some("up") {
            return Err(format!("{} does not follow its master yet", node.name()));
        }
        // A replica that has not heard yet that it is one would still count as a master.
        let masters = view.lines().filter(|line| line.contains("master") && !line.contains("fail")).count();
        if masters == MASTERS { Ok(()) } else { Err(format!("{} sees {masters} masters", node.name())) }
    }
}

/// Returns the port of the master of a slot from a row of CLUSTER SLOTS, if the slot is the row's.
fn master_port(range: &Reply, slot: i64) -> Option<i64> {
    let [Reply::Integer(first), Reply::Integer(last), master, ..] = range.as_list() else { return None };
    match master.as_list() {
        [_, Reply::Integer(port), ..] if (*first..=*last).contains(&slot) => Some(*port),
        _ => None,
    }
}
