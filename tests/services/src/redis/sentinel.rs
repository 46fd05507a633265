//! A Redis master with two replicas, watched by three Sentinels.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use super::resp::{Reply, info};
use super::security::RedisSecurity;
use super::server::Redis;
use crate::error::ServiceError;
use crate::ports::free_ports;
use crate::wait::wait_for;

const SERVERS: usize = 3;
const SENTINELS: usize = 3;
const MASTER_NAME: &str = "rollcall";

/// How long the Sentinels may take to find all servers and each other, and to put a replica in a master's place.
const AGREE_LIMIT: Duration = Duration::from_secs(30);

/// Three servers and three Sentinels. Dropped, they are killed.
#[derive(Debug)]
pub struct RedisSentinel {
    // In this order, so that the Sentinels are gone before they see a server die.
    sentinels: Vec<Redis>,
    servers: Vec<Redis>,
}

impl RedisSentinel {
    /// Starts everything, each in a folder of its own within this one, and returns when the replicas follow the master and each
    /// Sentinel knows all of them and the other Sentinels. A master that is silent for 2 s is replaced.
    ///
    /// # Errors
    ///
    /// As [`Redis::start`].
    pub fn start(folder: &Path) -> Result<Self, ServiceError> {
        Self::start_with(folder, None)
    }

    /// As [`RedisSentinel::start`], where everybody talks to everybody on encrypted connections, and the servers ask for a password and
    /// the Sentinels for one of their own.
    ///
    /// # Errors
    ///
    /// As [`Redis::start`].
    pub fn start_secured(
        folder: &Path,
        servers: &RedisSecurity,
        sentinels: &RedisSecurity,
    ) -> Result<Self, ServiceError> {
        Self::start_with(folder, Some((servers, sentinels)))
    }

    /// Starts a Sentinel in a folder that watches a server under the name of a trio's master, and knows of no other Sentinel: as one of
    /// the trio might be left, cut off from the others since that server was the master.
    ///
    /// # Errors
    ///
    /// As [`Redis::start`].
    pub fn start_stray_sentinel(folder: &Path, master: &Redis) -> Result<Redis, ServiceError> {
        let [port] = free_ports::<1>(&[Ipv4Addr::LOCALHOST])?;
        let settings = format!("sentinel monitor {MASTER_NAME} 127.0.0.1 {} 1\n", master.known_port());
        Redis::start_on(port, "sentinel-stray", folder, &settings, &["--sentinel"])
    }

    fn start_with(folder: &Path, security: Option<(&RedisSecurity, &RedisSecurity)>) -> Result<Self, ServiceError> {
        let ports = free_ports::<{ 2 * (SERVERS + SENTINELS) }>(&[Ipv4Addr::LOCALHOST])?;
        let (ports, tls_ports) = ports.split_at(SERVERS + SENTINELS);
        let (server_ports, sentinel_ports) = ports.split_at(SERVERS);
        let (server_tls_ports, sentinel_tls_ports) = tls_ports.split_at(SERVERS);
        let of_servers = security.map(|(servers, _)| servers);
        let of_sentinels = security.map(|(_, sentinels)| sentinels);
        let master_port = if security.is_some() { server_tls_ports[0] } else { server_ports[0] };
        let password = of_servers.map(|security| &security.password);
        let mut servers: Vec<Redis> = Vec::new();
        for (index, (&port, &tls_port)) in server_ports.iter().zip(server_tls_ports).enumerate() {
            let name = format!("redis-{}", index + 1);
            let follows = if index == 0 { String::new() } else { format!("replicaof 127.0.0.1 {master_port}\n") };
            let shows = password.map(|password| format!("masterauth {password}\n")).unwrap_or_default();
            let (folder, security) = (folder.join(&name), of_servers.map(|security| (tls_port, security)));
            servers.push(Redis::start_with(port, &name, &folder, &(follows + &shows), &[], security)?);
        }
        for replica in &servers[1..] {
            replica.wait_for(AGREE_LIMIT, || follows_its_master(replica))?;
        }
        let settings = format!(
            "sentinel monitor {MASTER_NAME} 127.0.0.1 {master_port} 2\n\
             sentinel down-after-milliseconds {MASTER_NAME} 2000\n\
             sentinel failover-timeout {MASTER_NAME} 4000\n\
             sentinel parallel-syncs {MASTER_NAME} 2\n\
             {}",
            password.map(|password| format!("sentinel auth-pass {MASTER_NAME} {password}\n")).unwrap_or_default(),
        );
        let mut sentinels = Vec::new();
        for (index, (&port, &tls_port)) in sentinel_ports.iter().zip(sentinel_tls_ports).enumerate() {
            let name = format!("sentinel-{}", index + 1);
            let (folder, security) = (folder.join(&name), of_sentinels.map(|security| (tls_port, security)));
            sentinels.push(Redis::start_with(port, &name, &folder, &settings, &["--sentinel"], security)?);
        }
        let trio = Self { sentinels, servers };
        trio.wait_until_whole()?;
        Ok(trio)
    }

    /// Waits until each Sentinel that runs knows of a master that is well, of two replicas and of the other Sentinels, and every
    /// server but the master follows it. The Sentinels make a replica of a master that comes back after about 10 s.
    ///
    /// # Errors
    ///
    /// After 30 s, with what is missing.
    pub fn wait_until_whole(&self) -> Result<(), ServiceError> {
        for sentinel in self.sentinels.iter().filter(|sentinel| sentinel.is_running()) {
            sentinel.wait_for(AGREE_LIMIT, || knows_all(sentinel))?;
        }
        let master = self.master()?;
        let others = self.servers.iter().enumerate().filter(|(index, _)| *index != master);
        others
            .map(|(_, server)| server)
            .try_for_each(|server| server.wait_for(AGREE_LIMIT, || follows_its_master(server)))
    }

    /// Waits until the Sentinels have put another server in the place of this one, which was killed or stopped, and that takes
    /// writes; returns its index.
    ///
    /// # Errors
    ///
    /// After 30 s.
    pub fn wait_until_replaced(&self, old: usize) -> Result<usize, ServiceError> {
        wait_for(AGREE_LIMIT, || {
            let master = self.master().map_err(|error| error.to_string())?;
            if master == old {
                return Err(format!("{} is the master still", self.servers[old].name()));
            }
            let role = self.servers[master].order(&["ROLE"]).map_err(|error| error.to_string())?;
            match role.as_list().first().and_then(Reply::as_text) {
                Some("master") => Ok(master),
                _ => Err(format!("{} does not know yet that it is the master", self.servers[master].name())),
            }
        })
        .map_err(|missing| ServiceError::refused("the Sentinels", missing))
    }

    /// Returns the servers. At the start the first is the master.
    pub fn servers(&self) -> &[Redis] {
        &self.servers
    }

    /// Returns the Sentinels.
    pub fn sentinels(&self) -> &[Redis] {
        &self.sentinels
    }

    /// Returns the name under which the Sentinels know the master.
    pub fn master_name(&self) -> &'static str {
        MASTER_NAME
    }

    /// Returns the URLs of the Sentinels, for a client that asks them for the master.
    pub fn sentinel_urls(&self) -> Vec<String> {
        self.sentinels.iter().map(Redis::url).collect()
    }

    /// Returns the index of the server that is the master now, as the first Sentinel that runs sees it.
    ///
    /// # Errors
    ///
    /// If no Sentinel answers.
    pub fn master(&self) -> Result<usize, ServiceError> {
        let sentinel = self.sentinels.iter().find(|sentinel| sentinel.is_running());
        let sentinel = sentinel.ok_or_else(|| ServiceError::refused("the Sentinels", "none runs"))?;
        let address = sentinel.order(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME])?;
        let port = address.as_list().get(1).and_then(Reply::as_text).unwrap_or_default().to_owned();
        let index = self.servers.iter().position(|server| server.known_port().to_string() == port);
        index.ok_or_else(|| ServiceError::refused(sentinel.name(), format!("the master has the strange port {port:?}")))
    }
}

fn follows_its_master(replica: &Redis) -> Result<(), String> {
    let replication = replica.report(&["INFO", "replication"]).map_err(|error| error.to_string())?;
    if info(&replication, "master_link_status") == Some("up") {
        return Ok(());
    }
    Err("it does not follow its master yet".to_owned())
}

fn knows_all(sentinel: &Redis) -> Result<(), String> {
    let report = sentinel.report(&["INFO", "sentinel"]).map_err(|error| error.to_string())?;
    let expected = format!("slaves={},sentinels={SENTINELS}", SERVERS - 1);
    let seen = info(&report, "master0").unwrap_or_default();
    if seen.ends_with(&expected) && seen.contains("status=ok") {
        return Ok(());
    }
    Err(format!("it knows {seen:?}, not yet {expected}"))
}
