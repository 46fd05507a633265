//! The rooms that this node owns, and what Redis should say of them. What it says is made true again whenever it is not: after a
//! command that was lost, after Redis was away, and once in half a minute in any case.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rollcall_protocol::{Epoch, RoomId, Seq};

use super::command::{RedisAnswer, RedisCommand};
use super::owned_room::{Asked, Hint, Key, Room};
use super::record::OwnerRecord;
use super::seeking::ActivateWith;
use crate::cluster::NodeRef;
use crate::fencing::Buckets;

/// How many commands are under way at most, each of another room.
const IN_FLIGHT_MAX: usize = 64;

/// How often a room's keys are compared with what they should hold, in milliseconds: a Redis that went back in time says nothing.
const VERIFY_EVERY_MS: u64 = 30_000;

/// When Redis is asked again that did not answer, in milliseconds.
const RETRY_MS: u64 = 1_000;

/// What happens to the rooms of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnedInput {
    /// Time has passed.
    Tick,
    /// The log has activated a room here.
    Activated {
        /// Which room.
        room: RoomId,
        /// The epoch in the log.
        epoch: Epoch,
        /// The last committed number.
        last_seq: Seq,
        /// What Redis had given for it.
        with: ActivateWith,
    },
    /// A room that was claimed could not be activated.
    Abandoned {
        /// Which room.
        room: RoomId,
        /// The claim.
        claimed: Arc<str>,
    },
    /// A bucket of a room's log is full.
    Rolled {
        /// Which room.
        room: RoomId,
        /// The last committed number.
        last_seq: Seq,
    },
    /// A room is not active here any more.
    GivenUp {
        /// Which room.
        room: RoomId,
        /// The last committed number that is known here.
        last_seq: Seq,
    },
    /// Redis answers again, or has lost keys: what it says is compared with what it should, of every room.
    Returned,
    /// What became of a room's last command.
    Answer {
        /// Of which room.
        room: RoomId,
        /// What became of it.
        answer: RedisAnswer,
    },
}

/// What is to be done or known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnedEffect {
    /// Run this, and give one answer with the room's name. No further command of the room is run before that.
    Run {
        /// Of which room.
        room: RoomId,
        /// What to run.
        command: RedisCommand,
    },
    /// Redis names an owner with an epoch that is not lower: the log is to be asked whether this node still is the owner.
    Superseded {
        /// Which room.
        room: RoomId,
        /// Who says so.
        by: OwnerRecord,
    },
    /// The hint lay beyond the end of the room's log; to be counted.
    HintCorrected {
        /// Which room.
        room: RoomId,
        /// What it was.
        was: Seq,
    },
}

/// The rooms that are active here, with those that were until a moment ago.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owned {
    me: NodeRef,
    rooms: BTreeMap<RoomId, Room>,
    /// Rooms with something to do and nothing under way.
    due: BTreeSet<RoomId>,
    verify: BTreeSet<(u64, RoomId)>,
    in_flight: usize,
    /// Redis did not answer; nothing is asked before.
    retry_at_ms: Option<u64>,
}

impl Owned {
    /// Begins with no room.
    pub fn new(me: NodeRef) -> Self {
        Self {
            me,
            rooms: BTreeMap::new(),
            due: BTreeSet::new(),
            verify: BTreeSet::new(),
            in_flight: 0,
            retry_at_ms: None,
        }
    }

    /// Takes one input at the time `now_ms` of the monotonic clock and appends what is to be done to `effects`.
    ///
    /// # Panics
    /// Where an answer follows no command, or does not fit it: faults of the caller.
    pub fn handle(&mut self, now_ms: u64, input: OwnedInput, effects: &mut Vec<OwnedEffect>) {
        match input {
            OwnedInput::Tick => {}
            OwnedInput::Activated { room, epoch, last_seq, with } => {
                self.activated(now_ms, room, epoch, last_seq, with, effects);
            }
            OwnedInput::Abandoned { room, claimed } => {
                let entry = self.rooms.entry(room.clone()).or_default();
                if entry.wanted.is_none() {
                    entry.own = Some(claimed);
                    entry.key = Key::Unknown;
                }
                self.plan(room);
            }
            OwnedInput::Rolled { room, last_seq } => {
                if let Some(entry) = self.rooms.get_mut(&room) {
                    entry.seq = Some((last_seq, Hint::Raise));
                    self.plan(room);
                }
            }
            OwnedInput::GivenUp { room, last_seq } => {
                if let Some(entry) = self.rooms.get_mut(&room).filter(|entry| entry.wanted.is_some()) {
                    entry.wanted = None;
                    entry.key = Key::Unknown;
                    if last_seq > Seq::ZERO {
                        entry.seq = Some((last_seq, Hint::Raise));
                    }
                    self.plan(room);
                }
            }
            OwnedInput::Returned => {
                self.retry_at_ms = None;
                let rooms: Vec<RoomId> = self.rooms.keys().cloned().collect();
                rooms.into_iter().for_each(|room| self.doubt(room));
            }
            OwnedInput::Answer { room, answer } => self.answer(now_ms, room, answer, effects),
        }
        self.verify_due(now_ms);
        self.run_due(now_ms, effects);
    }

    /// Returns when time matters next, in milliseconds of the monotonic clock.
    pub fn wakes_at_ms(&self) -> Option<u64> {
        let verify = self.verify.first().map(|&(at_ms, _)| at_ms);
        let retry = self.retry_at_ms.filter(|_| !self.due.is_empty());
        verify.into_iter().chain(retry).min()
    }

    /// Returns the rooms that are active here, with their epochs, by their names.
    pub fn rooms(&self) -> impl Iterator<Item = (&RoomId, Epoch)> {
        self.rooms.iter().filter_map(|(room, entry)| Some((room, entry.wanted.as_ref()?.epoch)))
    }

    /// Tells whether Redis says all that it should: a node that stops waits for that, though not for ever.
    pub fn is_settled(&self) -> bool {
        self.due.is_empty() && self.in_flight == 0
    }

    fn activated(
        &mut self,
        now_ms: u64,
        room: RoomId,
        epoch: Epoch,
        last_seq: Seq,
        with: ActivateWith,
        effects: &mut Vec<OwnedEffect>,
    ) {
        let record = OwnerRecord { epoch, owner: self.me.clone() };
        let entry = self.rooms.entry(room.clone()).or_default();
        let is_claimed = with.claimed.as_deref() == Some(&*record.text()) && entry.in_flight.is_none();
        entry.key = match &with.claimed {
            Some(_) if is_claimed => Key::Right,
            Some(claimed) => Key::Wrong(Some(Arc::clone(claimed))),
            None => Key::Unknown,
        };
        entry.own = with.claimed.or_else(|| Some(record.text()));
        entry.wanted = Some(record);
        entry.raise_epoch = (with.epoch != epoch).then_some(epoch);
        let buckets = Buckets::STORED;
        entry.seq = if with.hint > last_seq {
            effects.push(OwnedEffect::HintCorrected { room: room.clone(), was: with.hint });
            Some((last_seq, Hint::Correct))
        } else if last_seq > Seq::ZERO && (with.hint == Seq::ZERO || buckets.of(last_seq) > buckets.of(with.hint)) {
            Some((last_seq, Hint::Raise))
        } else {
            None
        };
        self.verify_later(now_ms, &room);
        self.plan(room);
    }

    /// Compares a room's keys with what they should hold.
    fn doubt(&mut self, room: RoomId) {
        if let Some(entry) = self.rooms.get_mut(&room) {
            entry.key = Key::Unknown;
            if let Some(record) = &entry.wanted {
                entry.raise_epoch = Some(record.epoch);
            }
            self.plan(room);
        }
    }

    fn verify_later(&mut self, now_ms: u64, room: &RoomId) {
        if let Some(entry) = self.rooms.get_mut(room) {
            self.verify.remove(&(entry.verify_at_ms, room.clone()));
            if entry.wanted.is_some() {
                entry.verify_at_ms = now_ms + VERIFY_EVERY_MS;
                self.verify.insert((entry.verify_at_ms, room.clone()));
            }
        }
    }

    fn verify_due(&mut self, now_ms: u64) {
        while let Some((at_ms, room)) = self.verify.first().cloned()
            && at_ms <= now_ms
        {
            self.verify.pop_first();
            self.verify_later(now_ms, &room);
            self.doubt(room);
        }
    }

    /// Enters a room among those with something to do, or forgets it where nothing is left.
    fn plan(&mut self, room: RoomId) {
        let Some(entry) = self.rooms.get(&room) else { return };
        if entry.in_flight.is_some() {
            return;
        }
        if entry.next().is_some() {
            self.due.insert(room);
            return;
        }
        self.due.remove(&room);
        if entry.wanted.is_none() {
            self.verify.remove(&(entry.verify_at_ms, room.clone()));
            self.rooms.remove(&room);
        }
    }

    fn run_due(&mut self, now_ms: u64, effects: &mut Vec<OwnedEffect>) {
        if self.retry_at_ms.is_some_and(|at_ms| now_ms < at_ms) {
            return;
        }
        self.retry_at_ms = None;
        while self.in_flight < IN_FLIGHT_MAX
            && let Some(room) = self.due.pop_first()
        {
            let entry = self.rooms.get_mut(&room).expect("a room with something to do is known");
            let asked = entry.next().expect("it has something to do");
            if let Asked::Swap { new, .. } = &asked {
                entry.own = new.clone().or(entry.own.take());
            }
            let command = asked.command(&room);
            entry.in_flight = Some(asked);
            self.in_flight += 1;
            effects.push(OwnedEffect::Run { room, command });
        }
    }

    fn answer(&mut self, now_ms: u64, room: RoomId, answer: RedisAnswer, effects: &mut Vec<OwnedEffect>) {
        let entry = self.rooms.get_mut(&room).expect("an answer follows a command");
        let asked = entry.in_flight.take().expect("an answer follows a command");
        self.in_flight -= 1;
        match (asked, answer) {
            (_, RedisAnswer::Failed(_)) => {
                entry.key = Key::Unknown;
                self.retry_at_ms = Some(now_ms + RETRY_MS);
            }
            (Asked::Swap { new, .. }, RedisAnswer::Swapped) => {
                let wanted = entry.wanted.as_ref().map(OwnerRecord::text);
                entry.key = if new == wanted { Key::Right } else { Key::Wrong(new) };
            }
            (Asked::Swap { .. }, RedisAnswer::Found(found)) => {
                if let Some(by) = entry.found(&self.me, found) {
                    effects.push(OwnedEffect::Superseded { room: room.clone(), by });
                }
            }
            (Asked::Epoch(to), RedisAnswer::Done) => {
                entry.raise_epoch = entry.raise_epoch.filter(|&wanted| wanted > to);
            }
            (Asked::Seq(to, hint), RedisAnswer::Done) => entry.seq = entry.seq.filter(|&now| now != (to, hint)),
            (asked, answer) => panic!("{answer:?} does not answer {asked:?}"),
        }
        self.plan(room);
    }
}
