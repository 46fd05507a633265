//! Looking for a room's owner, for those who read it here and those who write to it.

use rollcall_protocol::RoomId;

use super::io::{Asker, Life, NodeEffect};
use super::node::{NodeCore, Turn};
use super::room::SEEK_APART_MS_MAX;
use crate::cluster::NodeRef;
use crate::cluster::envelope::Payload;
use crate::cluster::forwarding::ForwardInput;
use crate::cluster::ownership::{ActivateWith, Reason, Seat, SeekEffect, SeekInput, Seeking, Surroundings};
use crate::cluster::replica::{self, OwnerAnswer};
use crate::room::Refusal;

/// A hint who owns a room is followed at most this often, in milliseconds: two nodes may each take the other for the owner.
const HINT_APART_MS: u64 = 1_000;

impl<T> NodeCore<T> {
    /// Begins a search that is due, if somebody still wants it.
    pub(super) fn begin_search_if_due(&mut self, turn: &mut Turn<'_, T>, room: &RoomId) {
        let now_ms = turn.now_ms();
        let Some(state) = self.rooms.get_mut(room) else { return };
        let is_due = state.search.begins_at_ms.is_some_and(|at_ms| at_ms <= now_ms);
        if !is_due || state.search.running.is_some() || state.owner.is_some() {
            return;
        }
        let is_wanted = state.wants_owner();
        let search = &mut state.search;
        search.begins_at_ms = None;
        let reason = match search.handed_over.take() {
            Some(fence) => Reason::HandedOver(fence),
            None if search.is_asked => Reason::Asked,
            None if is_wanted => Reason::Wanted,
            None => return,
        };
        search.is_asked = false;
        search.began_at_ms = Some(now_ms);
        search.apart_ms = (search.apart_ms * 2).min(SEEK_APART_MS_MAX);
        let not_before_ms = state.not_before_ms;
        let life = self.next_life();
        let mut effects = Vec::new();
        let seeking = Seeking::new(room.clone(), self.me.clone(), reason, not_before_ms, &mut effects);
        self.room(room).search.running = Some((life, seeking));
        self.seeking_wants(turn, room, life, effects);
    }

    /// Gives a search an input; an answer to an earlier one is of no more use.
    pub(super) fn seek_on(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, to: Option<Life>, input: SeekInput) {
        self.touched.insert(room.clone());
        let Some(state) = self.rooms.get_mut(room) else { return };
        let Some((life, seeking)) = &mut state.search.running else { return };
        let life = *life;
        if to.is_some_and(|to| to != life) {
            return;
        }
        let around = Surroundings {
            takes_rooms: self.lease.takes_rooms() && !state.search.passed_over.contains(&self.me.node),
            peers: &self.peers,
            passed_over: &state.search.passed_over,
            draw: turn.draw(life),
        };
        let mut effects = Vec::new();
        seeking.handle(turn.now_ms(), input, around, &mut effects);
        self.seeking_wants(turn, room, life, effects);
    }

    fn seeking_wants(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, life: Life, effects: Vec<SeekEffect>) {
        for effect in effects {
            match effect {
                SeekEffect::Run(command) => {
                    let asker = Asker::Seeking(room.clone(), life);
                    turn.effects.push(NodeEffect::Redis { asker, command });
                }
                SeekEffect::Found(seat) => {
                    self.room(room).search.running = None;
                    self.found(turn, room, seat);
                }
            }
        }
    }

    fn found(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, seat: Seat) {
        let now_ms = turn.now_ms();
        // What it found is older than what the owner has said since.
        let is_handed_over = self.room(room).search.handed_over.is_some();
        match seat {
            Seat::There(_) | Seat::Ask(_) | Seat::Nowhere if is_handed_over => self.room(room).search.at_once(now_ms),
            Seat::There(record) => {
                let state = self.room(room);
                let has_refused = state.search.refused_by.take_if(|node| *node == record.owner).is_some();
                if has_refused && (state.has_writes() || state.questions.any()) {
                    self.ask_to_activate(turn, room, record.owner.clone());
                }
                let answer = OwnerAnswer::Owned { by: record.owner.clone(), epoch: record.epoch };
                self.owner_found(turn, room, Some(record.owner), answer);
            }
            // Somebody has asked this node meanwhile, so it does not ask others.
            Seat::Ask(_) if self.room(room).search.is_asked => self.room(room).search.at_once(now_ms),
            Seat::Ask(node) => {
                let peer = self.peers.get(&node);
                let Some(preferred) = peer.map(|peer| NodeRef::new(node, peer.record.incarnation)) else {
                    return self.owner_found(turn, room, None, OwnerAnswer::Unknown);
                };
                let state = self.room(room);
                state.search.asked = Some(preferred.node.clone());
                if state.has_writes() || state.questions.any() {
                    self.ask_to_activate(turn, room, preferred.clone());
                }
                let answer = OwnerAnswer::Nobody { preferred: preferred.clone() };
                self.owner_found(turn, room, Some(preferred), answer);
            }
            // Redis is away. Who only reads polls the log, and does not take the room from an owner who may be well.
            Seat::Here(with) if with == ActivateWith::default() && !self.is_wanted_for_writing(room) => {
                self.owner_found(turn, room, None, OwnerAnswer::Unknown);
            }
            Seat::Here(with) => self.start_owner(turn, room, with),
            Seat::Nowhere => {
                let passed_over = std::mem::take(&mut self.room(room).search.passed_over);
                self.owner_found(turn, room, None, OwnerAnswer::Unknown);
                if passed_over.contains(&self.me.node) {
                    self.refuse_for_space(turn, room);
                }
            }
        }
    }

    /// Refuses what waits here for an owner, which no node has space for.
    fn refuse_for_space(&mut self, turn: &mut Turn<'_, T>, room: &RoomId) {
        let error = Refusal::TooManyRooms.to_frame(true);
        self.tell_forwarding(turn, room, ForwardInput::Refuse(error.clone()));
        self.refuse_questions(turn, room, &error);
    }

    fn is_wanted_for_writing(&mut self, room: &RoomId) -> bool {
        let state = self.room(room);
        state.has_writes() || !state.held.is_empty()
    }

    fn ask_to_activate(&self, turn: &mut Turn<'_, T>, room: &RoomId, node: NodeRef) {
        turn.effects.push(NodeEffect::Send { to: node, payloads: vec![Payload::Activate(room.clone())] });
    }

    /// Tells everybody who waits for it who owns the room.
    fn owner_found(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, owner: Option<NodeRef>, answer: OwnerAnswer) {
        let state = self.room(room);
        state.search.is_asked = false;
        state.found.clone_from(&owner);
        self.refuse_held(turn, room, owner.as_ref());
        self.tell_forwarding(turn, room, ForwardInput::Owner(owner));
        self.feed_replica(turn, room, replica::Input::Owner(answer));
    }

    /// An owner has answered: a node that was not known to own the room does.
    pub(super) fn owner_answers(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, node: &NodeRef) {
        let state = self.room(room);
        state.search.succeeded();
        if state.owner.is_none() && state.found.is_none() {
            state.found = Some(node.clone());
            self.tell_forwarding(turn, room, ForwardInput::Owner(Some(node.clone())));
        }
    }

    /// A node says that it does not own the room.
    pub(super) fn not_owner(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, from: &NodeRef, hint: Option<NodeRef>) {
        let (me, now_ms) = (self.me.clone(), turn.now_ms());
        let Some(state) = self.known_room(room) else { return };
        if state.found.as_ref() == Some(from) {
            state.found = None;
            state.search.refused_by = Some(from.clone());
            // It lives, and cannot or will not: another one is asked before it is its turn again.
            if let Some(asked) = state.search.asked.take_if(|asked| *asked == from.node) {
                state.search.passed_over.insert(asked);
            }
            let search = &mut state.search;
            let may_follow = search.hint_followed_at_ms.is_none_or(|at_ms| now_ms >= at_ms + HINT_APART_MS);
            let hint = hint.clone().filter(|hint| may_follow && *hint != me && hint != from);
            if hint.is_some() {
                search.hint_followed_at_ms = Some(now_ms);
                state.found.clone_from(&hint);
            }
            self.tell_forwarding(turn, room, ForwardInput::NotOwner { from: from.clone() });
            if hint.is_some() {
                self.tell_forwarding(turn, room, ForwardInput::Owner(hint));
            }
        }
        self.feed_replica(turn, room, replica::Input::NotOwner { from: from.clone(), hint });
    }

    /// A node is dead, or lives another life.
    pub(super) fn forget_owner(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, node: &NodeRef) {
        let Some(state) = self.known_room(room) else { return };
        state.held.forget_node(node);
        state.want_to_watch.remove(node);
        state.questions.forget_node(node);
        if state.found.take_if(|found| found == node).is_some() {
            self.tell_forwarding(turn, room, ForwardInput::Owner(None));
        }
    }
}
