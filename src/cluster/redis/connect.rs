//! Making connections: to whom, and whether it is a Redis that can be used.

use std::time::Duration;

use futures_util::future::select_ok;
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Cmd, ConnectionAddr, ConnectionInfo, Pipeline, RedisResult, Value, cmd};

use super::error::RedisError;
use super::sentinel;
use super::settings::{Kind, Servers};

/// How long a server may take to accept a connection and to shake hands.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// How long a server may take to answer a command.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// The wait for the first try after one that failed.
const PAUSE_FIRST: Duration = Duration::from_millis(50);

/// The longest wait between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Where commands go.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    pub async fn run(&mut self, cmd: &Cmd) -> RedisResult<Value> {
        match self {
            Self::One(connection) => cmd.query_async(connection).await,
            Self::Cluster(connection) => cmd.query_async(connection).await,
        }
    }

    /// Runs commands that all touch one slot.
    pub async fn run_all(&mut self, pipeline: &Pipeline) -> RedisResult<Value> {
        match self {
            Self::One(connection) => pipeline.query_async(connection).await,
            Self::Cluster(connection) => pipeline.query_async(connection).await,
        }
    }

    /// Tells after how many failures in a row the connection is made anew: the driver follows a cluster that changes.
    pub fn failures_max(&self) -> u32 {
        match self {
            Self::One(_) => 1,
            Self::Cluster(_) => 3,
        }
    }
}

/// A connection that was made for commands.
pub(super) struct Opened {
    pub connection: Connection,
    /// The server's version.
    pub version: String,
    /// Which server it is, where it is one.
    pub server: Option<ConnectionInfo>,
}

/// The waits between tries, which grow up to a second and are spread.
#[derive(Debug)]
pub(super) struct Pauses(Duration);

impl Pauses {
    pub fn new() -> Self {
        Self(PAUSE_FIRST)
    }

    pub async fn wait(&mut self) {
        tokio::time::sleep(self.0.mul_f64(rand::random_range(0.5..=1.0))).await;
        self.0 = (self.0 * 2).min(PAUSE_MAX);
    }
}

/// Returns the settings of a connection that tells of its end.
pub(super) fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_LIMIT)).set_response_timeout(Some(ANSWER_LIMIT))
}

/// Connects for commands, and checks that the server can be used.
pub(super) async fn connect(servers: &Servers) -> Result<Opened, RedisError> {
    match &servers.kind {
        Kind::Single(info) => connect_to_master(servers, info.clone()).await,
        Kind::Sentinel { .. } => sentinel::connect(servers).await,
        Kind::Cluster(seeds) => {
            let (_, version) = first_that_answers(servers, seeds).await?;
            let connection = Connection::Cluster(connect_to_cluster(servers, seeds).await?);
            Ok(Opened { connection, version, server: None })
        }
    }
}

/// Returns the server to ask for a sharded channel; one of a cluster says who has it.
pub(super) async fn subscription_server(servers: &Servers) -> Result<ConnectionInfo, RedisError> {
    match &servers.kind {
        Kind::Single(info) => Ok(info.clone()),
        Kind::Sentinel { .. } => sentinel::find_master(servers).await,
        Kind::Cluster(seeds) => Ok(first_that_answers(servers, seeds).await?.0),
    }
}

/// Returns an address with another one's credentials and TLS; none where the text is none.
pub(super) fn at_address(like: &ConnectionInfo, address: &str) -> Option<ConnectionInfo> {
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host = match (host.trim_matches(['[', ']']), like.addr()) {
        // A server that does not know its own name leaves it out.
        ("", ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. }) => host.clone(),
        (host, _) => host.to_owned(),
    };
    Some(like.clone().set_addr(with_host(like.addr(), host, port)))
}

pub(super) fn with_host(like: &ConnectionAddr, host: String, port: u16) -> ConnectionAddr {
    match like {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => ConnectionAddr::Tcp(host, port),
    }
}

/// Connects to a server of its own, or one that Sentinels name; refused where it is no master.
pub(super) async fn connect_to_master(servers: &Servers, info: ConnectionInfo) -> Result<Opened, RedisError> {
    let mut connection = open(servers, info.clone()).await?;
    let about = About::read(&mut connection).await?;
    about.check(false)?;
    if !about.is_master {
        return Err(RedisError::Replica);
    }
    Ok(Opened { connection: Connection::One(connection), version: about.version, server: Some(info) })
}

/// Asks all at once, since some may be stopped: returns the first that answers as a part of a cluster, and its version.
async fn first_that_answers(
    servers: &Servers,
    seeds: &[ConnectionInfo],
) -> Result<(ConnectionInfo, String), RedisError> {
    let ask = |seed: &ConnectionInfo| {
        let seed = seed.clone();
        Box::pin(async move {
            let about = About::read(&mut open(servers, seed.clone()).await?).await?;
            about.check(true)?;
            Ok((seed, about.version))
        })
    };
    select_ok(seeds.iter().map(ask)).await.map(|(first, _)| first)
}

async fn connect_to_cluster(servers: &Servers, seeds: &[ConnectionInfo]) -> Result<ClusterConnection, RedisError> {
    // One retry: with a redirection it takes one when a slot has moved.
    let mut builder = ClusterClient::builder(seeds.iter().cloned())
        .connection_timeout(CONNECT_LIMIT)
        .response_timeout(ANSWER_LIMIT)
        .retries(1)
        .min_retry_wait(10)
        .max_retry_wait(100);
    // Naming certificates would ask for TLS.
    if seeds.iter().any(|seed| matches!(seed.addr(), ConnectionAddr::TcpTls { .. })) {
        builder = builder.certs(servers.certificates.clone());
    }
    let client = builder.build()?;
    limited(client.get_async_connection()).await
}

/// Tells whether a server says that it is a master; an error where it does not answer, or cannot be used.
pub(super) async fn is_master(servers: &Servers, info: ConnectionInfo) -> Result<bool, RedisError> {
    Ok(About::read(&mut open(servers, info).await?).await?.is_master)
}

pub(super) async fn open(servers: &Servers, info: ConnectionInfo) -> Result<MultiplexedConnection, RedisError> {
    limited(servers.client(info)?.get_multiplexed_async_connection_with_config(&config())).await
}

/// Bounds the handshake too.
pub(super) async fn limited<T>(connecting: impl Future<Output = RedisResult<T>>) -> Result<T, RedisError> {
    match tokio::time::timeout(CONNECT_LIMIT + ANSWER_LIMIT, connecting).await {
        Ok(connected) => Ok(connected?),
        Err(_) => Err(RedisError::TimedOut),
    }
}

/// What a server says of itself.
#[derive(Debug)]
struct About {
    version: String,
    is_master: bool,
    is_cluster: bool,
}

impl About {
    async fn read(connection: &mut MultiplexedConnection) -> Result<Self, RedisError> {
        let report: String = cmd("INFO").query_async(connection).await?;
        Ok(Self::parse(&report))
    }

    fn parse(report: &str) -> Self {
        let field = |name: &str| {
            report.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default().trim()
        };
        Self {
            version: field("redis_version").to_owned(),
            is_master: field("role") == "master",
            is_cluster: field("cluster_enabled") == "1",
        }
    }

    fn check(&self, wants_cluster: bool) -> Result<(), RedisError> {
        let major = self.version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_none_or(|major| major < 7) {
            return Err(RedisError::TooOld { found: self.version.clone() });
        }
        if self.is_cluster != wants_cluster {
            return Err(RedisError::Mode { is_cluster: self.is_cluster });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_of_itself_is_checked() {
        let about = |version: &str, cluster: u8| {
            About::parse(&format!(
                "# Server\r\nredis_version:{version}\r\nrole:master\r\ncluster_enabled:{cluster}\r\n"
            ))
        };
        assert!(about("7.0.15", 0).is_master);
        assert_eq!(about("7.0.15", 0).check(false), Ok(()));
        assert_eq!(about("10.1.0", 1).check(true), Ok(()));
        assert_eq!(about("7.0.15", 1).check(false), Err(RedisError::Mode { is_cluster: true }));
        assert_eq!(about("7.0.15", 0).check(true), Err(RedisError::Mode { is_cluster: false }));
        for version in ["6.2.14", "", "seven"] {
            assert_eq!(about(version, 0).check(false), Err(RedisError::TooOld { found: version.to_owned() }));
        }
    }
}
