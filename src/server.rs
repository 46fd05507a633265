//! The composition root: puts log, rooms, gateway and ops together, and takes them apart in order.

mod drainage;
mod tuning;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rollcall_actors::cluster::Standing;
use rollcall_actors::limits::{ACTIVATION_PAUSE_MS, RETENTION_LOOK_MS};
use rollcall_actors::ports::{Log, NodeId, Ports, Takeovers};
use rollcall_actors::room::Retention;
use rollcall_actors::shell::{Directory, QueueLimits, RingLimits, RoomSettings, Sessions};
use rollcall_protocol::{CloseCode, Kind};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::{AuthSetupError, PrivateFileError, TokenVerifier};
use crate::cluster::{JoinError, Membership};
use crate::config::{Config, ConfigError, LogKind, SecretError};
use crate::gateway::{Gateway, GatewaySettings, Listener, Rate, Registry, UserRates};
use crate::limits::FILES_RESERVED;
use crate::log::{
    COMMIT_BUCKETS_US, CqlError, CqlLog, CqlOptions, EmbeddedLog, EmbeddedOptions, LogStats, NodeLog, OpenError,
};
use crate::metrics::{ClusterFigures, Figures, Metrics};
use crate::ops::admin::{self, Admin, AdminToken};
use crate::ops::{Check, Ops, OpsError, Readiness};
use drainage::Drainage;

pub use tuning::{Tuning, WrapLog};

/// A running server.
pub struct Server {
    public: SocketAddr,
    gateway: Arc<Gateway>,
    log: Arc<dyn NodeLog>,
    ops: Ops,
    serving: Check,
    drain: crate::config::Drain,
    accepting: JoinHandle<()>,
    stop_accepting: CancellationToken,
    connections: TaskTracker,
}

/// Why a server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address could not be had.
    #[error("failed to listen on {address}: {source}; {}", advice(source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The configuration asks for what must not be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log could not be opened.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The servers that keep the log cannot be used.
    #[error(transparent)]
    Cql(#[from] CqlError),
    /// The password for them cannot be read.
    #[error(transparent)]
    Password(#[from] SecretError),
    /// The keys could not be read or made.
    #[error(transparent)]
    Auth(#[from] AuthSetupError),
    /// The operators' token could not be read or made.
    #[error(transparent)]
    AdminToken(#[from] PrivateFileError),
    /// The ops listener could not be started.
    #[error(transparent)]
    Ops(#[from] OpsError),
    /// The server cannot be a node of its cluster.
    #[error(transparent)]
    Cluster(#[from] JoinError),
    /// An actor could not be started.
    #[error("failed to start the actors: {0}")]
    Actors(String),
}

/// Why a server that has started cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotGoOn {
    /// Another server has its name in the cluster, and was there before.
    #[error("another server runs as node {} of the cluster: give each a `cluster.node` of its own", .node.0)]
    NameTaken {
        /// The name.
        node: NodeId,
    },
    /// The task of the cluster's node has ended, and nothing had asked it to.
    #[error("the node's task has ended; this is a bug of rollcall")]
    NodeEnded,
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another process has the port: stop it, or choose another address",
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege: choose another one",
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address",
        _ => "choose another address",
    }
}

/// How a server stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// Clients are told and given time, rooms finish what they took, everything is stored.
    Graceful,
    /// As graceful, without the time for clients and load balancers.
    Quick,
}

impl Server {
    /// Starts a server, and returns when it serves.
    ///
    /// # Errors
    /// Where an address is taken, or the data folder cannot be used.
    ///
    /// # Cancel safety
    /// Dropped half-way, what was started is dropped too.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_tuned(config, Tuning::default()).await
    }

    /// Starts a server in which something is not as in every other one, for tests.
    ///
    /// # Errors
    /// As [`Server::start`].
    ///
    /// # Cancel safety
    /// As [`Server::start`].
    pub async fn start_tuned(config: Config, tuning: Tuning) -> Result<Self, StartError> {
        config.check()?;
        let listener = TcpListener::bind(config.listen.public)
            .await
            .map_err(|source| StartError::Listen { address: config.listen.public, source })?;
        let public =
            listener.local_addr().map_err(|source| StartError::Listen { address: config.listen.public, source })?;

        let settings = gateway_settings(&config, &tuning);
        let (log, takeovers) = open_log(&config, tuning.log).await?;
        let verifier = TokenVerifier::open(&config.auth, &config.data.dir)?;
        let wrapped = (tuning.wrap_log)(Arc::clone(&log) as Arc<dyn Log>);
        let read_by_operators = Arc::downgrade(&wrapped);
        let ports = Ports { log: wrapped, clock: Arc::clone(&tuning.clock) };
        let rooms = room_settings(&config);
        let (cluster, membership) = match config.cluster.node.as_deref().zip(takeovers) {
            None => (tuning.cluster, None),
            Some((node, takeovers)) => {
                let (membership, cluster) = Membership::prepare(&config, node, takeovers).await?;
                (Some(cluster), Some(membership))
            }
        };
        let directory = match cluster {
            None => Directory::start(ports, rooms).await,
            Some(cluster) => Directory::start_in_cluster(ports, rooms, cluster).await,
        };
        let directory = directory.map_err(|error| StartError::Actors(error.to_string()))?;
        let figures = {
            let (directory, log, membership) = (directory.clone(), Arc::downgrade(&log), membership.clone());
            move || {
                let log = log.upgrade().map(|log| log.stats()).unwrap_or_default();
                figures(&directory, log, membership.as_ref())
            }
        };
        let metrics = Metrics::new(figures);
        let readiness = Readiness::default();
        let serving = readiness.check("serving", "starting");
        let probed = Arc::downgrade(&log);
        readiness.probe("log", move || probed.upgrade().map_or_else(|| Some("closed".to_owned()), |log| log.away()));
        if let Some(membership) = membership {
            readiness.notice("redis", move || membership.away());
        }
        if let Some(cluster) = directory.cluster() {
            let view = cluster.view();
            readiness.probe("cluster", move || standing(view.borrow().standing));
        }
        let registry = Registry::default();
        let drainage = Drainage {
            serving: serving.clone(),
            directory: directory.clone(),
            registry: registry.clone(),
            window: Duration::from_millis(config.drain.window_ms),
            runtime: Handle::current(),
            has_begun: Arc::default(),
        };
        let admin = admin::router(Admin {
            token: AdminToken::open(&config.data.dir)?,
            directory: directory.clone(),
            log: read_by_operators,
            connect: config.cluster.connect.clone(),
            drain: Box::new(move || drainage.begin()),
            runtime: Handle::current(),
        });
        let ops = Ops::start(config.ops.listen, metrics.clone(), readiness.clone(), admin)?;
        let gateway = Arc::new(Gateway {
            directory,
            sessions: Sessions::start().await.map_err(|error| StartError::Actors(error.to_string()))?,
            registry,
            settings,
            verifier: Arc::new(verifier),
            clock: tuning.clock,
            metrics,
            readiness,
            user_rates: UserRates::new(Rate {
                per_s: config.limits.commands_per_user_per_s,
                burst: config.limits.commands_per_user_burst,
            }),
        });

        let stop_accepting = CancellationToken::new();
        let connections = TaskTracker::new();
        let listener = Listener::new(listener, Arc::clone(&gateway), connections.clone(), stop_accepting.clone());
        serving.pass();
        let accepting = tokio::spawn(listener.run());
        Ok(Self { public, gateway, log, ops, serving, drain: config.drain, accepting, stop_accepting, connections })
    }

    /// Returns where clients connect; with the port that was given for port 0.
    pub fn public_address(&self) -> SocketAddr {
        self.public
    }

    /// Returns where operators look; with the port that was given for port 0.
    pub fn ops_address(&self) -> SocketAddr {
        self.ops.address()
    }

    /// Waits until the server cannot go on, and returns why; forever as long as it can.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn cannot_go_on(&self) -> CannotGoOn {
        let Some(cluster) = self.gateway.directory.cluster() else { return std::future::pending().await };
        let mut view = cluster.view();
        let taken = view.wait_for(|view| matches!(view.standing, Standing::NameTaken { .. })).await;
        match taken {
            Ok(_) => CannotGoOn::NameTaken { node: cluster.me().node.clone() },
            Err(_) => CannotGoOn::NodeEnded,
        }
    }

    /// Returns the server's rooms.
    pub fn directory(&self) -> &Directory {
        &self.gateway.directory
    }

    /// Returns the log under the server's rooms.
    pub fn log(&self) -> Arc<dyn Log> {
        Arc::clone(&self.log) as Arc<dyn Log>
    }

    /// Stops: says that it is not ready, tells the clients, gives the rooms up, closes the connections and the log.
    ///
    /// # Cancel safety
    /// Dropped half-way, what was acknowledged is stored all the same; snapshots may be missing, which costs the next start time.
    pub async fn stop(self, mode: StopMode) {
        self.serving.fail("stopping");
        let graceful = mode == StopMode::Graceful;
        if graceful {
            tokio::time::sleep(Duration::from_millis(self.drain.grace_ms)).await;
        }
        self.stop_accepting.cancel();
        let _ = self.accepting.await;
        self.gateway.registry.announce(if graceful { self.drain.window_ms } else { 0 });
        let timeout = Duration::from_millis(self.drain.timeout_ms);
        if tokio::time::timeout(timeout, self.gateway.directory.drain()).await.is_err() {
            tracing::warn!(rooms = self.gateway.directory.active_rooms(), "some rooms did not end in time");
        }
        self.gateway.registry.close_all(CloseCode::GoingAway);
        self.connections.close();
        if tokio::time::timeout(timeout, self.connections.wait()).await.is_err() {
            tracing::warn!(connections = self.connections.len(), "some connections did not end in time");
        }
        if tokio::time::timeout(timeout, self.gateway.directory.end()).await.is_err() {
            tracing::warn!("some work for rooms did not end in time");
        }
        self.gateway.sessions.stop();
        let log = Arc::clone(&self.log);
        let _ = tokio::task::spawn_blocking(move || log.close()).await;
        self.ops.stop().await;
    }
}

/// A log, and where nodes of a cluster that share it tell of their take-overs.
type OpenedLog = (Arc<dyn NodeLog>, Option<Arc<dyn Takeovers>>);

async fn open_log(config: &Config, options: EmbeddedOptions) -> Result<OpenedLog, StartError> {
    if config.log.kind == LogKind::Cql {
        let log = Arc::new(
            CqlLog::open(CqlOptions::from_settings(&config.cql)?.for_active_rooms(config.rooms.active_max)).await?,
        );
        return Ok((Arc::clone(&log) as Arc<dyn NodeLog>, Some(log)));
    }
    let dir = config.data.dir.clone();
    let options = EmbeddedOptions {
        gather: Duration::from_micros(config.log.gather_window_us),
        disk_reserve_bytes: config.data.free_space_reserve_bytes,
        ..options
    };
    let opened = tokio::task::spawn_blocking(move || EmbeddedLog::open(&dir, options)).await;
    Ok((Arc::new(opened.expect("opening the log does not panic")?), None))
}

/// Says why a node should not be sent clients; none where it should.
fn standing(standing: Standing) -> Option<String> {
    match standing {
        Standing::Member => None,
        Standing::Claiming => Some("asks Redis for its name".to_owned()),
        Standing::ClockWrong { ahead_ms } => Some(format!(
            "this machine's clock is {ahead_ms} ms ahead of Redis's: it takes no rooms before that is mended"
        )),
        Standing::NameTaken { .. } => Some("another server has this node's name".to_owned()),
    }
}

/// Returns what rooms and log have counted.
fn figures(directory: &Directory, log: LogStats, membership: Option<&Membership>) -> Figures {
    let bounds = COMMIT_BUCKETS_US.iter().map(|&us| us as f64 / 1e6).chain([f64::INFINITY]);
    Figures {
        rooms: directory.active_rooms() as u64,
        rooms_damaged: directory.damaged_rooms() as u64,
        committed: Kind::ALL.map(|kind| directory.committed(kind)),
        expired: directory.expired(),
        log_syncs: log.syncs,
        log_entries: log.entries,
        log_failures: log.failures,
        log_reopens: log.reopens,
        log_appends: log.appends,
        log_refused_appends: log.refused,
        log_settled_appends: [log.settled_applied, log.settled_not_applied],
        log_activations: log.activations,
        log_redacted_entries: log.redacted,
        log_written_bytes: log.bytes,
        log_sync_s: log.commit_us as f64 / 1e6,
        log_syncs_by_s: bounds.zip(log.commits_by_time).collect(),
        cluster: directory
            .cluster()
            .zip(membership)
            .map(|(cluster, membership)| ClusterFigures::of(cluster, membership)),
    }
}

fn room_settings(config: &Config) -> RoomSettings {
    let rooms = &config.rooms;
    RoomSettings {
        queue: QueueLimits { entries_max: rooms.queue_entries_max, bytes_max: rooms.queue_bytes_max },
        ring: RingLimits { entries_max: rooms.ring_entries_max, bytes_max: rooms.ring_bytes_max },
        idle: Duration::from_millis(rooms.idle_ms),
        idle_rooms_max: rooms.idle_max,
        active_rooms_max: rooms.active_max,
        activation_pause: Duration::from_millis(ACTIVATION_PAUSE_MS),
        retention: Retention {
            entries_max: config.retention.entries_max,
            age_max_ms: config.retention.age_max_s.map(|age_s| age_s.saturating_mul(1_000)),
        },
        retention_look: Duration::from_millis(RETENTION_LOOK_MS),
    }
}

fn gateway_settings(config: &Config, tuning: &Tuning) -> GatewaySettings {
    let limits = &config.limits;
    GatewaySettings {
        connections_max: limits.connections_max.unwrap_or_else(connections_of_file_limit),
        connections_per_address_max: limits.connections_per_address_max,
        commands_per_connection: Rate {
            per_s: limits.commands_per_connection_per_s,
            burst: limits.commands_per_connection_burst,
        },
        origins_allowed: config.origins.allowed.clone(),
        connect: config.cluster.connect.clone(),
        hosts_allowed: config.auth.guests_allowed().then(|| config.hosts.allowed.clone()),
        write_stall: tuning.write_stall,
        ping_interval: tuning.ping_interval,
        pong_timeout: tuning.pong_timeout,
        hello_timeout: tuning.hello_timeout,
    }
}

/// Raises the limit of open files as far as the system allows, and keeps a reserve for log and ops.
fn connections_of_file_limit() -> usize {
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or_else(|error| {
        tracing::warn!(%error, "failed to raise the limit of open files");
        rlimit::Resource::NOFILE.get_soft().unwrap_or(1_024)
    });
    usize::try_from(limit.saturating_sub(FILES_RESERVED)).unwrap_or(usize::MAX).max(1)
}
