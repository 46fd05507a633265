//! The handle of a node of a cluster: what everybody outside of its task holds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rollcall_protocol::{RoomId, Seq, Signal};
use tokio::sync::{mpsc, oneshot, watch};

use super::node::{Asking, NodeMsg, Waiter};
use super::stats::ClusterStats;
use crate::cluster::node_core::{BeaconReport, NodeCore, NodeInput, RoomReport};
use crate::cluster::{CheckedClock, NodeRef, Now, Standing};
use crate::ports::NodeId;
use crate::room::Refusal;
use crate::shell::admission::{Admission, NotAdmitted, ReadersWatch};
use crate::shell::handle::{Ask, Asker};
use crate::shell::work::Mailbox;

/// What a signal counts as while it waits, in bytes.
const SIGNAL_BYTES: usize = 256;

/// A node of a cluster. Cloning shares it.
#[derive(Clone)]
pub struct Cluster {
    shared: Arc<Shared>,
}

struct Shared {
    me: NodeRef,
    mailbox: mpsc::UnboundedSender<NodeMsg>,
    /// What connections wait for that no owner here has taken.
    admission: Arc<Admission>,
    /// What was asked and the node has not looked at, by rooms: what comes after it takes the same way, so that it stays behind it.
    under_way: Mutex<HashMap<RoomId, usize>>,
    /// How many handles of a room are read here: for a moment there may be two.
    read: Mutex<HashMap<RoomId, usize>>,
    stats: Arc<ClusterStats>,
    view: watch::Receiver<ClusterView>,
    /// Since when the node's monotonic clock counts.
    began: Instant,
    /// The node's time of day as it was last checked, if it was right.
    clock: Mutex<Option<CheckedClock>>,
}

/// The cluster as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterView {
    /// Whether this node may serve.
    pub standing: Standing,
    /// Whether it takes rooms: not while it drains, and only as a member.
    pub takes_rooms: bool,
    /// The other nodes that live, by their names.
    pub peers: Vec<PeerView>,
    /// Whether the node has given up its rooms and its name.
    pub is_over: bool,
}

/// Another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerView {
    /// Which one, in its present life.
    pub node: NodeRef,
    /// Whether it takes rooms.
    pub takes_rooms: bool,
    /// Where clients find it.
    pub connect: Option<Arc<str>>,
}

impl Mailbox for Cluster {
    type Message = NodeMsg;

    fn put(&self, message: NodeMsg) {
        self.send(message);
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("me", &self.shared.me).finish_non_exhaustive()
    }
}

impl Cluster {
    pub(super) fn new(
        me: NodeRef,
        mailbox: mpsc::UnboundedSender<NodeMsg>,
        admission: Arc<Admission>,
        stats: Arc<ClusterStats>,
        view: watch::Receiver<ClusterView>,
    ) -> Self {
        let shared = Shared {
            me,
            mailbox,
            admission,
            under_way: Mutex::default(),
            read: Mutex::default(),
            stats,
            view,
            began: Instant::now(),
            clock: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Returns this node, in its present life.
    pub fn me(&self) -> &NodeRef {
        &self.shared.me
    }

    /// Returns the cluster as this node sees it, and tells when that changes.
    pub fn view(&self) -> watch::Receiver<ClusterView> {
        self.shared.view.clone()
    }

    /// Returns what the node counts.
    pub fn stats(&self) -> &ClusterStats {
        &self.shared.stats
    }

    /// Returns what the node knows of a room; none where nobody wants it here.
    ///
    /// # Cancel safety
    /// Dropping the future drops the answer.
    pub async fn room(&self, room: &RoomId) -> Option<RoomReport> {
        let room = room.clone();
        self.look(move |core| core.report(&room)).await.flatten()
    }

    /// Returns what the node knows of its rooms, those after `after` by their names, at most `rooms_max`.
    ///
    /// # Cancel safety
    /// As [`Cluster::room`].
    pub async fn rooms(&self, after: Option<RoomId>, rooms_max: usize) -> Vec<RoomReport> {
        let look = move |core: &NodeCore<Waiter>| {
            let rooms = core.rooms_after(after.as_ref()).take(rooms_max);
            rooms.filter_map(|room| core.report(room)).collect()
        };
        self.look(look).await.unwrap_or_default()
    }

    /// Returns how the beacons between this node and others stand.
    ///
    /// # Cancel safety
    /// As [`Cluster::room`].
    pub async fn beacons(&self) -> BeaconReport {
        self.look(NodeCore::beacon_report).await.unwrap_or_default()
    }

    async fn look<T: Send + 'static>(&self, look: impl FnOnce(&NodeCore<Waiter>) -> T + Send + 'static) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let look = move |core: &NodeCore<Waiter>| {
            let _ = answer.send(look(core));
        };
        self.send(NodeMsg::Look(Box::new(look)));
        answered.await.ok()
    }

    /// Gives a room up that is owned here; another node takes it, or this one again, when somebody wants it.
    pub fn give_up(&self, room: RoomId) {
        self.tell(NodeInput::GiveUp(room));
    }

    /// Gives a room that is owned here to another node, which takes it as soon as it is given up here. Whoever wants it later,
    /// after nobody did for a while, may have it again.
    pub fn move_to(&self, room: RoomId, to: NodeId) {
        self.tell(NodeInput::Move { room, to });
    }

    /// Gives all rooms to other nodes and takes none any more; [`ClusterView::is_over`] tells when that is done.
    pub fn drain(&self) {
        self.tell(NodeInput::Drain);
    }

    /// Tells whether requests for the room are under way to the node: then those that come later go there, too.
    pub(in crate::shell) fn has_under_way(&self, room: &RoomId) -> bool {
        let under_way = self.under_way();
        !under_way.is_empty() && under_way.contains_key(room)
    }

    /// Takes a request for a room that is not open here as far as the caller knows.
    pub(in crate::shell) fn ask(&self, room: &RoomId, ask: Ask, asker: &Asker) {
        if matches!(ask, Ask::Change(_)) {
            let why = Refusal::Unavailable("another node numbers this room".to_owned());
            return ask.promise(asker, None).refuse(why);
        }
        match self.shared.admission.admit(ask.weight_bytes()) {
            Ok(permit) => {
                let reply = ask.promise(asker, Some(permit));
                *self.under_way().entry(room.clone()).or_default() += 1;
                self.send(NodeMsg::Ask(Box::new(Asking { room: room.clone(), ask, reply })));
            }
            Err(NotAdmitted::Full) => ask.promise(asker, None).refuse(Refusal::Busy),
            Err(NotAdmitted::Closed) => {
                ask.promise(asker, None).refuse(Refusal::Unavailable("the server is stopping".to_owned()));
            }
        }
    }

    /// Tells those who read a room on other nodes something ephemeral; while too much waits here it is lost.
    pub(in crate::shell) fn signal(&self, signal: Signal) {
        if let Ok(permit) = self.shared.admission.admit(SIGNAL_BYTES) {
            self.send(NodeMsg::Signal(Box::new(signal), permit));
        }
    }

    /// Tells whether the time of day of this node can be gone by where a wrong one does harm: the node is a member, its clock was that
    /// of Redis when they were last compared, and nobody has set it since.
    pub(in crate::shell) fn has_right_clock(&self, wall_ms: i64) -> bool {
        let checked = *self.shared.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let is_member = self.shared.view.borrow().standing == Standing::Member;
        is_member && checked.is_some_and(|checked| checked.has_run_evenly(self.now(wall_ms)))
    }

    /// Takes note of how the node's clock stood when it was compared with that of Redis.
    pub(super) fn clock_was_checked(&self, clock: Option<CheckedClock>) {
        *self.shared.clock.lock().unwrap_or_else(PoisonError::into_inner) = clock;
    }

    /// Returns the time as the node counts it.
    pub(super) fn now(&self, wall_ms: i64) -> Now {
        Now { mono_ms: u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX), wall_ms }
    }

    /// Returns how long the node has lived.
    pub(super) fn elapsed(&self) -> Duration {
        self.shared.began.elapsed()
    }

    /// Takes note that the node has looked at a request.
    pub(super) fn looked_at(&self, room: &RoomId) {
        let mut under_way = self.under_way();
        if let Some(count) = under_way.get_mut(room) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(room);
            }
        }
    }

    /// Makes what tells the node when a handle of a room begins and ceases to be read.
    pub(in crate::shell) fn readers_watch(&self, room: &RoomId) -> ReadersWatch {
        let (cluster, room) = (self.clone(), room.clone());
        Box::new(move |is_read| cluster.count_handle(&room, is_read))
    }

    fn count_handle(&self, room: &RoomId, is_read: bool) {
        let mut read = self.shared.read.lock().unwrap_or_else(PoisonError::into_inner);
        let count = {
            let count = read.entry(room.clone()).or_default();
            *count = if is_read { *count + 1 } else { *count - 1 };
            *count
        };
        if count == 0 {
            read.remove(room);
        }
        // Under the lock, so that the node is told in the order in which it happened.
        self.tell(NodeInput::Readers { room: room.clone(), count });
    }

    /// Tells the node that a reader's cursor lies beyond what is shown here.
    pub(super) fn expect(&self, room: RoomId, seq: Seq) {
        self.tell(NodeInput::Expect { room, seq });
    }

    /// Tells the node that somebody here has read an entry that is not what was written: the room's owner is to know.
    pub(in crate::shell) fn found_damaged(&self, room: RoomId, entry: Seq) {
        self.tell(NodeInput::Damaged { room, entry });
    }

    pub(in crate::shell) fn tell(&self, input: NodeInput<Waiter>) {
        self.send(NodeMsg::Input(Box::new(input)));
    }

    pub(super) fn send(&self, message: NodeMsg) {
        // A node that has ended drops what comes, and who waits is answered by that.
        let _ = self.shared.mailbox.send(message);
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<RoomId, usize>> {
        // No code that holds the lock panics half-way through a change.
        self.shared.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
