//! Replicas: rooms that are read here and owned elsewhere.

use rollcall_protocol::{Epoch, RoomId, Seq, Signal};

use super::io::{Life, NodeEffect, TailAsker};
use super::node::{NodeCore, Turn};
use super::room::{Phase, Room, Shown};
use crate::cluster::envelope::{Payload, Watch};
use crate::cluster::replica::{self, Replica};
use crate::cluster::{LinkEffect, NodeRef, TrustInput};

/// The numbers of the watches of a room's replicas: those of a later one lie above those of an earlier one.
const WATCHES_OF_A_LIFE: u64 = 1 << 24;

/// An owner is told of damage in its room at most this often, in milliseconds: readers meet the same entry again and again.
const DAMAGE_APART_MS: u64 = 1_000;

impl<T> NodeCore<T> {
    pub(super) fn count_readers(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, count: usize) {
        let state = self.room(room);
        state.readers = count;
        if state.open().is_some() {
            return self.tell_subscribers(turn, room);
        }
        self.show_if_read(turn, room);
        self.feed_replica(turn, room, replica::Input::Readers(count));
    }

    /// Begins to show a room that somebody reads here, unless its owner here answers or it is shown.
    pub(super) fn show_if_read(&mut self, turn: &mut Turn<'_, T>, room: &RoomId) {
        let (me, now_ms) = (self.me.clone(), turn.now_ms());
        let state = self.room(room);
        if state.readers == 0 || state.shown.is_some() || state.open().is_some() {
            return;
        }
        let readers = state.readers;
        let life = self.next_life();
        let replica = Replica::new(room.clone(), me, life * WATCHES_OF_A_LIFE, now_ms);
        self.room(room).shown = Some(Shown { life, replica, watches: None, wakes_at_ms: None, epoch_told: None });
        self.tell_replica_of_owner(turn, room);
        self.feed_replica(turn, room, replica::Input::Readers(readers));
    }

    /// Lets the replica believe nobody who is older than the last owner here, and has a take-over noticed again that it missed while
    /// the room was owned here.
    pub(super) fn tell_replica_of_owner(&mut self, turn: &mut Turn<'_, T>, room: &RoomId) {
        let Some(state) = self.known_room(room) else { return };
        let known_epoch = state.known_epoch;
        if let Some(shown) = &mut state.shown {
            shown.epoch_told = None;
            self.feed_replica(turn, room, replica::Input::TakenOver(known_epoch));
        }
    }

    /// Shows a room no more, since it is owned here.
    pub(super) fn unshow(&mut self, turn: &mut Turn<'_, T>, room: &RoomId) {
        let Some(shown) = self.known_room(room).and_then(|state| state.shown.take()) else { return };
        if let Some((at, number)) = shown.watches {
            self.unwatch(turn, room, &at, number);
        }
    }

    fn unwatch(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, at: &NodeRef, number: u64) {
        self.links.unwatched(at, room);
        let payload = Payload::Unwatch(Watch { room: room.clone(), number });
        turn.effects.push(NodeEffect::Send { to: at.clone(), payloads: vec![payload] });
    }

    /// Gives the replica that asked an answer; to an earlier one it is of no more use.
    pub(super) fn answer_replica(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, life: Life, input: replica::Input) {
        let shown = self.rooms.get(room).and_then(|state| state.shown.as_ref());
        if shown.is_some_and(|shown| shown.life == life) {
            self.feed_replica(turn, room, input);
        }
    }

    pub(super) fn feed_replica(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, input: replica::Input) {
        let Some(shown) = self.known_room(room).and_then(|state| state.shown.as_mut()) else { return };
        let mut effects = Vec::new();
        shown.replica.handle(turn.now_ms(), input, &mut effects);
        let life = shown.life;
        let epoch = shown.replica.stored_epoch();
        let confirmed_at = shown.replica.confirmed_at().cloned();
        for effect in effects {
            self.replica_wants(turn, room, life, effect);
        }
        self.tell_epoch(turn, room, epoch);
        if let Some(at) = confirmed_at {
            self.owner_answers(turn, room, &at);
        }
    }

    fn replica_wants(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, life: Life, effect: replica::Effect) {
        let now_ms = turn.now_ms();
        let name = room.clone();
        match effect {
            replica::Effect::FindOwner => {
                let state = self.room(room);
                if state.readers > 0 {
                    state.search.soon(now_ms);
                }
            }
            replica::Effect::Promote => self.room(room).search.soon(now_ms),
            replica::Effect::Watch { at, number } => {
                let before = self.set_watch(room, Some((at.clone(), number)));
                if before.is_some_and(|(node, _)| node == at) {
                    turn.effects.push(NodeEffect::WatchRenewed);
                }
                let mut told = Vec::new();
                self.links.watching(now_ms, &at, room, &mut told);
                let payload = Payload::Watch(Watch { room: name, number });
                turn.effects.push(NodeEffect::Send { to: at, payloads: vec![payload] });
                self.links_told(turn, told);
            }
            replica::Effect::Unwatch { at, number } => {
                self.set_watch(room, None);
                self.unwatch(turn, room, &at, number);
            }
            replica::Effect::AskToActivate(to) => {
                turn.effects.push(NodeEffect::Send { to, payloads: vec![Payload::Activate(name)] });
            }
            replica::Effect::ReadTail { read } => {
                let asker = TailAsker::Replica { life, read };
                turn.effects.push(NodeEffect::ReadTail { room: name, asker });
            }
            replica::Effect::ReadEntries { read, after, through } => {
                turn.effects.push(NodeEffect::ReadEntries { room: name, life, read, after, through });
            }
            replica::Effect::Begin { epoch, head } => {
                turn.effects.push(NodeEffect::Begin { room: name, epoch, head });
            }
            replica::Effect::Deliver(entries) => turn.effects.push(NodeEffect::Deliver { room: name, entries }),
            replica::Effect::ArmTimer(at_ms) => {
                if let Some(shown) = &mut self.room(room).shown {
                    shown.wakes_at_ms = Some(at_ms);
                }
            }
            replica::Effect::Stop(reason) => {
                let state = self.room(room);
                state.shown = None;
                if reason == replica::StopReason::Diverged {
                    state.readers = 0;
                }
                self.leave_trust(turn, room);
                turn.effects.push(NodeEffect::Ended { room: name, reason });
            }
        }
    }

    /// Enters where a room is watched, and returns where it was.
    fn set_watch(&mut self, room: &RoomId, watches: Option<(NodeRef, u64)>) -> Option<(NodeRef, u64)> {
        let shown = self.room(room).shown.as_mut()?;
        std::mem::replace(&mut shown.watches, watches)
    }

    /// Says under which epoch the room is shown, so that a take-over of it is noticed.
    fn tell_epoch(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, epoch: Epoch) {
        let Some(state) = self.known_room(room) else { return };
        if state.owner.as_ref().is_some_and(|owner| matches!(owner.phase, Phase::Active(_))) {
            return;
        }
        let Some(shown) = &mut state.shown else { return };
        if shown.epoch_told.replace(epoch) != Some(epoch) {
            self.tell_trust(turn, TrustInput::Watches { room: room.clone(), epoch });
        }
    }

    /// Nobody here reads the room through a replica any more.
    fn leave_trust(&mut self, turn: &mut Turn<'_, T>, room: &RoomId) {
        let is_owned = self
            .rooms
            .get(room)
            .is_some_and(|state| state.owner.as_ref().is_some_and(|owner| matches!(owner.phase, Phase::Active(_))));
        if !is_owned {
            self.tell_trust(turn, TrustInput::Left(room.clone()));
        }
    }

    pub(super) fn links_told(&mut self, turn: &mut Turn<'_, T>, told: Vec<LinkEffect>) {
        for told in told {
            match told {
                LinkEffect::GapPossible(rooms) => {
                    rooms.iter().for_each(|room| self.feed_replica(turn, room, replica::Input::GapPossible));
                }
                LinkEffect::Head { room, from, epoch, head } => {
                    self.feed_replica(turn, &room, replica::Input::Head { from, epoch, head });
                }
                LinkEffect::Released { room, from } => self.not_owner(turn, &room, &from, None),
            }
        }
    }

    /// Somebody here has read an entry that is not what was written. Nothing is numbered over damage, so the owner is to look at it.
    pub(super) fn found_damaged(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, entry: Seq) {
        if self.look_at(turn, room, entry) {
            return;
        }
        let (me, now_ms) = (self.me.clone(), turn.now_ms());
        let Some(state) = self.known_room(room) else { return };
        let watched = state.shown.as_ref().and_then(|shown| shown.replica.confirmed_at());
        let Some(to) = watched.or(state.found.as_ref()).filter(|node| **node != me).cloned() else { return };
        if state.damage_told_at_ms.is_none_or(|at_ms| now_ms >= at_ms + DAMAGE_APART_MS) {
            state.damage_told_at_ms = Some(now_ms);
            let payloads = vec![Payload::Damaged { room: room.clone(), entry }];
            turn.effects.push(NodeEffect::Send { to, payloads });
        }
    }

    /// Has the owner here look at an entry that was found damaged; tells whether there is one.
    pub(super) fn look_at(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, entry: Seq) -> bool {
        let Some((life, active)) = self.rooms.get_mut(room).and_then(Room::open) else { return false };
        if (Seq::FIRST..=active.standing.head).contains(&entry) {
            turn.effects.push(NodeEffect::LookAt { room: room.clone(), life, entry });
        }
        true
    }

    /// Passes something ephemeral on: from the owner to all who watch, from others to the owner.
    pub(super) fn signal(&mut self, turn: &mut Turn<'_, T>, signal: &Signal, from: Option<&NodeRef>) {
        let Some(state) = self.rooms.get_mut(&signal.room) else { return };
        let to: Vec<NodeRef> = match (state.open(), from) {
            (Some((_, active)), from) => active.watchers.nodes().filter(|node| Some(*node) != from).cloned().collect(),
            (None, None) => {
                let shown = state.shown.as_ref();
                shown.and_then(|shown| shown.replica.confirmed_at()).cloned().into_iter().collect()
            }
            // What a node says that does not own the room goes no further.
            (None, Some(_)) => Vec::new(),
        };
        for to in to {
            turn.effects.push(NodeEffect::Send { to, payloads: vec![Payload::Signal(signal.clone())] });
        }
    }
}
