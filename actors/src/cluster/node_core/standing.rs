//! What concerns the node as a whole: its lease, the other nodes, the keys of its rooms in Redis, its trust, its beacons.

use rollcall_protocol::RoomId;

use super::draining::Draining;
use super::io::{Asker, NodeEffect, OwnerEnd, TailAsker};
use super::node::{NodeCore, Turn};
use crate::cluster::envelope::{Payload, Watch};
use crate::cluster::ownership::{OwnedEffect, OwnedInput, PeersEffect, PeersInput};
use crate::cluster::{LeaseEffect, LeaseInput, NodeRef, TrustEffect, TrustInput, replica};
use crate::room::StopReason;

/// How long a node that stops waits for Redis to say that it owns nothing any more, in milliseconds. Without that the keys of its rooms
/// stay, and mean nothing once its lease has ended.
const SETTLE_MS_MAX: u64 = 3_000;

/// No time: the node's name is given back.
const HAS_ENDED: u64 = u64::MAX;

/// The number of the watch that is sent with a hand-over; those of replicas are higher.
const HAND_OVER_WATCH: u64 = 0;

impl<T> NodeCore<T> {
    /// Lets the machines of the node do what the time has come for.
    pub(super) fn tick_node(&mut self, turn: &mut Turn<'_, T>) {
        let now_ms = turn.now_ms();
        let is_due = |at_ms: Option<u64>| at_ms.is_some_and(|at_ms| at_ms <= now_ms);
        if is_due(self.lease.wakes_at_ms()) {
            self.tell_lease(turn, LeaseInput::Tick);
        }
        if is_due(self.peers.wakes_at_ms()) {
            self.tell_peers(turn, PeersInput::Tick);
        }
        if is_due(self.owned.wakes_at_ms()) {
            self.tell_owned(turn, OwnedInput::Tick);
        }
        if self.trust.wakes_at_ms() <= now_ms {
            self.tell_trust(turn, TrustInput::Tick);
        }
        if self.beacons.due_ms() <= now_ms {
            self.expire_watchers(turn);
            for (to, beacon) in self.beacons.tick(now_ms) {
                turn.effects.push(NodeEffect::Send { to, payloads: vec![Payload::Beacon(beacon)] });
            }
        }
        if is_due(self.links.due_ms()) {
            let mut told = Vec::new();
            self.links.tick(now_ms, &mut told);
            self.links_told(turn, told);
        }
        self.drain_in_turns(turn);
        self.end_drain(turn);
    }

    pub(super) fn tell_lease(&mut self, turn: &mut Turn<'_, T>, input: LeaseInput) {
        let mut effects = Vec::new();
        self.lease.handle(turn.now, input, &mut effects);
        for effect in effects {
            match effect {
                LeaseEffect::Run(command) => turn.effects.push(NodeEffect::Redis { asker: Asker::Lease, command }),
                LeaseEffect::Renewed { sent_at_ms } => self.tell_trust(turn, TrustInput::Renewed { sent_at_ms }),
                LeaseEffect::Lost => {
                    self.tell_trust(turn, TrustInput::LeaseLost);
                    self.tell_owned(turn, OwnedInput::Returned);
                }
                LeaseEffect::Returned => self.tell_owned(turn, OwnedInput::Returned),
                LeaseEffect::Standing(standing) => turn.effects.push(NodeEffect::Standing(standing)),
                LeaseEffect::Over => turn.effects.push(NodeEffect::Over),
            }
        }
    }

    pub(super) fn tell_peers(&mut self, turn: &mut Turn<'_, T>, input: PeersInput) {
        let mut effects = Vec::new();
        self.peers.handle(turn.now_ms(), input, &mut effects);
        for effect in effects {
            match effect {
                PeersEffect::Run(command) => turn.effects.push(NodeEffect::Redis { asker: Asker::Peers, command }),
                PeersEffect::Gone(node) => self.node_gone(turn, &node),
            }
        }
    }

    fn node_gone(&mut self, turn: &mut Turn<'_, T>, node: &NodeRef) {
        // A lease may end though the node lives, as where Redis was away. Such a node would not learn that it is not told of entries
        // any more, so its watches last until they expire.
        let is_dead = self.peers.get(&node.node).is_some_and(|peer| peer.record.incarnation != node.incarnation);
        if is_dead {
            self.beacons.node_gone(node);
        }
        let rooms: Vec<RoomId> = self.rooms.keys().cloned().collect();
        for room in rooms {
            if is_dead {
                self.watcher_gone(turn, &room, node);
            }
            if let Some(state) = self.known_room(&room) {
                state.search.anew(turn.now_ms());
            }
            self.feed_replica(turn, &room, replica::Input::NodeGone(node.clone()));
            self.forget_owner(turn, &room, node);
        }
    }

    pub(super) fn tell_owned(&mut self, turn: &mut Turn<'_, T>, input: OwnedInput) {
        let mut effects = Vec::new();
        self.owned.handle(turn.now_ms(), input, &mut effects);
        for effect in effects {
            match effect {
                OwnedEffect::Run { room, command } => {
                    turn.effects.push(NodeEffect::Redis { asker: Asker::Owned(room), command });
                }
                OwnedEffect::Superseded { room, .. } => self.tell_trust(turn, TrustInput::Doubted(room)),
                OwnedEffect::HintCorrected { room, was } => turn.effects.push(NodeEffect::HintCorrected { room, was }),
            }
        }
    }

    pub(super) fn tell_trust(&mut self, turn: &mut Turn<'_, T>, input: TrustInput) {
        let mut effects = Vec::new();
        self.trust.handle(turn.now_ms(), input, &mut effects);
        for effect in effects {
            match effect {
                TrustEffect::ReadTakeovers { sent_at_ms } => {
                    turn.effects.push(NodeEffect::ReadTakeovers { sent_at_ms });
                }
                TrustEffect::ReadTail { room, number } => {
                    turn.effects.push(NodeEffect::ReadTail { room, asker: TailAsker::Trust { number } });
                }
                TrustEffect::Fenced { room, .. } => {
                    self.stop_believing(turn, &room, OwnerEnd::Stopped(StopReason::Fenced));
                }
                TrustEffect::Yields(room) => self.stop_believing(turn, &room, OwnerEnd::Yielded),
                TrustEffect::TakenOver(takeover) => {
                    self.feed_replica(turn, &takeover.room, replica::Input::TakenOver(takeover.epoch));
                }
            }
        }
    }

    /// What this node sent or should have got lately may be lost.
    pub(super) fn bus_returned(&mut self, turn: &mut Turn<'_, T>) {
        self.beacons.reconnected(turn.now_ms());
        let mut told = Vec::new();
        self.links.interrupted(&mut told);
        self.links_told(turn, told);
    }

    pub(super) fn drain(&mut self, turn: &mut Turn<'_, T>) {
        if self.draining.is_some() {
            return;
        }
        self.tell_lease(turn, LeaseInput::TakesRooms(false));
        let owned = self.rooms.iter().filter(|(_, state)| state.owner.is_some());
        self.draining = Some(Draining::new(owned.map(|(room, _)| room.clone())));
    }

    /// A room has no owner here any more.
    pub(super) fn drained(&mut self, turn: &Turn<'_, T>, room: &RoomId, is_handed_over: bool) {
        if let Some(draining) = &mut self.draining {
            draining.ended(room, turn.now_ms(), is_handed_over);
        }
    }

    /// Returns what is sent behind a room that is handed over: a watch, which its next owner confirms as soon as it answers. Whoever
    /// reads the room here watches it anyway.
    pub(super) fn watch_of_hand_over(&self, room: &RoomId) -> Option<Payload> {
        let is_read = self.rooms.get(room).is_some_and(|state| state.readers > 0);
        let watch = Watch { room: room.clone(), number: HAND_OVER_WATCH };
        (self.draining.is_some() && !is_read).then_some(Payload::Watch(watch))
    }

    /// A node says whether it answers for a room.
    pub(super) fn hand_over_answered(&mut self, room: &RoomId) {
        if let Some(draining) = &mut self.draining {
            draining.answered(room);
        }
    }

    /// A node has confirmed the watch of a hand-over, which has done its work. Late or not: nobody else ends it.
    pub(super) fn end_watch_of_hand_over(&self, turn: &mut Turn<'_, T>, room: &RoomId, by: &NodeRef, number: u64) {
        let is_shown = self.rooms.get(room).is_some_and(|state| state.shown.is_some());
        if number == HAND_OVER_WATCH && !is_shown {
            let payload = Payload::Unwatch(Watch { room: room.clone(), number: HAND_OVER_WATCH });
            turn.effects.push(NodeEffect::Send { to: by.clone(), payloads: vec![payload] });
        }
    }

    /// Lets owners end whose turn it is.
    fn drain_in_turns(&mut self, turn: &mut Turn<'_, T>) {
        let now_ms = turn.now_ms();
        while let Some(draining) = &mut self.draining
            && let Some(room) = draining.next(now_ms)
        {
            if self.rooms.get(&room).is_some_and(|state| state.owner.is_some()) {
                self.stop_owner(turn, &room);
            } else {
                draining.ended(&room, now_ms, false);
            }
        }
    }

    /// Gives the node's name back once it owns nothing and Redis says so, or cannot be told.
    fn end_drain(&mut self, turn: &mut Turn<'_, T>) {
        if self.draining.is_none() || self.rooms.values().any(|room| room.owner.is_some()) {
            return;
        }
        let settle_by_ms = *self.settle_by_ms.get_or_insert(turn.now_ms() + SETTLE_MS_MAX);
        if self.owned.is_settled() || self.lease.is_away() || turn.now_ms() >= settle_by_ms {
            self.settle_by_ms = Some(HAS_ENDED);
            self.tell_lease(turn, LeaseInput::Stop);
        }
    }
}
