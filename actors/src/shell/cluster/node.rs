//! The node's task: what comes in goes to the machine, and what it wants is done, in that order.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rollcall_protocol::{RoomId, Signal};
use tokio::sync::{mpsc, watch};

use super::from_log::{FromLog, LogReads};
use super::handle::{Cluster, ClusterView, PeerView};
use super::outgoing::Outgoing;
use super::shown::Shown;
use super::stats::ClusterStats;
use crate::cluster::forwarding::ToForward;
use crate::cluster::node_core::{AskOwner, Asker, Life, NodeCore, NodeEffect, NodeInput, OwnerEvent};
use crate::cluster::{Envelope, EnvelopeError, ForwardedWrite, JoinFrom, Lease as NodeLease, NodeRef};
use crate::limits::{NODE_QUEUE_BYTES_MAX, NODE_QUEUE_ENTRIES_MAX};
use crate::ports::{ClusterPorts, Inbound, InboundEvent, Ownership, Takeovers};
use crate::shell::admission::{Admission, Lease, Permit, QueueLimits};
use crate::shell::handle::{Ask, RoomHandle};
use crate::shell::inbox::ReplySlot;
use crate::shell::rooms::Rooms;

/// Messages that are taken in a row before envelopes and the time are looked at.
const MESSAGES_IN_A_ROW: usize = 64;

/// The machine is told of losses on the way out at most this often.
const LOSSES_TOLD_APART: Duration = Duration::from_millis(500);

/// The node looks at the clock at least this often.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Returns how long to wait for a time, both counted from the same moment.
fn wait(wakes_at_ms: u64, elapsed: Duration) -> Duration {
    Duration::from_millis(wakes_at_ms).saturating_sub(elapsed).min(WAIT_MAX)
}

/// What comes into a node's mailbox.
pub enum NodeMsg {
    /// For the machine.
    Input(Box<NodeInput<Waiter>>),
    /// A connection asks.
    Ask(Box<Asking>),
    /// A connection says something ephemeral.
    Signal(Box<Signal>, Permit),
    /// The log has answered a question in an owner's place.
    FromLog(FromLog),
    /// An operator looks.
    Look(Look),
}

/// A look at the machine.
pub type Look = Box<dyn FnOnce(&NodeCore<Waiter>) + Send>;

/// A connection's request.
pub struct Asking {
    pub room: RoomId,
    pub ask: Ask,
    pub reply: ReplySlot,
}

/// Who waits for what the node does.
#[derive(Debug)]
pub enum Waiter {
    /// For what becomes of a write.
    Write(ReplySlot),
    /// To read a room.
    Reader(Box<Reader>),
}

/// Somebody who waits to read a room.
#[derive(Debug)]
pub struct Reader {
    pub ask: Ask,
    pub reply: ReplySlot,
    /// The room as it is shown here, if it is to be followed; held, so that it is.
    pub follows: Option<(Arc<RoomHandle>, Lease)>,
}

/// An owner on this node.
pub(super) struct Owner {
    pub life: Life,
    pub handle: Arc<RoomHandle>,
    /// Held while other nodes watch the room.
    pub watched: Option<Lease>,
}

/// A node of a cluster.
pub struct Node {
    pub(super) core: NodeCore<Waiter>,
    pub(super) cluster: Cluster,
    pub(super) rooms: Rooms,
    pub(super) owners: HashMap<RoomId, Owner>,
    pub(super) shown: Shown,
    pub(super) outgoing: Outgoing,
    pub(super) ownership: Arc<dyn Ownership>,
    pub(super) takeovers: Arc<dyn Takeovers>,
    pub(super) stats: Arc<ClusterStats>,
    /// Owners that are open once all that came before is done.
    pub(super) opening: Vec<RoomId>,
    /// What the log is asked in the place of owners.
    pub(super) log_reads: LogReads,
    pub(super) is_over: bool,
    mailbox: mpsc::UnboundedReceiver<NodeMsg>,
    inbound: Box<dyn Inbound>,
    view: watch::Sender<ClusterView>,
    losses: u64,
    losses_told_at: Option<Instant>,
    effects: Vec<NodeEffect<Waiter>>,
}

/// Makes a node's handle, with what it takes to run it later: rooms have the handle, and the node has rooms.
pub fn prepare(me: NodeRef) -> (Cluster, Prepared) {
    let (sender, mailbox) = mpsc::unbounded_channel();
    let limits = QueueLimits { entries_max: NODE_QUEUE_ENTRIES_MAX, bytes_max: NODE_QUEUE_BYTES_MAX };
    let stats = Arc::new(ClusterStats::default());
    let standing = crate::cluster::Standing::Claiming;
    let view = watch::Sender::new(ClusterView { standing, takes_rooms: false, peers: Vec::new(), is_over: false });
    let admission = Admission::new(limits, Instant::now());
    let cluster = Cluster::new(me, sender, admission, Arc::clone(&stats), view.subscribe());
    (cluster.clone(), Prepared { cluster, mailbox, stats, view })
}

/// What a node is run with.
pub struct Prepared {
    cluster: Cluster,
    mailbox: mpsc::UnboundedReceiver<NodeMsg>,
    stats: Arc<ClusterStats>,
    view: watch::Sender<ClusterView>,
}

impl Prepared {
    /// Puts the node together.
    pub fn node(self, ports: ClusterPorts, rooms: Rooms) -> Node {
        let Self { cluster, mailbox, stats, view } = self;
        let ClusterPorts { me, connect, ownership, bus, inbound, takeovers } = ports;
        let core = NodeCore::new(me.clone(), NodeLease::new(me.clone(), connect), 0);
        Node {
            core,
            shown: Shown::new(cluster.clone(), rooms.log(), Arc::clone(&rooms.shared.damage), rooms.ring()),
            outgoing: Outgoing::new(me, bus, Arc::clone(&stats)),
            cluster,
            rooms,
            owners: HashMap::new(),
            ownership,
            takeovers,
            stats,
            opening: Vec::new(),
            log_reads: LogReads::new(),
            is_over: false,
            mailbox,
            inbound,
            view,
            losses: 0,
            losses_told_at: None,
            effects: Vec::new(),
        }
    }
}

impl Node {
    /// Runs the node until it is dropped.
    pub async fn run(mut self) {
        loop {
            let wakes_at = Instant::now() + self.until_wake();
            tokio::select! {
                message = self.mailbox.recv() => {
                    // The node itself holds a sender.
                    let Some(message) = message else { return };
                    self.take(message);
                    for _ in 1..MESSAGES_IN_A_ROW {
                        let Ok(message) = self.mailbox.try_recv() else { break };
                        self.take(message);
                    }
                }
                event = self.inbound.next() => self.came(event),
                () = tokio::time::sleep_until(wakes_at.into()) => self.feed(NodeInput::Tick),
            }
        }
    }

    /// Returns how long nothing is due by the clock.
    fn until_wake(&self) -> Duration {
        wait(self.core.wakes_at_ms(), self.cluster.elapsed())
    }

    fn take(&mut self, message: NodeMsg) {
        match message {
            NodeMsg::Input(input) => {
                self.look_at_end(&input);
                let shows_peers = matches!(*input, NodeInput::Redis { asker: Asker::Peers | Asker::Lease, .. });
                self.feed(*input);
                if shows_peers {
                    self.show();
                }
            }
            NodeMsg::Ask(asking) => {
                let Asking { room, ask, reply } = *asking;
                self.ask(room.clone(), ask, reply);
                self.cluster.looked_at(&room);
            }
            NodeMsg::Signal(signal, _permit) => self.feed(NodeInput::Signal(*signal)),
            NodeMsg::FromLog(answer) => self.log_answered(answer),
            NodeMsg::Look(look) => look(&self.core),
        }
    }

    /// Forgets an owner that has ended, before the machine hears of it.
    fn look_at_end(&mut self, input: &NodeInput<Waiter>) {
        use OwnerEvent::{Lost, NotActivated, Stopped};
        if let NodeInput::Owner { room, life, event: NotActivated | Stopped { .. } | Lost } = input
            && self.owners.get(room).is_some_and(|owner| owner.life == *life)
            && let Some(owner) = self.owners.remove(room)
        {
            // Of one whose actor has failed nobody else may know it yet.
            self.rooms.close(&owner.handle);
        }
    }

    fn ask(&mut self, room: RoomId, ask: Ask, reply: ReplySlot) {
        let input = match ask {
            Ask::Write(write) => {
                let write = *write;
                let forwarded = ForwardedWrite {
                    n: write.n,
                    prev: write.prev,
                    since: write.since,
                    op: write.op,
                    target: write.target,
                    body: write.body,
                };
                let write = ToForward {
                    reply: Waiter::Write(reply),
                    user: write.user,
                    device: write.device,
                    rights: write.rights,
                    write: forwarded,
                };
                NodeInput::Write { room, write }
            }
            Ask::Join(join) => {
                let from = JoinFrom { device: join.device.clone(), after: join.after, hash: join.hash };
                let asked = AskOwner { user: join.user.clone(), rights: join.rights, join: Some(from) };
                // An owner that is open here answers by itself, and is followed without this.
                let follows = (!self.core.is_open(&room)).then(|| {
                    let handle = self.shown.handle(&room);
                    let lease = handle.admission.reader();
                    (handle, lease)
                });
                let reader = Reader { ask: Ask::Join(join), reply, follows };
                NodeInput::Ask { room, ask: asked, reply: Waiter::Reader(Box::new(reader)) }
            }
            Ask::View(view) => {
                let asked = AskOwner { user: view.user.clone(), rights: view.rights, join: None };
                let reader = Reader { ask: Ask::View(view), reply, follows: None };
                NodeInput::Ask { room, ask: asked, reply: Waiter::Reader(Box::new(reader)) }
            }
            Ask::Change(_) => return reply.refuse(crate::shell::handle::moving()),
        };
        self.feed(input);
    }

    fn came(&mut self, event: InboundEvent) {
        match event {
            InboundEvent::Subscribed => self.feed(NodeInput::BusReturned),
            // The silence of the others tells the rest.
            InboundEvent::Interrupted => {}
            InboundEvent::Envelope(bytes) => self.received(&bytes),
        }
    }

    fn received(&mut self, bytes: &Bytes) {
        match Envelope::decode(bytes) {
            Ok(envelope) => {
                self.stats.envelopes_received.count();
                self.feed(NodeInput::Received(envelope));
            }
            Err(EnvelopeError::Format { found }) => {
                self.stats.envelopes_of_other_formats.count();
                tracing::debug!(found, "passed over an envelope of another format");
            }
            Err(error) => {
                self.stats.envelopes_malformed.count();
                tracing::warn!(%error, "passed over what is no envelope on the bus");
            }
        }
    }

    /// Tells the machine of what was lost on the way out, which nobody else knows. Not each time: what it sends then may be lost as
    /// well, and would be told as soon.
    fn look_at_losses(&mut self) {
        let losses = self.outgoing.losses();
        let is_due = self.losses_told_at.is_none_or(|at| at.elapsed() >= LOSSES_TOLD_APART);
        if losses != self.losses && is_due {
            self.losses = losses;
            self.losses_told_at = Some(Instant::now());
            self.feed(NodeInput::BusReturned);
        }
    }

    /// Gives the machine an input and does what it wants.
    pub(super) fn feed(&mut self, input: NodeInput<Waiter>) {
        self.look_at_losses();
        let mut effects = std::mem::take(&mut self.effects);
        let now = self.cluster.now(self.rooms.now_ms());
        self.core.handle(now, rand::random(), input, &mut effects);
        for effect in effects.drain(..) {
            self.carry_out(effect);
        }
        self.effects = effects;
        self.outgoing.flush();
        // Whoever finds the owner from now on comes after all that waited for it.
        for room in std::mem::take(&mut self.opening) {
            if let Some(owner) = self.owners.get(&room) {
                self.rooms.open(&owner.handle);
            }
        }
    }

    /// Shows the cluster as it is seen now.
    pub(super) fn show(&mut self) {
        self.cluster.clock_was_checked(self.core.clock());
        let peer = |(node, peer): (&crate::ports::NodeId, &crate::cluster::ownership::Peer)| PeerView {
            node: NodeRef::new(node.clone(), peer.record.incarnation),
            takes_rooms: peer.record.takes_rooms,
            connect: peer.record.connect.clone(),
        };
        let view = ClusterView {
            standing: self.core.standing(),
            takes_rooms: self.core.takes_rooms(),
            peers: self.core.peers().live().map(peer).collect(),
            is_over: self.is_over,
        };
        self.view.send_if_modified(|shown| {
            let has_changed = *shown != view;
            if has_changed {
                *shown = view;
            }
            has_changed
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_waits_for_what_is_due_however_long_it_has_lived() {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        let year_ms = u64::try_from(YEAR.as_millis()).unwrap();
        assert_eq!(wait(year_ms + 250, YEAR), Duration::from_millis(250));
        assert_eq!(wait(year_ms, YEAR + Duration::from_millis(1)), Duration::ZERO);
        assert_eq!(wait(u64::MAX, YEAR), WAIT_MAX);
    }
}
