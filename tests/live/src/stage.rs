//! Everything that runs: servers of others, our nodes, and the doors that clients come in by.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use rollcall_load::server::{Backing, server_beside_us};
use rollcall_load::target::Endpoint;
use rollcall_protocol::Format;
use rollcall_proxy::Proxy;
use rollcall_services::{Cassandra, ServiceError};
use tokio::task::spawn_blocking;

use crate::cli::Cli;
use crate::fault::{Link, Place};
use crate::node::{Node, Surroundings};
use crate::redis_servers::RedisServers;

/// The servers and their clients' ways to them.
pub struct Stage {
    /// The log's servers.
    pub cassandra: Arc<Cassandra>,
    /// What nodes meet in; none where there is one node.
    pub redis: Option<Arc<RedisServers>>,
    /// Our nodes.
    pub nodes: Vec<Node>,
    /// A client's way in, each.
    pub doors: Vec<Door>,
    /// What all of them keep.
    pub folder: PathBuf,
    secret: String,
}

/// A client's way to a node.
pub struct Door {
    /// The way.
    pub proxy: Proxy,
    /// The node that it leads to, as long as that is there.
    pub home: Place,
}

impl Stage {
    /// Starts everything, in a fresh folder. None where the machine cannot run the servers, which was said then.
    ///
    /// # Errors
    /// Where something does not start.
    pub async fn set(cli: &Cli, folder: PathBuf) -> anyhow::Result<Option<Self>> {
        let binary = match &cli.server {
            Some(path) => path.canonicalize().with_context(|| format!("{} is not there", path.display()))?,
            None => server_beside_us()?,
        };
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("failed to empty {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
        let folder = folder.canonicalize().context("failed to find the folder that was just made")?;
        let Some((backing, redis)) = start_services(cli, &folder).await? else { return Ok(None) };
        backing.make_tables(&binary, &folder).await?;
        let cassandra = backing.cassandra;
        let servers = cassandra.contact_points();

        let secret = format!("{:032x}", rand::random::<u128>());
        let around = Surroundings {
            binary: &binary,
            folder: &folder,
            secret: &secret,
            redis: redis.as_deref(),
            cassandra: &servers,
            settings: &cli.settings,
        };
        let mut nodes = Vec::new();
        for place in 0..usize::from(cli.nodes) {
            let node = Node::at_rest(place, &around).await?;
            node.start().await?;
            node.check_ways().await?;
            nodes.push(node);
        }
        let mut doors = Vec::new();
        for client in 0..cli.clients * u64::from(cli.nodes) {
            let home = usize::try_from(client).unwrap_or(0) % nodes.len();
            let proxy = Proxy::start(nodes[home].public).await.context("failed to make a client's way")?;
            doors.push(Door { proxy, home });
        }
        Ok(Some(Self { cassandra, redis, nodes, doors, folder, secret }))
    }

    /// Returns where a node takes connections, without a proxy.
    pub fn endpoint(&self, node: Place) -> Endpoint {
        Endpoint::local(self.nodes[node].public, Format::Json, &self.secret)
    }

    /// Returns where a client connects. Half of them speak JSON, half `MessagePack`.
    pub fn client_endpoint(&self, door: usize) -> Endpoint {
        let format = if door.is_multiple_of(2) { Format::MsgPack } else { Format::Json };
        Endpoint::local(self.doors[door].proxy.address(), format, &self.secret)
    }

    /// Returns the proxies of a link.
    pub fn proxies(&self, link: Link) -> Vec<&Proxy> {
        match link {
            Link::Redis(node) => self.nodes[node].to_redis.iter().collect(),
            Link::Cassandra(node, None) => self.nodes[node].to_cassandra.iter().collect(),
            Link::Cassandra(node, Some(server)) => vec![&self.nodes[node].to_cassandra[server]],
            Link::Clients(node) => self.doors_of(node).map(|door| &door.proxy).collect(),
        }
    }

    /// Sends a node's clients to the others: those that are connected lose their connection.
    pub fn move_clients_of(&self, node: Place) {
        let others: Vec<&Node> =
            self.nodes.iter().enumerate().filter(|(place, _)| *place != node).map(|(_, node)| node).collect();
        for (door, other) in self.doors_of(node).zip(others.iter().cycle()) {
            door.proxy.redirect(other.public);
            door.proxy.cut();
        }
    }

    /// Lets a node's clients in again when they come the next time.
    pub fn let_clients_back(&self, node: Place) {
        self.doors_of(node).for_each(|door| door.proxy.redirect(self.nodes[node].public));
    }

    /// Puts everything of ours right that a fault may have left when it could not be healed.
    ///
    /// # Errors
    /// Where a node does not come up.
    pub async fn heal(&self) -> anyhow::Result<()> {
        for (place, node) in self.nodes.iter().enumerate() {
            node.to_cassandra.iter().for_each(|way| way.keep_aside(None));
            self.let_clients_back(place);
            // One that was killed is not stopped.
            node.resume().await.ok();
            node.start().await?;
        }
        Ok(())
    }

    fn doors_of(&self, node: Place) -> impl Iterator<Item = &Door> {
        self.doors.iter().filter(move |door| door.home == node)
    }
}

type Services = (Backing, Option<Arc<RedisServers>>);

async fn start_services(cli: &Cli, folder: &Path) -> anyhow::Result<Option<Services>> {
    let (kind, own) = (cli.redis, folder.join("services/redis"));
    let start_redis = async {
        if cli.nodes == 1 {
            return Ok(None);
        }
        let started = spawn_blocking(move || RedisServers::start(kind, &own)).await;
        started.expect("starting servers does not panic").map(Arc::new).map(Some)
    };
    let services = folder.join("services");
    match tokio::try_join!(Backing::start(&services, cli.cassandra_nodes, false), start_redis) {
        Ok(services) => Ok(Some(services)),
        Err(ServiceError::Skipped(why)) if std::env::var_os("CI").is_none_or(|ci| ci != "true") => {
            eprintln!("\nSKIPPED: {why}\n");
            Ok(None)
        }
        Err(error) => Err(error).context("failed to start Redis and Cassandra"),
    }
}
