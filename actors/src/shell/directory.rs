//! The directory: which rooms are active here. It activates a room when somebody asks for it, gives it up when it is idle, and
//! supervises the rooms' actors: one that fails is forgotten, and the next request activates the room from its log.

use std::future::Future;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ractor::{Actor, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use rollcall_protocol::{Entry, Kind, RoomId, Signal, SignalKind, UserId};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

use super::active_rooms::ActiveRooms;
use super::admission::QueueLimits;
use super::cluster::{Cluster, prepare};
use super::damage::{Damage, DamageFound};
use super::failed_rooms::FailedRooms;
use super::handle::{Ask, Asker, RoomHandle};
use super::inbox::Inbox;
use super::places::Places;
use super::room_actor::RoomMsg;
use super::rooms::Rooms;
use super::tail::{RingLimits, TailEnd};
use crate::ports::{ClusterPorts, Log, Ports};
use crate::room::{Refusal, Retention};

/// How many actors of a room are asked, one after the other, when each of them is just being given up.
const TRIES_MAX: usize = 16;

/// The rooms look for what has come of age in so many slices, one after the other, so that they do not all ask the log at once.
const RETENTION_SLICES: u32 = 64;

/// What the directory's rooms are made with.
#[derive(Debug, Clone, Copy)]
pub struct RoomSettings {
    /// What a room takes at most before it answers `busy`.
    pub queue: QueueLimits,
    /// How much of a room stays in memory.
    pub ring: RingLimits,
    /// How long a room that nobody joined and nobody asks stays active.
    pub idle: Duration,
    /// How many such rooms stay active; of more, those that are idle for longest are given up. They are counted each time that
    /// the number of rooms has grown by an eighth, and every quarter of `idle`, at least every 5 s.
    pub idle_rooms_max: usize,
    /// How many rooms are active at most, those among them that somebody joined. Whoever asks for one more is told to come again,
    /// unless an idle one can be given up for it.
    pub active_rooms_max: usize,
    /// How long a room that could not be activated is not tried again.
    pub activation_pause: Duration,
    /// What rooms keep of their history.
    pub retention: Retention,
    /// How often a room that is active is looked at for what it is not to keep any longer; besides, it is when it becomes active,
    /// and as it grows.
    pub retention_look: Duration,
}

/// The rooms of one node. Cloning shares them.
#[derive(Clone)]
pub struct Directory {
    rooms: Rooms,
    cluster: Option<Arc<Member>>,
}

/// This node's part in a cluster; dropped with the last clone of its directory, it ends.
struct Member {
    cluster: Cluster,
    task: AbortHandle,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the directory and its rooms share.
pub(super) struct Shared {
    ports: Ports,
    pub settings: RoomSettings,
    /// Those that are active; in a cluster, those that are owned here and open.
    rooms: Mutex<ActiveRooms>,
    failed: Mutex<FailedRooms>,
    pub damage: Arc<Damage>,
    /// Places for activations in a cluster.
    pub places: Places,
    draining: AtomicBool,
    /// Which slice of the rooms looks next for what has come of age.
    retention_slice: AtomicU64,
    /// Actors that have not ended, forgotten ones included.
    pub alive: watch::Sender<usize>,
    tasks: TaskTracker,
    committed: [AtomicU64; Kind::ALL.len()],
    /// Entries that rooms have let expire under an owner of this node.
    expired: AtomicU64,
}

/// What comes into the supervisor's mailbox, beside the ends of its children.
pub(super) enum DirectoryMsg {
    /// Look for idle rooms.
    Sweep,
    /// Have some of the rooms look for what they are not to keep any longer.
    Retain,
}

impl Directory {
    /// Begins with no room active.
    ///
    /// # Errors
    /// Where the supervisor could not be started.
    pub async fn start(ports: Ports, settings: RoomSettings) -> Result<Self, SpawnErr> {
        let shared = Arc::new(Shared {
            ports,
            settings,
            rooms: Mutex::new(ActiveRooms::new(settings.idle, settings.idle_rooms_max, settings.active_rooms_max)),
            failed: Mutex::default(),
            damage: Arc::default(),
            places: Places::new(),
            draining: AtomicBool::new(false),
            retention_slice: AtomicU64::new(0),
            alive: watch::Sender::new(0),
            tasks: TaskTracker::new(),
            committed: Default::default(),
            expired: AtomicU64::new(0),
        });
        let (supervisor, _) = Actor::spawn(None, Supervisor, Arc::clone(&shared)).await?;
        let sweep_every = (settings.idle / 4).clamp(Duration::from_millis(10), Duration::from_secs(5));
        supervisor.send_interval(sweep_every, || DirectoryMsg::Sweep);
        if settings.retention != Retention::FOR_EVER {
            let slice_every = (settings.retention_look / RETENTION_SLICES).max(Duration::from_millis(1));
            supervisor.send_interval(slice_every, || DirectoryMsg::Retain);
        }
        Ok(Self { rooms: Rooms { shared, supervisor }, cluster: None })
    }

    /// Begins as a node of a cluster, with no room active. The node asks for its name; [`Cluster::view`] tells when it has it.
    ///
    /// # Errors
    /// Where the supervisor could not be started.
    pub async fn start_in_cluster(
        ports: Ports,
        settings: RoomSettings,
        cluster_ports: ClusterPorts,
    ) -> Result<Self, SpawnErr> {
        let alone = Self::start(ports, settings).await?;
        let (cluster, prepared) = prepare(cluster_ports.me.clone());
        let node = prepared.node(cluster_ports, alone.rooms.clone());
        let task = tokio::spawn(node.run()).abort_handle();
        Ok(Self { cluster: Some(Arc::new(Member { cluster, task })), ..alone })
    }

    /// Returns this node's part in a cluster; none where it is by itself.
    pub fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref().map(|member| &member.cluster)
    }

    /// Returns a room, and activates it if need be. Not for a node of a cluster.
    ///
    /// # Errors
    /// Where the room is not active, and it could not be activated a moment ago or as many are active as may be; or where the
    /// node gives its rooms up.
    pub fn room(&self, room: &RoomId) -> Result<Arc<RoomHandle>, Refusal> {
        let shared = &self.rooms.shared;
        let mut rooms = shared.rooms();
        // Looked at under the lock: a drain collects the rooms under it, after it said so.
        if shared.draining.load(Ordering::Acquire) {
            return Err(Refusal::Unavailable("the server is stopping".to_owned()));
        }
        if let Some(handle) = rooms.get(room) {
            return Ok(Arc::clone(handle));
        }
        if let Some(wait) = shared.failed().wait(room, Instant::now()) {
            return Err(not_activated(wait));
        }
        if !rooms.make_space(Instant::now(), give_up) {
            return Err(Refusal::TooManyRooms);
        }
        let handle = self.rooms.start(room, None);
        if rooms.insert(Arc::clone(&handle)).sweep_is_due {
            let _ = self.rooms.supervisor.cast(DirectoryMsg::Sweep);
        }
        Ok(handle)
    }

    /// Asks a room; the answer comes into the asker's inbox, exactly once. What one asker asks of one room is taken in that order.
    pub fn ask(&self, room: &RoomId, ask: Ask, asker: &Asker) {
        if let Some(cluster) = self.cluster() {
            return self.ask_in_cluster(cluster, room, ask, asker);
        }
        let mut ask = ask;
        let mut refusal = Refusal::Unavailable("the room is moving".to_owned());
        for _ in 0..TRIES_MAX {
            let handle = match self.room(room) {
                Ok(handle) => handle,
                Err(why) => {
                    refusal = why;
                    break;
                }
            };
            match handle.ask(ask, asker) {
                Ok(()) => return,
                Err(back) => ask = back,
            }
            self.rooms.shared.forget(&handle);
        }
        ask.promise(asker, None).refuse(refusal);
    }

    /// Asks the owner if it is open here, and else the node, who knows where it is.
    fn ask_in_cluster(&self, cluster: &Cluster, room: &RoomId, ask: Ask, asker: &Asker) {
        let mut ask = ask;
        let shared = &self.rooms.shared;
        let open = if cluster.has_under_way(room) { None } else { shared.rooms().get(room).cloned() };
        if let Some(handle) = open {
            match handle.ask(ask, asker) {
                Ok(()) => return,
                Err(back) => ask = back,
            }
            shared.forget(&handle);
        }
        cluster.ask(room, ask, asker);
    }

    /// Tells everybody else in a room something ephemeral, on this node and, as far as it gets there, on others.
    pub fn signal(&self, room: &RoomHandle, user: UserId, kind: SignalKind, from: &Arc<Inbox>) {
        let signal = Signal { room: room.tail.room().clone(), user, kind };
        if let Some(cluster) = self.cluster() {
            cluster.signal(signal.clone());
        }
        room.tail.signal(&Arc::new(signal), Some(from));
    }

    /// Gives every room up: what was taken is finished, snapshots are stored, nothing more is taken.
    ///
    /// # Cancel safety
    /// Dropped, the rooms go on ending by themselves.
    pub async fn drain(&self) {
        let shared = &self.rooms.shared;
        shared.draining.store(true, Ordering::Release);
        // What was not begun another node does.
        shared.places.close();
        if let Some(cluster) = self.cluster() {
            let mut view = cluster.view();
            cluster.drain();
            let _ = view.wait_for(|view| view.is_over).await;
        }
        let rooms: Vec<_> = shared.rooms().iter().cloned().collect();
        for handle in rooms {
            handle.admission.close();
            give_up(&handle);
        }
        let mut alive = shared.alive.subscribe();
        let _ = alive.wait_for(|&alive| alive == 0).await;
        if self.cluster.is_none() {
            self.end().await;
        }
    }

    /// Ends what runs beside the rooms, which nobody asks any more. In a cluster not before the connections are closed: until then
    /// other nodes number what they write.
    ///
    /// # Cancel safety
    /// Dropped, what runs goes on until it ends by itself.
    pub async fn end(&self) {
        if let Some(member) = &self.cluster {
            member.task.abort();
        }
        self.rooms.shared.tasks.close();
        self.rooms.shared.tasks.wait().await;
        self.rooms.supervisor.stop(None);
    }

    /// Tells whether a room is active here; in a cluster, whether it is owned here.
    pub fn is_active(&self, room: &RoomId) -> bool {
        self.rooms.shared.rooms().get(room).is_some()
    }

    /// Returns the active rooms by their names, those after `after`, at most `rooms_max`. Looks at every room.
    pub fn rooms_after(&self, after: Option<&RoomId>, rooms_max: usize) -> Vec<RoomId> {
        let rooms = self.rooms.shared.rooms();
        let names = rooms.iter().map(|handle| handle.tail.room());
        let mut names: Vec<RoomId> = names.filter(|room| after.is_none_or(|after| *room > after)).cloned().collect();
        drop(rooms);
        names.sort_unstable();
        names.truncate(rooms_max);
        names
    }

    /// Gives a room up, as one that is idle; whoever wants it next activates it again. Says whether it was active. Not for a node of a
    /// cluster.
    pub fn give_up(&self, room: &RoomId) -> bool {
        let handle = self.rooms.shared.rooms().get(room).cloned();
        let Some(handle) = handle else { return false };
        handle.admission.close();
        give_up(&handle);
        true
    }

    /// Returns how many rooms are active.
    pub fn active_rooms(&self) -> usize {
        self.rooms.shared.rooms().len()
    }

    /// Returns how many rooms were found damaged here and are not known to be whole again.
    pub fn damaged_rooms(&self) -> usize {
        self.rooms.shared.damage.count()
    }

    /// Returns what was found to be wrong with a room's log here; none where nothing was, or not lately.
    pub fn damage_of(&self, room: &RoomId) -> Option<DamageFound> {
        self.rooms.shared.damage.of(room)
    }

    /// Returns how many entries the rooms that were owned here have let expire; the log deletes them after that.
    pub fn expired(&self) -> u64 {
        self.rooms.shared.expired.load(Ordering::Relaxed)
    }

    /// Returns how many entries of a kind were committed here.
    pub fn committed(&self, kind: Kind) -> u64 {
        self.rooms.shared.committed[usize::from(kind.number()) - 1].load(Ordering::Relaxed)
    }
}

impl Shared {
    pub fn log(&self) -> Arc<dyn Log> {
        Arc::clone(&self.ports.log)
    }

    /// Returns how many requests a room takes before it answers `busy`.
    pub fn queue_entries_max(&self) -> usize {
        self.settings.queue.entries_max
    }

    pub fn now_ms(&self) -> i64 {
        self.ports.clock.now_ms()
    }

    /// Runs something beside the actors, which a drain waits for.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    pub fn count_committed(&self, entries: &[Entry]) {
        for entry in entries {
            self.committed[usize::from(entry.kind.number()) - 1].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn count_expired(&self, entries: u64) {
        self.expired.fetch_add(entries, Ordering::Relaxed);
    }

    /// Forgets a room's actor, which takes nothing any more, and tells its readers to join again.
    pub fn forget(&self, handle: &Arc<RoomHandle>) {
        handle.admission.close();
        self.rooms().remove(handle);
        handle.tail.end(TailEnd::Moved);
    }

    /// Notes that a room could not be activated, and returns what is told to those who wait for it.
    pub fn activation_failed(&self, room: &RoomId) -> Refusal {
        let pause = self.settings.activation_pause;
        self.failed().note(room, Instant::now(), pause);
        not_activated(pause)
    }

    // No code that holds one of the locks panics half-way through a change.
    pub fn rooms(&self) -> MutexGuard<'_, ActiveRooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self) -> MutexGuard<'_, FailedRooms> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives up the rooms that are idle, and lets others rest.
    fn sweep(&self) {
        self.rooms().sweep(Instant::now(), give_up, |handle| {
            handle.tell(RoomMsg::Rest);
        });
    }

    /// Has a slice of the rooms look for what they are not to keep any longer; which one a room is in is told by its name.
    fn retain_slice(&self) {
        let slice = self.retention_slice.fetch_add(1, Ordering::Relaxed) % u64::from(RETENTION_SLICES);
        let is_in_slice = |handle: &&Arc<RoomHandle>| {
            let mut hasher = DefaultHasher::new();
            handle.tail.room().hash(&mut hasher);
            hasher.finish() % u64::from(RETENTION_SLICES) == slice
        };
        self.rooms().iter().filter(is_in_slice).for_each(|handle| handle.tell(RoomMsg::Retain));
    }

    /// Forgets the room of an actor that failed, and says so.
    fn forget_failed(&self, failed: ractor::ActorId, error: &ActorProcessingErr) {
        let handle = self.rooms().iter().find(|handle| handle.is_of(failed)).cloned();
        // None where the room was being given up.
        let room = handle.as_ref().map(|handle| tracing::field::display(handle.tail.room()));
        tracing::error!(room, %error, "a room's actor failed; the room is activated again from its log");
        if let Some(handle) = handle {
            self.forget(&handle);
        }
    }
}

fn not_activated(wait: Duration) -> Refusal {
    Refusal::NotActivated { retry_after_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1) }
}

/// Tells a room that takes nothing any more to finish.
pub(super) fn give_up(handle: &RoomHandle) {
    handle.tell(RoomMsg::Drain { goes_on: false });
}

/// Watches over the rooms' actors.
struct Supervisor;

impl Actor for Supervisor {
    type Msg = DirectoryMsg;
    type State = Arc<Shared>;
    type Arguments = Arc<Shared>;

    async fn pre_start(
        &self,
        _myself: ActorRef<DirectoryMsg>,
        shared: Arc<Shared>,
    ) -> Result<Arc<Shared>, ActorProcessingErr> {
        Ok(shared)
    }

    async fn handle(
        &self,
        _myself: ActorRef<DirectoryMsg>,
        message: DirectoryMsg,
        shared: &mut Arc<Shared>,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            DirectoryMsg::Sweep => shared.sweep(),
            DirectoryMsg::Retain => shared.retain_slice(),
        }
        Ok(())
    }

    /// The default would stop the supervisor, and with it every room, when one child ends.
    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<DirectoryMsg>,
        event: SupervisionEvent,
        shared: &mut Arc<Shared>,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(..) => shared.alive.send_modify(|alive| *alive -= 1),
            SupervisionEvent::ActorFailed(actor, error) => {
                shared.forget_failed(actor.get_id(), &error);
                shared.alive.send_modify(|alive| *alive -= 1);
            }
            _ => {}
        }
        Ok(())
    }
}
