//! All that a node forwards to the owner of one room.

use std::collections::{BTreeMap, BTreeSet};

use rollcall_protocol::limits::UNANSWERED_WRITES_MAX;
use rollcall_protocol::{ErrorFrame, RoomId};

use super::device::{Device, IN_FLIGHT_BYTES_MAX, Taken};
use super::io::{ForwardEffect, ForwardInput, ToForward};
use crate::cluster::envelope::SubmitReply;
use crate::cluster::{Correlation, Incarnation, NodeRef};
use crate::room::{Refusal, SenderKey};

/// A write that is not answered for this long is answered as unknown, in milliseconds: its client is told to ask again.
pub const GIVE_UP_AFTER_MS: u64 = 30_000;

/// When an owner is looked for again who was not found, in milliseconds.
const FIND_AGAIN_MS: u64 = 250;

/// Numbers the submits of one forwarding. Those of two are never the same within one life of a node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Correlations {
    incarnation: Incarnation,
    last: u64,
}

impl Correlations {
    /// Begins to number for the `nth` forwarding that this life of the node has begun.
    pub fn new(incarnation: Incarnation, nth: u32) -> Self {
        Self { incarnation, last: u64::from(nth) << 32 }
    }

    pub(super) fn next(&mut self) -> Correlation {
        self.last += 1;
        Correlation { incarnation: self.incarnation, counter: self.last }
    }
}

/// How the search for an owner stands, while there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Finding {
    /// It is to begin at this time.
    At(u64),
    /// It is under way.
    Asked,
}

/// The sender's side of the writes to one room that another node owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarding<T> {
    room: RoomId,
    correlations: Correlations,
    owner: Option<NodeRef>,
    devices: BTreeMap<SenderKey, Device<T>>,
    /// How many writes they have together.
    unanswered: usize,
    deadlines: BTreeSet<(u64, SenderKey)>,
    finding: Finding,
}

impl<T> Forwarding<T> {
    /// Begins without an owner.
    pub fn new(room: RoomId, correlations: Correlations) -> Self {
        Self {
            room,
            correlations,
            owner: None,
            devices: BTreeMap::new(),
            unanswered: 0,
            deadlines: BTreeSet::new(),
            finding: Finding::At(0),
        }
    }

    /// Takes one input at the time `now_ms` of the monotonic clock and appends what is to be done to `effects`.
    pub fn handle(&mut self, now_ms: u64, input: ForwardInput<T>, effects: &mut Vec<ForwardEffect<T>>) {
        match input {
            ForwardInput::Tick => self.time_out(now_ms, effects),
            ForwardInput::Submit(forward) => self.submit(now_ms, forward, effects),
            ForwardInput::Owner(owner) => self.change_owner(now_ms, owner, effects),
            ForwardInput::Reply(reply) => self.reply(now_ms, reply, effects),
            ForwardInput::NotOwner { from } => {
                if self.owner.as_ref() == Some(&from) {
                    self.change_owner(now_ms, None, effects);
                }
            }
            ForwardInput::Refuse(error) => self.refuse(now_ms, &error, effects),
        }
    }

    /// Returns when time matters next, in milliseconds of the monotonic clock.
    pub fn wakes_at_ms(&self) -> Option<u64> {
        self.deadlines.first().map(|&(at_ms, _)| at_ms).into_iter().chain(self.find_at_ms()).min()
    }

    /// Returns how many writes wait for an answer.
    pub fn unanswered(&self) -> usize {
        self.unanswered
    }

    /// Returns to whom writes are sent.
    pub fn owner(&self) -> Option<&NodeRef> {
        self.owner.as_ref()
    }

    fn submit(&mut self, now_ms: u64, forward: ToForward<T>, effects: &mut Vec<ForwardEffect<T>>) {
        let key = SenderKey { user: forward.user.clone(), device: forward.device.clone() };
        let device = self.devices.entry(key.clone()).or_default();
        if device.len() >= UNANSWERED_WRITES_MAX {
            let answer = Err(Refusal::TooManyUnanswered.to_frame(true));
            return effects.push(ForwardEffect::Answer { reply: forward.reply, answer });
        }
        device.push(now_ms, forward);
        self.unanswered += 1;
        self.send(now_ms, &key, effects);
        self.find_owner(now_ms, effects);
    }

    fn change_owner(&mut self, now_ms: u64, owner: Option<NodeRef>, effects: &mut Vec<ForwardEffect<T>>) {
        // A search that has found nobody begins again a little later.
        let wait_ms = if self.finding == Finding::Asked && owner.is_none() { FIND_AGAIN_MS } else { 0 };
        self.finding = Finding::At(now_ms + wait_ms);
        if self.owner != owner {
            self.owner = owner;
            let keys: Vec<SenderKey> = self.devices.keys().cloned().collect();
            for key in keys {
                if let Some(device) = self.devices.get_mut(&key) {
                    device.hold_all();
                }
                self.send(now_ms, &key, effects);
            }
        }
        self.find_owner(now_ms, effects);
    }

    fn refuse(&mut self, now_ms: u64, error: &ErrorFrame, effects: &mut Vec<ForwardEffect<T>>) {
        let keys: Vec<SenderKey> = self.devices.keys().cloned().collect();
        for key in keys {
            let refused = self.devices.get_mut(&key).map_or_else(Vec::new, Device::take_unsent);
            self.unanswered -= refused.len();
            let answer = |reply| ForwardEffect::Answer { reply, answer: Err(error.clone()) };
            effects.extend(refused.into_iter().map(answer));
            self.send(now_ms, &key, effects);
        }
    }

    fn reply(&mut self, now_ms: u64, reply: SubmitReply, effects: &mut Vec<ForwardEffect<T>>) {
        let key = SenderKey { user: reply.user.clone(), device: reply.device.clone() };
        let device = self.devices.get_mut(&key).filter(|_| reply.room == self.room);
        match device.map_or(Taken::Stray, |device| device.take(reply)) {
            Taken::Answer(reply, answer) => {
                self.unanswered -= 1;
                effects.push(ForwardEffect::Answer { reply, answer });
            }
            Taken::Resend => {}
            Taken::Wait => return,
            Taken::Stray => return effects.push(ForwardEffect::Stray),
        }
        self.send(now_ms, &key, effects);
    }

    fn time_out(&mut self, now_ms: u64, effects: &mut Vec<ForwardEffect<T>>) {
        let mut doubts_owner = false;
        while let Some((at_ms, key)) = self.deadlines.first().cloned()
            && at_ms <= now_ms
        {
            self.deadlines.pop_first();
            if let Some(device) = self.devices.get_mut(&key) {
                device.deadline_ms = None;
                let given_up = device.time_out(now_ms, GIVE_UP_AFTER_MS);
                self.unanswered -= given_up.len();
                effects.extend(given_up.into_iter().map(unknown));
                doubts_owner |= !device.is_empty() && device.doubts_owner();
            }
            self.send(now_ms, &key, effects);
        }
        // It goes on being sent to: who answers nothing may be slow, and no other one be found.
        if doubts_owner && self.owner.is_some() {
            self.finding = Finding::Asked;
            effects.push(ForwardEffect::FindOwner);
        }
        self.find_owner(now_ms, effects);
    }

    /// Sends what a device has to send, and enters when that should be answered.
    fn send(&mut self, now_ms: u64, key: &SenderKey, effects: &mut Vec<ForwardEffect<T>>) {
        let Some(device) = self.devices.get_mut(key) else { return };
        if let Some(to) = &self.owner {
            // An owner here gets everything at once: once the room is open, later writes go to it straight.
            let is_here = to.incarnation == self.correlations.incarnation;
            let bytes_max = if is_here { usize::MAX } else { IN_FLIGHT_BYTES_MAX };
            let submits = device.send(now_ms, key, &self.room, &mut self.correlations, bytes_max);
            if !submits.is_empty() {
                effects.push(ForwardEffect::Send { to: to.clone(), submits });
            }
        }
        let deadline_ms = device.next_deadline_ms(GIVE_UP_AFTER_MS);
        if device.deadline_ms != deadline_ms {
            if let Some(at_ms) = std::mem::replace(&mut device.deadline_ms, deadline_ms) {
                self.deadlines.remove(&(at_ms, key.clone()));
            }
            self.deadlines.extend(deadline_ms.map(|at_ms| (at_ms, key.clone())));
        }
        if device.is_empty() {
            self.devices.remove(key);
        }
    }

    fn find_owner(&mut self, now_ms: u64, effects: &mut Vec<ForwardEffect<T>>) {
        if self.find_at_ms().is_some_and(|at_ms| at_ms <= now_ms) {
            self.finding = Finding::Asked;
            effects.push(ForwardEffect::FindOwner);
        }
    }

    fn find_at_ms(&self) -> Option<u64> {
        match self.finding {
            Finding::At(at_ms) if self.owner.is_none() && !self.devices.is_empty() => Some(at_ms),
            _ => None,
        }
    }
}

fn unknown<T>(reply: T) -> ForwardEffect<T> {
    let error: ErrorFrame = Refusal::OutcomeUnknown.to_frame(false);
    ForwardEffect::Answer { reply, answer: Err(error) }
}
