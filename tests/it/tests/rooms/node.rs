//! A node without a network: a directory over a controlled log.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rollcall::cluster::Alone;
use rollcall::log::MemoryLog;
use rollcall_actors::ports::{Clock, Log, Ownership, Ports};
use rollcall_actors::shell::{Directory, QueueLimits, RingLimits, RoomSettings};
use rollcall_it::controlled_log::ControlledLog;
use rollcall_it::scribe;
use rollcall_protocol::{Entry, RoomId};

const DEADLINE: Duration = Duration::from_secs(30);

/// Settings under which nothing is ever full, forgotten or given up.
pub const ROOMY: RoomSettings = RoomSettings {
    queue: QueueLimits { entries_max: 4096, bytes_max: 4 * 1024 * 1024 },
    ring: RingLimits { entries_max: 256, bytes_max: 1024 * 1024 },
    idle: Duration::from_secs(3600),
    idle_rooms_max: usize::MAX,
    active_rooms_max: usize::MAX,
    activation_pause: Duration::from_millis(20),
};

/// As above, but a room's memory holds its last batch and no more.
pub const SHORT_RING: RoomSettings = RoomSettings { ring: RingLimits { entries_max: 1, bytes_max: 1 }, ..ROOMY };

/// A clock that stands still.
struct Noon;

impl Clock for Noon {
    fn now_ms(&self) -> i64 {
        1_790_000_000_000
    }
}

/// A node, and the log under it.
#[derive(Clone)]
pub struct Node {
    pub log: Arc<ControlledLog>,
    pub directory: Directory,
}

impl Node {
    /// Starts a node on a fresh log.
    pub async fn start(settings: RoomSettings) -> Self {
        Self::start_on(Arc::new(MemoryLog::new()), settings).await
    }

    /// Starts a node on a log, which other nodes may have, too.
    pub async fn start_on(log: Arc<dyn Log>, settings: RoomSettings) -> Self {
        Self::start_among(Arc::new(Alone), log, settings).await
    }

    /// Starts a node that asks where rooms are.
    pub async fn start_among(ownership: Arc<dyn Ownership>, log: Arc<dyn Log>, settings: RoomSettings) -> Self {
        let log = ControlledLog::over(log);
        let under = Arc::clone(&log) as Arc<dyn Log>;
        let ports = Ports { log: under, ownership, clock: Arc::new(Noon) };
        let directory = Directory::start(ports, settings).await.unwrap();
        Self { log, directory }
    }

    /// Returns the log as its port.
    pub fn port(&self) -> Arc<dyn Log> {
        Arc::clone(&self.log) as Arc<dyn Log>
    }

    /// Reads a whole room from the log, and checks its numbers and its chain.
    pub async fn history(&self, room: &RoomId) -> Vec<Entry> {
        let entries = scribe::read_all(&*self.log, room).await;
        scribe::assert_chained(room, &entries);
        entries
    }
}

pub fn room(name: &str) -> RoomId {
    RoomId::parse(name).unwrap()
}

/// Waits for something, but not for ever.
pub async fn in_time<T>(something: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, something).await.expect("what a test waits for comes in time")
}

/// Waits until something holds that rings no bell.
pub async fn until(condition: impl Fn() -> bool) {
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    in_time(async {
        while !condition() {
            ticks.tick().await;
        }
    })
    .await;
}
