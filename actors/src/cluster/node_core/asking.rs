//! Questions: what somebody here asks before reading a room that another node owns. The owner answers, since it alone knows whom the
//! room admits and what a device wrote last; where no owner answers in time, the log does, as far as it can.

use std::collections::BTreeMap;

use rollcall_protocol::{ErrorFrame, RoomId};

use super::io::{AskOwner, NodeEffect};
use super::node::{NodeCore, Turn};
use crate::cluster::NodeRef;
use crate::cluster::envelope::{Correlation, Payload, Question, RoomFacts, Told};

/// A question that was not answered is sent again after this long, in milliseconds.
pub const ASK_AGAIN_MS: u64 = 1_000;

/// A question that no owner has answered for this long is put to the log, in milliseconds: longer than a lease lives, so that a
/// node that was killed is replaced meanwhile.
pub const ASK_LOG_AFTER_MS: u64 = 5_000;

/// Questions of other nodes that wait for an activation; what comes beyond is not answered and comes again.
const WAITING_MAX: usize = 256;

/// The questions of one room.
#[derive(Debug)]
pub(super) struct Questions<T> {
    /// Those of this node, by their numbers.
    own: BTreeMap<u64, Pending<T>>,
    /// Those of other nodes, which wait until the room is open here.
    others: Vec<(NodeRef, Question)>,
}

#[derive(Debug)]
struct Pending<T> {
    reply: T,
    ask: AskOwner,
    began_ms: u64,
    sent: Option<(NodeRef, u64)>,
}

impl<T> Questions<T> {
    pub fn new() -> Self {
        Self { own: BTreeMap::new(), others: Vec::new() }
    }

    /// Tells whether somebody here waits for an answer.
    pub fn any(&self) -> bool {
        !self.own.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.others.is_empty()
    }

    /// Takes out those who wait for an owner here, and drops what they ask: they are refused.
    pub fn refuse_others(&mut self) -> impl Iterator<Item = NodeRef> {
        std::mem::take(&mut self.others).into_iter().map(|(from, _)| from)
    }

    pub fn forget_node(&mut self, node: &NodeRef) {
        self.others.retain(|(from, _)| from != node);
        for pending in self.own.values_mut() {
            pending.sent.take_if(|(to, _)| to == node);
        }
    }

    pub fn wakes_at_ms(&self) -> Option<u64> {
        self.own.values().map(Pending::wakes_at_ms).min()
    }
}

impl<T> Pending<T> {
    fn wakes_at_ms(&self) -> u64 {
        let log = self.began_ms + ASK_LOG_AFTER_MS;
        self.sent.as_ref().map_or(log, |(_, at_ms)| log.min(at_ms + ASK_AGAIN_MS))
    }
}

impl<T> NodeCore<T> {
    /// Takes a question of this node, about a room that is not open here as far as the asker knows.
    pub(super) fn ask(&mut self, turn: &Turn<'_, T>, room: &RoomId, ask: AskOwner, reply: T) {
        let number = self.next_life();
        let pending = Pending { reply, ask, began_ms: turn.now_ms(), sent: None };
        let state = self.room(room);
        state.questions.own.insert(number, pending);
        if state.found.is_none() && state.owner.is_none() {
            state.search.soon(turn.now_ms());
        }
    }

    /// Asks whoever may answer by now: the owner here, another node's, or the log.
    pub(super) fn put_questions(&mut self, turn: &mut Turn<'_, T>, room: &RoomId) {
        let (now_ms, me) = (turn.now_ms(), self.me.clone());
        let Some(state) = self.rooms.get_mut(room).filter(|state| state.questions.any()) else { return };
        if let Some((life, _)) = state.taking() {
            for pending in std::mem::take(&mut state.questions.own).into_values() {
                turn.effects.push(NodeEffect::AskHere { room: room.clone(), life, reply: pending.reply });
            }
            return;
        }
        let owner = state.found.clone().filter(|found| *found != me);
        let is_sought = state.owner.is_some() || state.search.running.is_some() || state.search.begins_at_ms.is_some();
        if owner.is_none() && !is_sought {
            state.search.soon(now_ms);
        }
        let mut payloads = Vec::new();
        let is_late = |_: &u64, pending: &mut Pending<T>| now_ms >= pending.began_ms + ASK_LOG_AFTER_MS;
        for (_, Pending { reply, ask, .. }) in state.questions.own.extract_if(.., is_late) {
            turn.effects.push(NodeEffect::AskLog { room: room.clone(), ask, reply });
        }
        for (&number, pending) in &mut state.questions.own {
            let Some(owner) = &owner else {
                // Sent to nobody who might answer: it goes to the next owner at once.
                pending.sent = None;
                continue;
            };
            let was_sent = |(to, at_ms): &(NodeRef, u64)| to == owner && now_ms < at_ms + ASK_AGAIN_MS;
            if pending.sent.as_ref().is_some_and(was_sent) {
                continue;
            }
            pending.sent = Some((owner.clone(), now_ms));
            let AskOwner { user, rights, join } = pending.ask.clone();
            let correlation = Correlation { incarnation: me.incarnation, counter: number };
            payloads.push(Payload::Question(Question { correlation, room: room.clone(), user, rights, join }));
        }
        if let Some(to) = owner.filter(|_| !payloads.is_empty()) {
            turn.effects.push(NodeEffect::Send { to, payloads });
        }
    }

    /// Answers everybody here who waits with an error.
    pub(super) fn refuse_questions(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, error: &ErrorFrame) {
        let own = std::mem::take(&mut self.room(room).questions.own);
        turn.effects.extend(own.into_values().map(|Pending { reply, ask, .. }| {
            let (room, result) = (room.clone(), Err(error.clone()));
            NodeEffect::Told { room, ask, reply, result }
        }));
    }

    /// Takes the answer to a question of this node.
    pub(super) fn told(&mut self, turn: &mut Turn<'_, T>, told: Told) {
        let Told { correlation, room, result } = told;
        let is_ours = correlation.incarnation == self.me.incarnation;
        let state = self.known_room(&room).filter(|_| is_ours);
        match state.and_then(|state| state.questions.own.remove(&correlation.counter)) {
            Some(pending) => {
                turn.effects.push(NodeEffect::Told { room, ask: pending.ask, reply: pending.reply, result });
            }
            None => turn.effects.push(NodeEffect::Stray),
        }
    }

    /// Takes another node's question: an owner here answers it, one that is being activated later.
    pub(super) fn questioned(&mut self, turn: &mut Turn<'_, T>, from: NodeRef, question: Question) {
        if !self.rooms.contains_key(&question.room) {
            return self.refuse(turn, &question.room, from, None);
        }
        let state = self.room(&question.room);
        if let Some((life, _)) = state.taking() {
            turn.effects.push(NodeEffect::Examine { room: question.room.clone(), life, from, question });
        } else if state.may_own() {
            let is_again =
                |(node, waiting): &(NodeRef, Question)| *node == from && waiting.correlation == question.correlation;
            let others = &mut state.questions.others;
            if others.len() < WAITING_MAX && !others.iter().any(is_again) {
                others.push((from, question));
            }
        } else {
            let found = state.found.clone();
            self.refuse(turn, &question.room, from, found);
        }
    }

    /// Gives the owner that is open now what other nodes wanted to know.
    pub(super) fn examine_waiting(&mut self, turn: &mut Turn<'_, T>, room: &RoomId) {
        for (from, question) in std::mem::take(&mut self.room(room).questions.others) {
            self.questioned(turn, from, question);
        }
    }

    /// Sends what the owner here says to a question of another node.
    pub(super) fn answered(
        turn: &mut Turn<'_, T>,
        to: NodeRef,
        question: Question,
        result: Result<RoomFacts, ErrorFrame>,
    ) {
        let told = Told { correlation: question.correlation, room: question.room, result };
        turn.effects.push(NodeEffect::Send { to, payloads: vec![Payload::Told(told)] });
    }
}
