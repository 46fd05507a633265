//! A rollcall process of the cluster, with the ways that lead from it.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rollcall_load::server::{Placement, Spawned};
use rollcall_proxy::Proxy;
use tokio::sync::Mutex;

use crate::fault::{Place, node_name};
use crate::nemesis::until;
use crate::redis_servers::RedisServers;

/// How long a node may take to be ready again once nothing is wrong any more. It may end a few times before, as long as it cannot reach
/// what it needs: whoever runs it starts it again.
const UP_TIMEOUT: Duration = Duration::from_secs(45);

/// How long a node may take to have connected to every server.
const WAYS_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait before a node is started again that ended by itself.
const START_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// A node.
pub struct Node {
    /// Its name.
    pub name: String,
    /// Where clients connect, without a proxy.
    pub public: SocketAddr,
    /// Where operators look.
    pub ops: SocketAddr,
    /// Its process.
    pub server: Mutex<Spawned>,
    /// Its way to Redis, in a cluster whose Redis is one server.
    pub to_redis: Option<Proxy>,
    /// Its ways to Cassandra's servers, in their order.
    pub to_cassandra: Vec<Proxy>,
    /// How often it was started: its counters begin anew each time.
    pub life: Cell<u64>,
    /// It is there and not stopped.
    pub is_up: Cell<bool>,
}

/// What the node's processes depend on.
pub struct Surroundings<'a> {
    /// The server's program.
    pub binary: &'a Path,
    /// What lies below it is the node's own.
    pub folder: &'a Path,
    /// What tokens are signed with.
    pub secret: &'a str,
    /// Redis, in a cluster.
    pub redis: Option<&'a RedisServers>,
    /// Cassandra's servers.
    pub cassandra: &'a [SocketAddr],
    /// Settings on top.
    pub settings: &'a [(String, String)],
}

impl Node {
    /// Makes a node that does not run yet, and its ways.
    ///
    /// # Errors
    /// Where ports or folders cannot be had.
    pub async fn at_rest(place: Place, around: &Surroundings<'_>) -> anyhow::Result<Self> {
        let name = node_name(place);
        let folder = around.folder.join(&name);
        std::fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
        let mut server = Spawned::at_rest(around.binary, &folder, Placement::Free, around.secret.to_owned())?;
        let to_cassandra = ways_to_cassandra(around.cassandra).await?;
        server.set("LOG__KIND", "cql".to_owned());
        server.set("CQL__CONTACT_POINTS", to_cassandra[0].address().to_string());
        server.set("DRAIN__WINDOW_MS", "500".to_owned());
        let to_redis = match around.redis.and_then(RedisServers::by_proxy) {
            Some(redis) => Some(Proxy::start_redis(redis).await.context("failed to make the way to Redis")?),
            None => None,
        };
        if let Some(redis) = around.redis {
            server.set("CLUSTER__NODE", name.clone());
            server.set("CLUSTER__CONNECT", format!("ws://{}", server.public()));
            redis.settings().into_iter().for_each(|(name, value)| server.set(name, value));
        }
        if let Some(to_redis) = &to_redis {
            server.set("REDIS__SERVERS", to_redis.address().to_string());
        }
        around.settings.iter().for_each(|(name, value)| server.set(name, value.clone()));
        let (public, ops) = (server.public(), server.ops());
        let (server, life, is_up) = (Mutex::new(server), Cell::new(0), Cell::new(false));
        Ok(Self { name, public, ops, server, to_redis, to_cassandra, life, is_up })
    }

    /// Starts the node and waits until it is ready. One that ends before is started again.
    ///
    /// # Errors
    /// Where it is not ready in time; the end of its log is in the error.
    pub async fn start(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + UP_TIMEOUT;
        let mut server = self.server.lock().await;
        loop {
            if server.pid().is_err() {
                self.life.set(self.life.get() + 1);
            }
            match server.be_up().await {
                Ok(()) => {
                    self.is_up.set(true);
                    return Ok(());
                }
                Err(error) if Instant::now() > deadline => {
                    return Err(error).with_context(|| format!("{} did not come up in {UP_TIMEOUT:?}", self.name));
                }
                Err(_) => tokio::time::sleep(START_AGAIN_AFTER).await, // pace: between two starts
            }
        }
    }

    /// Checks that the node goes its ways: one that went past a proxy would not be harmed.
    ///
    /// # Errors
    /// Where it does not, some seconds after it was ready.
    pub async fn check_ways(&self) -> anyhow::Result<()> {
        let ways = || self.to_cassandra.iter().chain(&self.to_redis);
        let unused = || ways().filter(|way| way.open_connections() == 0).map(|way| way.address().to_string());
        if until(WAYS_TIMEOUT, || unused().next().is_none()).await {
            return Ok(());
        }
        bail!("{} does not go by {}", self.name, unused().collect::<Vec<_>>().join(", "))
    }

    /// Kills the node with SIGKILL.
    ///
    /// # Errors
    /// Where it had ended by itself.
    pub async fn kill(&self) -> anyhow::Result<()> {
        self.is_up.set(false);
        self.server.lock().await.kill().await.with_context(|| format!("{} was not there to be killed", self.name))
    }

    /// Has the node end with SIGTERM.
    ///
    /// # Errors
    /// Where it does not, or not with exit code 0.
    pub async fn stop(&self) -> anyhow::Result<()> {
        self.is_up.set(false);
        self.server.lock().await.stop().await.with_context(|| format!("{} did not end well", self.name))
    }

    /// Stops the node with SIGSTOP.
    ///
    /// # Errors
    /// Where it does not run.
    pub async fn pause(&self) -> anyhow::Result<()> {
        self.is_up.set(false);
        self.server.lock().await.pause().with_context(|| format!("{} was not there to be stopped", self.name))
    }

    /// Has the node go on.
    ///
    /// # Errors
    /// Where it does not run.
    pub async fn resume(&self) -> anyhow::Result<()> {
        self.server.lock().await.resume().with_context(|| format!("{} was not there to go on", self.name))?;
        self.is_up.set(true);
        Ok(())
    }
}

/// Makes a proxy for each server of Cassandra, on the server's address and one port. The driver is told of one of them, asks it for the
/// addresses of all, and takes them to have the port that it came by: so it finds the others' proxies too.
async fn ways_to_cassandra(servers: &[SocketAddr]) -> anyhow::Result<Vec<Proxy>> {
    const TRIES: usize = 100;
    // Where the servers' own ports are: below those that the system gives to outgoing connections.
    const PORTS: std::ops::Range<u16> = 18_000..32_768;
    let mut why = None;
    for _ in 0..TRIES {
        match ways_on_port(servers, rand::random_range(PORTS)).await {
            Ok(ways) => return Ok(ways),
            Err(error) => why = Some(error),
        }
    }
    Err(why.map_or_else(|| anyhow::anyhow!("nothing was tried"), anyhow::Error::from))
        .context("failed to make the ways to Cassandra")
}

async fn ways_on_port(servers: &[SocketAddr], port: u16) -> std::io::Result<Vec<Proxy>> {
    let mut ways = Vec::new();
    for &server in servers {
        ways.push(Proxy::start_cql(SocketAddr::new(server.ip(), port), server).await?);
    }
    Ok(ways)
}
