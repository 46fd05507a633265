//! A server in this process, on free ports and a data folder of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rollcall::auth::{Claims, issue};
use rollcall::config::{Config, Secret};
use rollcall::server::{Server, StopMode, Tuning};
use rollcall_protocol::{Format, UserId};
use tempfile::TempDir;

use crate::raw::Raw;
use crate::{http, log_watch};

/// The key of users' tokens.
pub const SECRET: &str = "a secret for tests, of at least thirty-two bytes";

/// How long a token of [`token`] holds, in seconds.
const TOKEN_TTL_S: i64 = 3_600;

/// A running server. Dropped without a stop, it ends with the test's runtime, and log lines are looked at all the same.
pub struct TestServer {
    server: Option<Server>,
    config: Config,
    folder: Arc<TempDir>,
}

/// What a test's server is made of.
pub struct TestServerBuilder {
    /// The configuration: free ports, a secret, guests, no limits of rates.
    pub config: Config,
    /// What the configuration does not set.
    pub tuning: Tuning,
    folder: Arc<TempDir>,
}

impl TestServerBuilder {
    fn new(folder: Arc<TempDir>) -> Self {
        let mut config = Config::default();
        let free_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        config.listen.public = free_port;
        config.ops.listen = free_port;
        config.data.dir = folder.path().to_owned();
        config.auth.secret = Some(Secret::new(SECRET));
        config.auth.guests = Some(true);
        config.limits.commands_per_connection_per_s = 0;
        config.limits.commands_per_user_per_s = 0;
        config.drain.window_ms = 100;
        Self { config, tuning: Tuning::default(), folder }
    }

    /// Changes the configuration.
    #[must_use]
    pub fn config(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Changes what the configuration does not set.
    #[must_use]
    pub fn tuning(mut self, change: impl FnOnce(&mut Tuning)) -> Self {
        change(&mut self.tuning);
        self
    }

    /// Starts the server.
    pub async fn start(self) -> TestServer {
        log_watch::watch(&[]);
        let config = self.config.clone();
        let server = Server::start_tuned(self.config, self.tuning).await.unwrap();
        TestServer { server: Some(server), config, folder: self.folder }
    }
}

impl TestServer {
    /// Describes a server with a new data folder.
    pub fn build() -> TestServerBuilder {
        TestServerBuilder::new(Arc::new(tempfile::tempdir().unwrap()))
    }

    /// Starts a server as the builder describes it.
    pub async fn start() -> Self {
        Self::build().start().await
    }

    /// Returns the server itself.
    pub fn inner(&self) -> &Server {
        self.server.as_ref().expect("a server that was stopped is gone")
    }

    /// Returns where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.inner().public_address()
    }

    /// Returns the data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Opens a connection, and says nothing on it.
    pub async fn connect(&self, format: Format) -> Raw {
        Raw::connect(self.address(), format).await
    }

    /// Opens a connection and says hello for a user, from the user's one device.
    pub async fn user(&self, format: Format, name: &str) -> Raw {
        let mut raw = self.connect(format).await;
        raw.hello(Some(&token(name)), Some(&format!("{name}-device"))).await.unwrap();
        raw
    }

    /// Returns the sum of a metric over its labels, or of the one with a label.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = http::get(self.inner().ops_address(), "/metrics").await.body;
        metric(&text, name)
    }

    /// Waits until a metric has a value.
    pub async fn wait_for_metric(&self, name: &str, value: f64) {
        wait_until(&format!("{name} is {value}"), async || (self.metric(name).await - value).abs() < f64::EPSILON)
            .await;
    }

    /// Stops the server gracefully, and describes one with the same data folder and configuration.
    pub async fn stop(mut self) -> TestServerBuilder {
        if let Some(server) = self.server.take() {
            server.stop(StopMode::Graceful).await;
        }
        TestServerBuilder { config: self.config.clone(), ..TestServerBuilder::new(Arc::clone(&self.folder)) }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            log_watch::assert_quiet();
        }
    }
}

/// Reads a metric from a text for Prometheus: `name` alone sums over labels, `name{label="value"}` takes that one.
pub fn metric(text: &str, name: &str) -> f64 {
    let is_it = |line: &&str| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(' ') || rest.starts_with('{') && !name.contains('{'))
    };
    text.lines().filter(is_it).filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

/// Makes a user's token that holds for an hour.
pub fn token(name: &str) -> String {
    token_of(name, |_| {})
}

/// Makes a user's token with other claims.
pub fn token_of(name: &str, change: impl FnOnce(&mut Claims)) -> String {
    let mut claims = Claims::new(UserId::parse(name).unwrap(), now_s() + TOKEN_TTL_S);
    change(&mut claims);
    issue(&Secret::new(SECRET), &claims)
}

/// Returns the seconds since 1970.
pub fn now_s() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// Waits until a condition holds, looking again every few milliseconds.
///
/// # Panics
/// Where it does not hold within 20 seconds.
pub async fn wait_until(what: &str, condition: impl AsyncFn() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await; // pace: between two looks at the condition
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting)
        .await
        .unwrap_or_else(|_| panic!("waited in vain until {what}"));
}
