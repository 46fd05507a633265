//! Servers that stay when the program that started them ends, and the file that says which.

use std::fmt;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::cassandra::{self, Cassandra, Consistency};
use crate::error::{DuringExt as _, ServiceError};
use crate::process::{Ending, ProcessId};
use crate::redis::{self, Redis, RedisCluster, RedisSentinel, Reply};

/// Says what runs, in the folder of the servers.
const STATE: &str = "services.json";

/// Held while servers are started or ended, and the mark of a folder whose contents are ours to remove.
const LOCK: &str = "services.lock";

/// How long servers may take to end by themselves, all together.
const DOWN_LIMIT: Duration = Duration::from_secs(20);

/// How Redis is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RedisMode {
    /// Not at all.
    None,
    /// One server.
    Single,
    /// Three masters with a replica each.
    Cluster,
    /// A master and two replicas under three Sentinels.
    Sentinel,
}

/// Which servers are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetRequest {
    /// How many Cassandra nodes: 0, 1 or 3.
    pub cassandra_nodes: usize,
    /// How Redis is run.
    pub redis: RedisMode,
}

/// Which program a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A Redis server.
    Redis,
    /// A Redis Sentinel.
    Sentinel,
    /// A Cassandra node.
    Cassandra,
}

/// A server that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerRecord {
    /// Its name, which is its folder's too.
    pub name: String,
    /// Which program it is.
    pub kind: Kind,
    /// Where clients connect.
    pub address: SocketAddr,
    /// Its process.
    #[serde(flatten)]
    pub process: ProcessId,
    /// The program's version.
    pub version: String,
    /// What it keeps, and its configuration.
    pub folder: PathBuf,
    /// What it says.
    pub log: PathBuf,
}

/// How a server is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerState {
    /// It answers.
    Ready,
    /// Its process is there, and does not answer.
    Silent,
    /// Its process is gone.
    Ended,
}

/// Servers that run on their own, until [`Fleet::down`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Fleet {
    request: FleetRequest,
    servers: Vec<ServerRecord>,
}

impl Fleet {
    /// Starts servers that outlive this process, each in a folder of its own within `folder`, and returns when all are ready.
    /// They start empty: what earlier ones left in the folder is removed. If the very same servers are up already, they are
    /// returned as they are. If one fails to start, the others are ended.
    ///
    /// # Errors
    ///
    /// [`ServiceError::InTheWay`] if other servers are up there, or the folder holds anything else; else as [`Redis::start`] and
    /// [`Cassandra::start`].
    ///
    /// # Panics
    ///
    /// If the number of Cassandra nodes is not 0, 1 or 3.
    pub fn up(folder: &Path, request: FleetRequest) -> Result<Self, ServiceError> {
        let folder = std::path::absolute(folder).during("find", folder)?;
        let _lock = take_folder(&folder)?;
        if let Some(fleet) = Self::load(&folder)? {
            let states: Vec<ServerState> = fleet.servers.iter().map(ServerRecord::state).collect();
            if fleet.request == request && states.iter().all(|&state| state == ServerState::Ready) {
                return Ok(fleet);
            }
            if states.iter().any(|&state| state != ServerState::Ended) {
                let folder = folder.display();
                return Err(ServiceError::InTheWay(format!(
                    "other servers, or not all of them, are up in {folder}; end them first with `cargo xtask services down`"
                )));
            }
        }
        for name in ["redis", "cassandra"] {
            let path = folder.join(name);
            if path.exists() {
                fs::remove_dir_all(&path).during("remove", &path)?;
            }
        }
        let started = Started::start(&folder, request)?;
        let fleet = Self { request, servers: started.records()? };
        // Written before they are let go: whenever this process dies, they are either gone or known.
        let state = folder.join(STATE);
        let text =
            serde_json::to_string_pretty(&fleet).map_err(|error| ServiceError::refused(STATE, error.to_string()))?;
        fs::write(&state, text).during("write", &state)?;
        started.detach();
        Ok(fleet)
    }

    /// Reads which servers were started in a folder; none, if none were, or they were ended.
    ///
    /// # Errors
    ///
    /// If the file that says so cannot be read.
    pub fn load(folder: &Path) -> Result<Option<Self>, ServiceError> {
        let state = folder.join(STATE);
        if !state.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&state).during("read", &state)?;
        let fleet = serde_json::from_str(&text);
        fleet.map(Some).map_err(|error| ServiceError::refused(&state.display().to_string(), error.to_string()))
    }

    /// Ends the servers of a folder, and only those: a process that merely has the number of one is left alone. Returns how each
    /// ended, in the order in which they were started; empties nothing, so that logs can still be read.
    ///
    /// # Errors
    ///
    /// If one cannot be ended.
    pub fn down(folder: &Path) -> Result<Vec<(ServerRecord, Ending)>, ServiceError> {
        let Some(fleet) = Self::load(folder)? else { return Ok(Vec::new()) };
        let _lock = take_folder(folder)?;
        let deadline = Instant::now() + DOWN_LIMIT;
        let were_alive: Vec<bool> = fleet.servers.iter().map(|server| server.process.is_alive()).collect();
        // All at once, Sentinels before what they watch and replicas before masters: nobody starts a fail-over.
        for server in fleet.servers.iter().rev() {
            server.process.ask_to_end().during("end the server in", &server.folder)?;
        }
        let mut endings = Vec::new();
        for (server, was_alive) in fleet.servers.into_iter().zip(were_alive) {
            let ending = match server.process.end(deadline).during("end the server in", &server.folder)? {
                Ending::HadEnded if was_alive => Ending::Ended,
                ending => ending,
            };
            endings.push((server, ending));
        }
        let state = folder.join(STATE);
        fs::remove_file(&state).during("remove", &state)?;
        Ok(endings)
    }

    /// Returns what was asked for.
    pub fn request(&self) -> FleetRequest {
        self.request
    }

    /// Returns the servers, in the order in which they were started.
    pub fn servers(&self) -> &[ServerRecord] {
        &self.servers
    }

    /// Returns where clients of Redis connect: the servers, or the Sentinels where there are some.
    pub fn redis_urls(&self) -> Vec<String> {
        let kind = if self.request.redis == RedisMode::Sentinel { Kind::Sentinel } else { Kind::Redis };
        self.addresses(kind).map(|address| format!("redis://{address}")).collect()
    }

    /// Returns where clients of Cassandra connect.
    pub fn contact_points(&self) -> Vec<SocketAddr> {
        self.addresses(Kind::Cassandra).collect()
    }

    fn addresses(&self, kind: Kind) -> impl Iterator<Item = SocketAddr> {
        self.servers.iter().filter(move |server| server.kind == kind).map(|server| server.address)
    }
}

impl ServerRecord {
    /// Asks the server how it is.
    pub fn state(&self) -> ServerState {
        if !self.process.is_alive() {
            return ServerState::Ended;
        }
        let answers = match self.kind {
            Kind::Redis | Kind::Sentinel => {
                matches!(redis::command(self.address, &["PING"]), Ok(Reply::Text(_)))
            }
            Kind::Cassandra => cassandra::query(self.address, "SELECT key FROM system.local", Consistency::One).is_ok(),
        };
        if answers { ServerState::Ready } else { ServerState::Silent }
    }

    fn of_redis(server: &Redis, kind: Kind) -> Result<Self, ServiceError> {
        Ok(Self {
            name: server.name().to_owned(),
            kind,
            address: server.address(),
            process: server.process().ok_or_else(|| gone(server.name(), &server.log()))?,
            version: server.version().to_owned(),
            folder: server.folder().to_owned(),
            log: server.log(),
        })
    }

    fn of_cassandra(cluster: &Cassandra, node: usize) -> Result<Self, ServiceError> {
        Ok(Self {
            name: cluster.name(node).to_owned(),
            kind: Kind::Cassandra,
            address: cluster.contact_points()[node],
            process: cluster.process(node).ok_or_else(|| gone(cluster.name(node), &cluster.log(node)))?,
            version: cluster.version().to_owned(),
            folder: cluster.folder(node).to_owned(),
            log: cluster.log(node),
        })
    }
}

impl fmt::Display for ServerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "ready",
            Self::Silent => "silent",
            Self::Ended => "ended",
        })
    }
}

impl FromStr for RedisMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "single" => Ok(Self::Single),
            "cluster" => Ok(Self::Cluster),
            "sentinel" => Ok(Self::Sentinel),
            _ => Err("none of none, single, cluster, sentinel".to_owned()),
        }
    }
}

/// What was started and is still ours.
struct Started {
    redis: StartedRedis,
    cassandra: Option<Cassandra>,
}

enum StartedRedis {
    None,
    Single(Redis),
    Cluster(RedisCluster),
    Sentinel(RedisSentinel),
}

impl Started {
    fn start(folder: &Path, request: FleetRequest) -> Result<Self, ServiceError> {
        let redis_folder = folder.join("redis");
        let redis = match request.redis {
            RedisMode::None => StartedRedis::None,
            RedisMode::Single => StartedRedis::Single(Redis::start(&redis_folder)?),
            RedisMode::Cluster => StartedRedis::Cluster(RedisCluster::start(&redis_folder)?),
            RedisMode::Sentinel => StartedRedis::Sentinel(RedisSentinel::start(&redis_folder)?),
        };
        let cassandra = match request.cassandra_nodes {
            0 => None,
            nodes => Some(Cassandra::start(&folder.join("cassandra"), nodes)?),
        };
        Ok(Self { redis, cassandra })
    }

    fn redis_servers(&self) -> Vec<(&Redis, Kind)> {
        match &self.redis {
            StartedRedis::None => Vec::new(),
            StartedRedis::Single(server) => vec![(server, Kind::Redis)],
            StartedRedis::Cluster(cluster) => cluster.nodes().iter().map(|node| (node, Kind::Redis)).collect(),
            StartedRedis::Sentinel(trio) => {
                let servers = trio.servers().iter().map(|server| (server, Kind::Redis));
                servers.chain(trio.sentinels().iter().map(|sentinel| (sentinel, Kind::Sentinel))).collect()
            }
        }
    }

    fn records(&self) -> Result<Vec<ServerRecord>, ServiceError> {
        let redis = self.redis_servers().into_iter().map(|(server, kind)| ServerRecord::of_redis(server, kind));
        let cassandra = self.cassandra.iter().flat_map(|cluster| {
            (0..cluster.contact_points().len()).map(|node| ServerRecord::of_cassandra(cluster, node))
        });
        redis.chain(cassandra).collect()
    }

    fn detach(&self) {
        for (server, _) in self.redis_servers() {
            server.detach();
        }
        if let Some(cluster) = &self.cassandra {
            for node in 0..cluster.contact_points().len() {
                cluster.detach(node);
            }
        }
    }
}

/// Makes the folder and locks it, if it is ours, new or empty.
fn take_folder(folder: &Path) -> Result<File, ServiceError> {
    let path = folder.join(LOCK);
    fs::create_dir_all(folder).during("make the folder", folder)?;
    if !path.exists() && fs::read_dir(folder).during("list", folder)?.next().is_some() {
        let folder = folder.display();
        return Err(ServiceError::InTheWay(format!("{folder} holds other things: name a folder that is new or empty")));
    }
    let file = File::create(&path).during("make", &path)?;
    file.lock().during("lock", &path)?;
    Ok(file)
}

fn gone(server: &str, log: &Path) -> ServiceError {
    let log_tail = crate::process::log_tail(log);
    ServiceError::Ended { server: server.to_owned(), status: "while others were started".to_owned(), log_tail }
}
