//! Writes: those of this node's connections, and those that other nodes forward.

use rollcall_protocol::RoomId;

use super::held::NODE_BYTES_MAX;
use super::io::{Life, NodeEffect, OwnerWrite, RemoteWriter, Writer};
use super::node::{NodeCore, Turn};
use crate::cluster::NodeRef;
use crate::cluster::envelope::{Envelope, Payload, Submit};
use crate::cluster::forwarding::{Correlations, ForwardEffect, ForwardInput, Forwarding, ToForward};
use crate::cluster::replica;

impl<T> NodeCore<T> {
    /// Takes a connection's write: to the owner here, or to wherever it is. What came before goes before it.
    pub(super) fn write(&mut self, turn: &mut Turn<'_, T>, room: RoomId, write: ToForward<T>) {
        let state = self.room(&room);
        if !state.has_writes()
            && let Some((life, _)) = state.taking()
        {
            let ToForward { reply, user, device, rights, write } = write;
            let write = OwnerWrite { writer: Writer::Here(reply), user, device, rights, write };
            return turn.effects.push(NodeEffect::Submit { room, life, write });
        }
        if state.forwarding.is_none() {
            let found = state.found.clone();
            self.forwardings += 1;
            let correlations = Correlations::new(self.me.incarnation, self.forwardings);
            self.room(&room).forwarding = Some(Forwarding::new(room.clone(), correlations));
            if found.is_some() {
                self.tell_forwarding(turn, &room, ForwardInput::Owner(found));
            }
        }
        self.tell_forwarding(turn, &room, ForwardInput::Submit(write));
    }

    /// Tells the forwarding of a room something; nothing where none is under way.
    pub(super) fn tell_forwarding(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, input: ForwardInput<T>) {
        let now_ms = turn.now_ms();
        let Some(forwarding) = self.known_room(room).and_then(|state| state.forwarding.as_mut()) else { return };
        let mut effects = Vec::new();
        forwarding.handle(now_ms, input, &mut effects);
        for effect in effects {
            match effect {
                ForwardEffect::Send { to, submits } if to == self.me => {
                    submits.into_iter().for_each(|submit| self.submitted(turn, to.clone(), submit));
                }
                ForwardEffect::Send { to, submits } => {
                    let payloads = submits.into_iter().map(Payload::Submit).collect();
                    turn.effects.push(NodeEffect::Send { to, payloads });
                }
                ForwardEffect::Answer { reply, answer } => turn.effects.push(NodeEffect::Answer { reply, answer }),
                ForwardEffect::FindOwner => self.room(room).search.soon(now_ms),
                ForwardEffect::Stray => turn.effects.push(NodeEffect::Stray),
            }
        }
    }

    /// Takes what another node forwards, or this one did before the room was opened here.
    pub(super) fn submitted(&mut self, turn: &mut Turn<'_, T>, from: NodeRef, submit: Submit) {
        if !self.rooms.contains_key(&submit.room) {
            return self.refuse(turn, &submit.room, from, None);
        }
        let has_space = self.held_bytes < NODE_BYTES_MAX;
        let state = self.room(&submit.room);
        if let Some((life, _)) = state.taking() {
            submit_to_owner(turn, life, &from, submit);
        } else if state.may_own() {
            if has_space {
                state.held.push(from, submit);
            }
        } else {
            let found = state.found.clone();
            self.refuse(turn, &submit.room, from, found);
        }
    }

    /// Refuses what was held for an owner that this node did not become, or is no more.
    pub(super) fn refuse_held(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, hint: Option<&NodeRef>) {
        let state = self.room(room);
        let mut nodes: Vec<NodeRef> = std::mem::take(&mut state.want_to_watch).into_keys().collect();
        nodes.extend(state.questions.refuse_others());
        nodes.extend(state.held.take().into_iter().map(|(from, _)| from));
        nodes.sort();
        nodes.dedup();
        for node in nodes {
            self.refuse(turn, room, node, hint.cloned());
        }
    }

    /// Says that this node does not own a room, and who may.
    pub(super) fn refuse(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, to: NodeRef, hint: Option<NodeRef>) {
        if to == self.me {
            return self.not_owner(turn, room, &to, hint);
        }
        let hint = hint.filter(|hint| *hint != self.me && *hint != to);
        let payloads = vec![Payload::NotOwner { room: room.clone(), hint }];
        turn.effects.push(NodeEffect::Send { to, payloads });
    }

    /// Takes an envelope; what is not for this life of the node is dropped.
    pub(super) fn received(&mut self, turn: &mut Turn<'_, T>, envelope: Envelope) {
        if !envelope.is_for(&self.me) {
            return;
        }
        let from = envelope.from;
        for payload in envelope.payloads {
            self.said(turn, &from, payload);
        }
    }

    fn said(&mut self, turn: &mut Turn<'_, T>, from: &NodeRef, payload: Payload) {
        let now_ms = turn.now_ms();
        match payload {
            Payload::Submit(submit) => self.submitted(turn, from.clone(), submit),
            Payload::SubmitReply(reply) => {
                let room = reply.room.clone();
                if self.rooms.get(&room).is_none_or(|state| state.forwarding.is_none()) {
                    return turn.effects.push(NodeEffect::Stray);
                }
                self.tell_forwarding(turn, &room, ForwardInput::Reply(reply));
            }
            Payload::Watch(watch) => self.watch(turn, &watch.room, from.clone(), watch.number),
            Payload::Unwatch(watch) => self.unwatched(turn, &watch.room, from, watch.number),
            Payload::WatchConfirmed(told) => {
                self.hand_over_answered(&told.room);
                self.end_watch_of_hand_over(turn, &told.room, from, told.number);
                let input = replica::Input::Confirmed {
                    from: from.clone(),
                    number: told.number,
                    epoch: told.epoch,
                    head: told.head,
                    hash: told.hash,
                    floor: told.floor,
                };
                self.feed_replica(turn, &told.room, input);
            }
            Payload::NotOwner { room, hint } => {
                self.hand_over_answered(&room);
                self.not_owner(turn, &room, from, hint);
            }
            Payload::Batch(batch) => {
                let input = replica::Input::Batch { from: from.clone(), entries: batch.entries };
                self.feed_replica(turn, &batch.room, input);
            }
            Payload::Beacon(beacon) => {
                let mut told = Vec::new();
                self.links.beacon(now_ms, from, beacon, &mut told);
                self.links_told(turn, told);
            }
            Payload::Question(question) => self.questioned(turn, from.clone(), question),
            Payload::Told(told) => self.told(turn, told),
            Payload::Signal(signal) => {
                self.signal(turn, &signal, Some(from));
                turn.effects.push(NodeEffect::Signal(signal));
            }
            Payload::Damaged { room, entry } => _ = self.look_at(turn, &room, entry),
            Payload::HandOver { room, fence } => {
                let state = self.room(&room);
                if state.owner.is_none() {
                    state.search.handed_over = Some(fence);
                    state.search.at_once(now_ms);
                }
            }
            Payload::Activate(room) => {
                let state = self.room(&room);
                if state.owner.is_none() {
                    state.search.is_asked = true;
                    state.search.soon(now_ms);
                }
            }
        }
    }
}

fn submit_to_owner<T>(turn: &mut Turn<'_, T>, life: Life, from: &NodeRef, submit: Submit) {
    let Submit { correlation, room, user, device, rights, writes } = submit;
    for write in writes {
        let writer = RemoteWriter {
            node: from.clone(),
            correlation,
            room: room.clone(),
            user: user.clone(),
            device: device.clone(),
            n: write.n,
        };
        let (user, device) = (user.clone(), device.clone());
        let write = OwnerWrite { writer: Writer::Node(Box::new(writer)), user, device, rights, write };
        turn.effects.push(NodeEffect::Submit { room: room.clone(), life, write });
    }
}
