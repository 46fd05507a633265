//! The connection for commands, which is kept: when it fails it is made again, without end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::{Cmd, ErrorKind, Pipeline, RedisError as DriverError, ServerErrorKind, Value};
use rollcall_actors::cluster::ownership::{RedisAnswer, RedisCommand};
use rollcall_actors::ports::{Ownership, PortFuture};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::answers::{COMMAND_KINDS, from_redis, kind_of, to_redis};
use super::connect::{ANSWER_LIMIT, Connection, Opened, Pauses, connect};
use super::error::RedisError;
use super::sentinel::replaced;
use super::settings::{RedisSettings, Servers};

/// Whether Redis can be asked now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisState {
    /// It was not reached yet, or it is away: why, as far as the last try told.
    Away(Option<RedisError>),
    /// It answers. The version is told once for each connection.
    Connected {
        /// The server's version.
        version: String,
        /// Which connection this is, from 1: what came after another one may have met another Redis.
        connection: u64,
    },
}

/// Runs commands on Redis. Cloning shares the connection; the last clone that is dropped ends it.
#[derive(Clone)]
pub struct RedisClient {
    shared: Arc<Shared>,
    _keeper: Arc<Keeper>,
}

struct Shared {
    servers: Servers,
    current: Mutex<Current>,
    broken: Notify,
    state: watch::Sender<RedisState>,
    commands: [AtomicU64; COMMAND_KINDS.len()],
    published: AtomicU64,
}

#[derive(Default)]
struct Current {
    connection: Option<Connection>,
    number: u64,
    failures: u32,
}

struct Keeper(AbortHandle);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl std::fmt::Debug for RedisClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisClient").field("state", &*self.shared.state.borrow()).finish_non_exhaustive()
    }
}

impl RedisClient {
    /// Begins to connect; [`RedisClient::state`] tells when that is done. Needs a runtime.
    ///
    /// # Errors
    /// Where the settings name no server. One that cannot be reached is no error: it is tried again for ever.
    pub fn start(settings: &RedisSettings) -> Result<Self, RedisError> {
        let shared = Arc::new(Shared {
            servers: settings.read()?,
            current: Mutex::default(),
            broken: Notify::new(),
            state: watch::Sender::new(RedisState::Away(None)),
            commands: Default::default(),
            published: AtomicU64::new(0),
        });
        let keeper = tokio::spawn(Arc::clone(&shared).keep());
        Ok(Self { shared, _keeper: Arc::new(Keeper(keeper.abort_handle())) })
    }

    /// Connects once, checks the server and closes the connection. Returns its version.
    ///
    /// # Errors
    /// Where it cannot be used, or not be reached within a few seconds.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub async fn check(settings: &RedisSettings) -> Result<String, RedisError> {
        Ok(connect(&settings.read()?).await?.version)
    }

    /// Returns whether Redis can be asked, and tells when that changes.
    pub fn state(&self) -> watch::Receiver<RedisState> {
        self.shared.state.subscribe()
    }

    /// Runs one command. Without a connection it fails at once; else it is answered or fails within a second. One that failed
    /// may have been carried out, or may be still.
    ///
    /// # Cancel safety
    /// Dropping the future does not undo the command.
    pub async fn run(&self, command: &RedisCommand) -> RedisAnswer {
        self.shared.commands[kind_of(command)].fetch_add(1, Ordering::Relaxed);
        match self.send(&to_redis(command)).await {
            Ok(value) => from_redis(command, value),
            Err(error) => RedisAnswer::Failed(error.to_string()),
        }
    }

    /// Returns how many commands of each of [`COMMAND_KINDS`] were run, without what was published.
    pub fn commands(&self) -> [u64; COMMAND_KINDS.len()] {
        std::array::from_fn(|kind| self.shared.commands[kind].load(Ordering::Relaxed))
    }

    /// Returns how many envelopes were published.
    pub fn published(&self) -> u64 {
        self.shared.published.load(Ordering::Relaxed)
    }

    async fn send(&self, cmd: &Cmd) -> Result<Value, RedisError> {
        let (number, mut connection) = self.shared.connection()?;
        let answer = timeout(ANSWER_LIMIT, connection.run(cmd)).await;
        self.shared.judge(number, answer.ok())
    }

    /// Publishes envelopes in their order on one channel. Each of them reaches the receiver at most once.
    pub(super) async fn publish(&self, pipeline: &Pipeline) -> Result<(), RedisError> {
        let (number, mut connection) = self.shared.connection()?;
        self.shared.published.fetch_add(pipeline.len() as u64, Ordering::Relaxed);
        let answer = timeout(ANSWER_LIMIT, connection.run_all(pipeline)).await;
        self.shared.judge(number, answer.ok()).map(drop)
    }
}

impl Ownership for RedisClient {
    fn run<'a>(&'a self, command: &'a RedisCommand) -> PortFuture<'a, RedisAnswer> {
        Box::pin(Self::run(self, command))
    }
}

impl Shared {
    async fn keep(self: Arc<Self>) {
        let mut pauses = Pauses::new();
        let mut told = None;
        loop {
            match connect(&self.servers).await {
                Ok(Opened { connection, version, server }) => {
                    let number = self.begin(connection);
                    tracing::info!(%version, "Redis answers");
                    told = None;
                    pauses = Pauses::new();
                    self.state.send_replace(RedisState::Connected { version, connection: number });
                    tokio::select! {
                        () = self.is_broken() => {}
                        () = replaced(&self.servers, server.as_ref()) => {
                            tracing::info!("the Sentinels name another master; connecting again");
                        }
                    }
                    self.current().connection = None;
                    self.state.send_replace(RedisState::Away(None));
                }
                Err(error) => {
                    self.state.send_replace(RedisState::Away(Some(error.clone())));
                    if told.as_ref() != Some(&error) {
                        tracing::warn!(%error, "Redis is away; trying on");
                        told = Some(error);
                    }
                }
            }
            pauses.wait().await;
        }
    }

    /// Waits until the connection is found to be broken. A word that was said of an earlier one is passed over.
    async fn is_broken(&self) {
        while self.current().connection.is_some() {
            self.broken.notified().await;
        }
    }

    fn begin(&self, connection: Connection) -> u64 {
        let mut current = self.current();
        current.connection = Some(connection);
        current.number += 1;
        current.failures = 0;
        current.number
    }

    fn connection(&self) -> Result<(u64, Connection), RedisError> {
        let current = self.current();
        let connection = current.connection.clone().ok_or_else(|| RedisError::Driver("not connected".to_owned()))?;
        Ok((current.number, connection))
    }

    /// Takes in how a command ended, none where it did not in time, and gives a broken connection up.
    fn judge(&self, number: u64, answer: Option<Result<Value, DriverError>>) -> Result<Value, RedisError> {
        let is_broken = match &answer {
            None => true,
            Some(Ok(_)) => false,
            Some(Err(error)) => breaks(error),
        };
        let mut current = self.current();
        if current.number == number {
            current.failures = if is_broken { current.failures + 1 } else { 0 };
            let is_over = current.connection.as_ref().is_some_and(|it| current.failures >= it.failures_max());
            if is_over {
                current.connection = None;
                self.broken.notify_one();
            }
        }
        drop(current);
        answer.ok_or(RedisError::TimedOut)?.map_err(RedisError::from)
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        // No code that holds the lock panics half-way through a change.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells whether the server behind a connection is gone, or is none that takes writes any more.
fn breaks(error: &DriverError) -> bool {
    use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, ReadOnly};
    let is_no_master = matches!(
        error.kind(),
        ErrorKind::Server(ReadOnly | MasterDown | BusyLoading | ClusterDown) | ErrorKind::ClusterConnectionNotFound
    );
    is_no_master || error.is_io_error() || error.is_unrecoverable_error()
}
