//! What is the same in every server that people run, and may be set otherwise by tests.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rollcall_actors::ports::{Clock, ClusterPorts, Log};
use rollcall_protocol::limits;

use crate::limits::WRITE_STALL;
use crate::log::EmbeddedOptions;

/// Puts something between the rooms and their log.
pub type WrapLog = Box<dyn FnOnce(Arc<dyn Log>) -> Arc<dyn Log> + Send>;

/// What the configuration does not set. The default is what the protocol and the docs promise.
pub struct Tuning {
    /// The log's own options. Gather window and free-space reserve are those of the configuration all the same.
    pub log: EmbeddedOptions,
    /// Stands between rooms and log; by default nothing does.
    pub wrap_log: WrapLog,
    /// Makes the server a node of a cluster that is not configured: of servers in one process.
    pub cluster: Option<ClusterPorts>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// How long a socket may take nothing.
    pub write_stall: Duration,
    /// How often a connection is pinged.
    pub ping_interval: Duration,
    /// How long a pong may take.
    pub pong_timeout: Duration,
    /// How long hello may take, and the HTTP handshake before it.
    pub hello_timeout: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            log: EmbeddedOptions::default(),
            wrap_log: Box::new(|log| log),
            cluster: None,
            clock: Arc::new(SystemClock),
            write_stall: WRITE_STALL,
            ping_interval: Duration::from_millis(limits::PING_INTERVAL_MS),
            pong_timeout: Duration::from_millis(limits::PONG_TIMEOUT_MS),
            hello_timeout: Duration::from_millis(limits::HELLO_TIMEOUT_MS),
        }
    }
}

/// The clock of the machine.
struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
    }
}
