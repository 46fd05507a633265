//! A node without a network: a directory over a controlled log.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rollcall::cluster::LocalOwnership;
use rollcall::log::MemoryLog;
use rollcall_actors::cluster::Standing;
use rollcall_actors::ports::{Clock, ClusterPorts, Log, Ownership, Ports};
use rollcall_actors::room::Retention;
use rollcall_actors::shell::{ClusterView, Directory, QueueLimits, RingLimits, RoomSettings};
use rollcall_it::controlled_log::ControlledLog;
use rollcall_it::scribe;
use rollcall_it::together::Together;
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
    retention: Retention::FOR_EVER,
    retention_look: Duration::from_secs(3600),
};

/// As above, but a room's memory holds its last batch and no more.
pub const SHORT_RING: RoomSettings = RoomSettings { ring: RingLimits { entries_max: 1, bytes_max: 1 }, ..ROOMY };

/// A time of day, in milliseconds since 1970.
pub const NOON_MS: i64 = 1_790_000_000_000;

/// A clock that stands still.
struct Noon;

impl Clock for Noon {
    fn now_ms(&self) -> i64 {
        NOON_MS
    }
}

/// A clock beside that of a cluster, which can be set.
pub struct Ahead {
    of: LocalOwnership,
    by_ms: AtomicI64,
}

impl Ahead {
    /// Sets it so many milliseconds ahead.
    pub fn set(&self, by_ms: i64) {
        self.by_ms.store(by_ms, Ordering::SeqCst);
    }
}

impl Clock for Ahead {
    fn now_ms(&self) -> i64 {
        i64::try_from(self.of.now_ms()).unwrap() + self.by_ms.load(Ordering::SeqCst)
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
        let (log, ports) = controlled(log);
        let directory = Directory::start(ports, settings).await.unwrap();
        Self { log, directory }
    }

    /// Starts a node of a cluster, and waits until it is a member.
    pub async fn join(cluster: &Together, name: &str, settings: RoomSettings) -> Self {
        Self::join_with(cluster, name, settings, Arc::new(cluster.ownership.clone())).await
    }

    /// Starts a node of a cluster that asks in its own way who owns what, and waits until it is a member.
    pub async fn join_with(
        cluster: &Together,
        name: &str,
        settings: RoomSettings,
        ownership: Arc<dyn Ownership>,
    ) -> Self {
        let node = Self::come(cluster, cluster.ports_with(name, ownership), settings, 0).await;
        node.see(|view| view.standing == Standing::Member).await;
        node
    }

    /// Starts a node of a cluster, whose clock is so many milliseconds ahead of that of the others.
    pub async fn come(cluster: &Together, ports_between: ClusterPorts, settings: RoomSettings, ahead_ms: i64) -> Self {
        let clock = Ahead { of: cluster.ownership.clone(), by_ms: AtomicI64::new(ahead_ms) };
        let log = Arc::clone(&cluster.log) as Arc<dyn Log>;
        Self::come_by(log, ports_between, settings, Arc::new(clock)).await
    }

    /// Starts a node of a cluster, and waits until it is a member; returns its clock, too.
    pub async fn join_by_clock(cluster: &Together, name: &str, settings: RoomSettings) -> (Self, Arc<Ahead>) {
        let clock = Arc::new(Ahead { of: cluster.ownership.clone(), by_ms: AtomicI64::new(0) });
        let log = Arc::clone(&cluster.log) as Arc<dyn Log>;
        let node = Self::come_by(log, cluster.ports(name), settings, Arc::clone(&clock)).await;
        node.see(|view| view.standing == Standing::Member).await;
        (node, clock)
    }

    /// Starts a node of a cluster that sees the log in its own way, and waits until it is a member.
    pub async fn join_with_log(cluster: &Together, name: &str, settings: RoomSettings, log: Arc<dyn Log>) -> Self {
        let clock = Ahead { of: cluster.ownership.clone(), by_ms: AtomicI64::new(0) };
        let node = Self::come_by(log, cluster.ports(name), settings, Arc::new(clock)).await;
        node.see(|view| view.standing == Standing::Member).await;
        node
    }

    async fn come_by(log: Arc<dyn Log>, between: ClusterPorts, settings: RoomSettings, clock: Arc<Ahead>) -> Self {
        let (log, ports) = controlled(log);
        let ports = Ports { clock, ..ports };
        let directory = Directory::start_in_cluster(ports, settings, between).await.unwrap();
        Self { log, directory }
    }

    /// Waits until the node sees the cluster so.
    pub async fn see(&self, so: impl Fn(&ClusterView) -> bool) {
        let mut view = self.directory.cluster().unwrap().view();
        in_time(view.wait_for(|view| so(view))).await.unwrap();
    }

    /// Returns the log as its port.
    pub fn port(&self) -> Arc<dyn Log> {
        Arc::clone(&self.log) as Arc<dyn Log>
    }

    /// Returns the number of the last entry of a room that the log has.
    pub async fn history_head(&self, room: &RoomId) -> u64 {
        self.log.tail(room).await.unwrap().map_or(0, |tail| tail.last_seq.get())
    }

    /// Reads a whole room from the log, and checks its numbers and its chain.
    pub async fn history(&self, room: &RoomId) -> Vec<Entry> {
        let entries = scribe::read_all(&*self.log, room).await;
        scribe::assert_chained(room, &entries);
        entries
    }
}

fn controlled(log: Arc<dyn Log>) -> (Arc<ControlledLog>, Ports) {
    let log = ControlledLog::over(log);
    let ports = Ports { log: Arc::clone(&log) as Arc<dyn Log>, clock: Arc::new(Noon) };
    (log, ports)
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
