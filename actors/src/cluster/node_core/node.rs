//! The node: what it is made of, and who takes which input.

use std::collections::{BTreeMap, BTreeSet};

use rollcall_protocol::{Hash, RoomId, Seq};

use super::draining::Draining;
use super::io::{Asker, NodeEffect, NodeInput, TailAsker};
use super::room::{Phase, Room};
use crate::cluster::forwarding::{ForwardInput, Forwarding};
use crate::cluster::ownership::{Owned, Peers, SeekInput};
use crate::cluster::{
    Beacons, CheckedClock, Lease, Links, NodeRef, NoticeInput, Now, RoomStanding, Standing, Trust, TrustInput, replica,
};

use super::io::Life;

/// A node of a cluster, without its sockets, clocks and owners. Times are of one monotonic clock, which begins where the node does.
#[derive(Debug)]
pub struct NodeCore<T> {
    pub(super) me: NodeRef,
    pub(super) lease: Lease,
    pub(super) peers: Peers,
    pub(super) owned: Owned,
    pub(super) trust: Trust,
    pub(super) links: Links,
    pub(super) beacons: Beacons,
    pub(super) rooms: BTreeMap<RoomId, Room<T>>,
    /// When time matters next for a room.
    due: BTreeSet<(u64, RoomId)>,
    /// Rooms that the present input has touched.
    pub(super) touched: BTreeSet<RoomId>,
    pub(super) lives: Life,
    pub(super) forwardings: u32,
    pub(super) draining: Option<Draining>,
    /// Of a node that drains and owns nothing any more: until when it waits for Redis to say so.
    pub(super) settle_by_ms: Option<u64>,
    /// Rooms that are owned here and that other nodes watch, or did a moment ago.
    pub(super) watched: BTreeSet<RoomId>,
    /// Size of what waits for activations, in bytes.
    pub(super) held_bytes: usize,
}

/// The handling of one input.
pub(super) struct Turn<'a, T> {
    pub now: Now,
    /// Drawn at random for this input.
    pub draw: u64,
    pub effects: &'a mut Vec<NodeEffect<T>>,
}

impl<T> Turn<'_, T> {
    pub fn now_ms(&self) -> u64 {
        self.now.mono_ms
    }

    /// Draws a number for one of several things that follow from an input.
    pub fn draw(&self, for_what: u64) -> u64 {
        // The finaliser of SplitMix64: what is next to one another becomes far apart.
        let mixed = (self.draw ^ for_what.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ mixed >> 31
    }
}

/// A room as this node shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomView {
    /// Where it stands.
    pub standing: RoomStanding,
    /// Whether it is owned here.
    pub is_owned: bool,
}

impl<T> NodeCore<T> {
    /// Makes a node that begins to live at the time `now_ms`; the first [`NodeInput::Tick`] asks Redis for its name. `lease` is
    /// new, and of the same node.
    pub fn new(me: NodeRef, lease: Lease, now_ms: u64) -> Self {
        Self {
            lease,
            peers: Peers::new(me.node.clone()),
            owned: Owned::new(me.clone()),
            trust: Trust::default(),
            links: Links::new(),
            beacons: Beacons::new(now_ms),
            rooms: BTreeMap::new(),
            due: BTreeSet::new(),
            touched: BTreeSet::new(),
            lives: 0,
            forwardings: 0,
            draining: None,
            settle_by_ms: None,
            watched: BTreeSet::new(),
            held_bytes: 0,
            me,
        }
    }

    /// Takes one input and appends what is to be done to `effects`. `draw` is drawn at random for it.
    ///
    /// # Panics
    /// Where Redis's answer follows no command, or does not fit it: faults of the caller.
    pub fn handle(&mut self, now: Now, draw: u64, input: NodeInput<T>, effects: &mut Vec<NodeEffect<T>>) {
        let turn = &mut Turn { now, draw, effects };
        self.take(turn, input);
        self.run_due(turn);
        for room in std::mem::take(&mut self.touched) {
            self.plan(turn, &room);
        }
    }

    /// Returns when time matters next, in milliseconds of the monotonic clock; then a [`NodeInput::Tick`] is due.
    pub fn wakes_at_ms(&self) -> u64 {
        let machines = [
            self.lease.wakes_at_ms(),
            self.peers.wakes_at_ms(),
            self.owned.wakes_at_ms(),
            self.links.due_ms(),
            self.settle_by_ms,
        ];
        let rooms = self.due.first().map(|&(at_ms, _)| at_ms);
        let draining = self.draining.as_ref().and_then(Draining::wakes_at_ms);
        let always = self.trust.wakes_at_ms().min(self.beacons.due_ms());
        machines.into_iter().flatten().chain(rooms).chain(draining).fold(always, u64::min)
    }

    /// Returns the node, in its present life.
    pub fn me(&self) -> &NodeRef {
        &self.me
    }

    /// Returns the node's standing in the cluster.
    pub fn standing(&self) -> Standing {
        self.lease.standing()
    }

    /// Returns how the node's clock stood when it was last compared with that of Redis; none where it was another then.
    pub fn clock(&self) -> Option<CheckedClock> {
        self.lease.clock()
    }

    /// Tells whether the node takes rooms.
    pub fn takes_rooms(&self) -> bool {
        self.lease.takes_rooms()
    }

    /// Tells whether an owner of the room is here and answers.
    pub fn is_open(&self, room: &RoomId) -> bool {
        let owner = self.rooms.get(room).and_then(|room| room.owner.as_ref());
        owner.is_some_and(|owner| matches!(&owner.phase, Phase::Active(active) if active.notice.is_open()))
    }

    /// Returns the other nodes.
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// Returns the rooms that are wanted here, by their names.
    pub fn rooms(&self) -> impl Iterator<Item = &RoomId> {
        self.rooms.keys()
    }

    /// Returns how many connections of this node have joined a room, as it was told.
    pub fn readers(&self, room: &RoomId) -> usize {
        self.rooms.get(room).map_or(0, |room| room.readers)
    }

    /// Returns a room as this node shows it; none as long as a join cannot be answered. The hash of the head is none where it was
    /// not heard of: it is that of the entry in the log.
    pub fn view(&self, room: &RoomId) -> Option<(RoomView, Option<Hash>)> {
        let room = self.rooms.get(room)?;
        if let Some(owner) = &room.owner
            && let Phase::Active(active) = &owner.phase
            && active.notice.is_open()
        {
            return Some((RoomView { standing: active.standing, is_owned: true }, Some(active.standing.hash)));
        }
        let replica = &room.shown.as_ref()?.replica;
        let head = replica.head()?;
        let hash = replica.hash();
        let standing = RoomStanding {
            epoch: replica.epoch(),
            head,
            hash: hash.unwrap_or(Hash([0; 32])),
            floor: replica.floor().max(Seq::FIRST),
        };
        Some((RoomView { standing, is_owned: false }, hash))
    }

    fn take(&mut self, turn: &mut Turn<'_, T>, input: NodeInput<T>) {
        match input {
            NodeInput::Tick => {}
            NodeInput::Readers { room, count } => self.count_readers(turn, &room, count),
            NodeInput::Expect { room, seq } => self.feed_replica(turn, &room, replica::Input::Expect(seq)),
            NodeInput::Damaged { room, entry } => self.found_damaged(turn, &room, entry),
            NodeInput::Write { room, write } => self.write(turn, room, write),
            NodeInput::Ask { room, ask, reply } => self.ask(turn, &room, ask, reply),
            NodeInput::Answered { to, question, result } => Self::answered(turn, to, question, result),
            NodeInput::Signal(signal) => self.signal(turn, &signal, None),
            NodeInput::Received(envelope) => self.received(turn, envelope),
            NodeInput::BusReturned => self.bus_returned(turn),
            NodeInput::Redis { asker, answer } => match asker {
                Asker::Lease => self.tell_lease(turn, crate::cluster::LeaseInput::Answer(answer)),
                Asker::Peers => self.tell_peers(turn, crate::cluster::ownership::PeersInput::Answer(answer)),
                Asker::Owned(room) => {
                    self.tell_owned(turn, crate::cluster::ownership::OwnedInput::Answer { room, answer });
                }
                Asker::Seeking(room, life) => self.seek_on(turn, &room, Some(life), SeekInput::Answer(answer)),
            },
            NodeInput::Tail { room, asker: TailAsker::Replica { life, read }, result } => {
                self.answer_replica(turn, &room, life, replica::Input::Tail { read, result });
            }
            NodeInput::Tail { room, asker: TailAsker::Trust { number }, result } => {
                self.tell_trust(turn, TrustInput::Tail { room, number, found: result.map_err(|_| ()) });
            }
            NodeInput::Entries { room, life, read, result } => {
                self.answer_replica(turn, &room, life, replica::Input::Entries { read, result });
            }
            NodeInput::Takeovers { sent_at_ms, rows } => {
                self.tell_trust(turn, TrustInput::TakeoversRead { sent_at_ms, rows });
            }
            NodeInput::Noticed { room, life, is_inserted } => {
                let input = if is_inserted { NoticeInput::Inserted } else { NoticeInput::NotInserted };
                self.tell_notice(turn, &room, Some(life), input);
            }
            NodeInput::Owner { room, life, event } => self.owner_event(turn, &room, life, event),
            NodeInput::GiveUp(room) => self.stop_owner(turn, &room),
            NodeInput::Move { room, to } => self.move_owner(turn, &room, &to),
            NodeInput::Drain => self.drain(turn),
        }
    }

    /// Lets every machine do what the time has come for.
    fn run_due(&mut self, turn: &mut Turn<'_, T>) {
        self.tick_node(turn);
        while let Some((at_ms, room)) = self.due.first().cloned()
            && at_ms <= turn.now_ms()
        {
            self.due.pop_first();
            if let Some(state) = self.rooms.get_mut(&room) {
                state.due_at_ms = None;
            }
            self.tick_room(turn, &room);
        }
    }

    fn tick_room(&mut self, turn: &mut Turn<'_, T>, room: &RoomId) {
        self.touched.insert(room.clone());
        let now_ms = turn.now_ms();
        let Some(state) = self.rooms.get(room) else { return };
        let is_due = |at_ms: Option<u64>| at_ms.is_some_and(|at_ms| at_ms <= now_ms);
        let replica = state.shown.as_ref().and_then(|shown| shown.wakes_at_ms);
        let forwarding = state.forwarding.as_ref().and_then(Forwarding::wakes_at_ms);
        if is_due(replica) {
            self.feed_replica(turn, room, replica::Input::Tick);
        }
        if is_due(forwarding) {
            self.tell_forwarding(turn, room, ForwardInput::Tick);
        }
        self.tell_notice(turn, room, None, NoticeInput::Tick);
        self.seek_on(turn, room, None, SeekInput::Tick);
    }

    /// Begins a search that is due, and enters when the room is to be looked at next, or forgets it.
    fn plan(&mut self, turn: &mut Turn<'_, T>, room: &RoomId) {
        self.begin_search_if_due(turn, room);
        self.put_questions(turn, room);
        let now_ms = turn.now_ms();
        let Some(state) = self.rooms.get_mut(room) else { return };
        let held_bytes = state.held.bytes();
        self.held_bytes = self.held_bytes + held_bytes - std::mem::replace(&mut state.held.counted_bytes, held_bytes);
        let due_at_ms = state.wakes_at_ms(now_ms);
        if state.due_at_ms != due_at_ms {
            if let Some(at_ms) = std::mem::replace(&mut state.due_at_ms, due_at_ms) {
                self.due.remove(&(at_ms, room.clone()));
            }
            self.due.extend(due_at_ms.map(|at_ms| (at_ms, room.clone())));
        }
        if state.is_idle(now_ms) {
            if let Some(at_ms) = state.due_at_ms {
                self.due.remove(&(at_ms, room.clone()));
            }
            self.rooms.remove(room);
        }
    }

    /// Returns the room's state, which the present input touches.
    pub(super) fn room(&mut self, room: &RoomId) -> &mut Room<T> {
        self.touched.insert(room.clone());
        self.rooms.entry(room.clone()).or_insert_with(Room::new)
    }

    /// Returns the room's state if there is one.
    pub(super) fn known_room(&mut self, room: &RoomId) -> Option<&mut Room<T>> {
        self.touched.insert(room.clone());
        self.rooms.get_mut(room)
    }

    pub(super) fn next_life(&mut self) -> Life {
        self.lives += 1;
        self.lives
    }
}
