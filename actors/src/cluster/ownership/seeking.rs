//! Looks for a room that is not active here: another node has it, or should be asked for it, or it is to be activated here.

use std::collections::BTreeSet;
use std::sync::Arc;

use rollcall_protocol::{Epoch, NUMBER_MAX, RoomId, Seq};

use super::command::{RedisAnswer, RedisCommand};
use super::peers::Peers;
use super::record::{NodeRecord, OwnerRecord};
use crate::cluster::NodeRef;
use crate::ports::{Fence, NodeId};

/// An epoch from Redis above this one is garbage: the log's own need room to grow.
const EPOCH_DRAWN_MAX: u64 = NUMBER_MAX / 2;

/// How often an owner is looked for while a node that was fenced waits, or one that lives is missing, in milliseconds.
const LOOK_AGAIN_MS: u64 = 250;

/// How often others may be faster with a claim until the next try waits.
const LOST_CLAIMS_MAX: u32 = 4;

/// Why a room is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Somebody here wants it.
    Wanted,
    /// Another node asks this one to activate it.
    Asked,
    /// Its owner has drained it and gives it to this node, under this last fence.
    HandedOver(Fence),
}

/// Where a room is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Seat {
    /// This node owns it, and lives.
    There(OwnerRecord),
    /// Nobody owns it; this node should be asked to activate it.
    Ask(NodeId),
    /// It is to be activated here.
    Here(ActivateWith),
    /// Nobody owns it and no node takes rooms that may have it.
    Nowhere,
}

/// What Redis gave for an activation. All of it may be wrong: the log decides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ActivateWith {
    /// The epoch that was drawn; 0 without one.
    pub epoch: Epoch,
    /// Where the room's log probably ends; 0 where nothing is known.
    pub hint: Seq,
    /// What the room's owner key holds since it was claimed; none where it could not be claimed.
    pub claimed: Option<Arc<str>>,
    /// The last fence of the owner who gave the room to this node.
    pub handed_over: Option<Fence>,
}

/// What the machine looks at besides Redis.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// Whether this node takes rooms.
    pub takes_rooms: bool,
    /// The other nodes.
    pub peers: &'a Peers,
    /// Nodes that were asked for this room in vain and should not be asked again.
    pub passed_over: &'a BTreeSet<NodeId>,
    /// A number drawn at random for this input.
    pub draw: u64,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeekInput {
    /// Time has passed.
    Tick,
    /// What became of the command that was run last.
    Answer(RedisAnswer),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeekEffect {
    /// Run this, and give one answer. No further command is run before that.
    Run(RedisCommand),
    /// The room was found; nothing more follows.
    Found(Seat),
}

/// One search for one room.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Seeking {
    room: RoomId,
    me: NodeRef,
    reason: Reason,
    /// Before this time the room is not activated here: this node was fenced.
    not_before_ms: u64,
    redis_failed: bool,
    /// The room's key names this life of this node.
    is_named: bool,
    lost_claims: u32,
    phase: Phase,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Phase {
    ReadingOwner,
    ReadingNode { text: Arc<str>, record: OwnerRecord },
    Drawing { expected: Option<Arc<str>> },
    Hinting { expected: Option<Arc<str>>, epoch: Epoch },
    Claiming { with: ActivateWith },
    Waiting { until_ms: u64 },
    Found,
}

impl Seeking {
    /// Begins to look for a room. `not_before_ms` is what [`Seeking::after_fence`] gave when this node was last fenced there, or 0.
    pub fn new(room: RoomId, me: NodeRef, reason: Reason, not_before_ms: u64, effects: &mut Vec<SeekEffect>) -> Self {
        effects.push(SeekEffect::Run(RedisCommand::ReadOwner { room: room.clone() }));
        let phase = Phase::ReadingOwner;
        Self { room, me, reason, not_before_ms, redis_failed: false, is_named: false, lost_claims: 0, phase }
    }

    /// Returns when a node that is fenced now may activate the room again: in 0.5 to 2 s, by a random draw.
    pub fn after_fence(now_ms: u64, draw: u64) -> u64 {
        now_ms + 500 + draw % 1_501
    }

    /// Takes one input at the time `now_ms` of the monotonic clock and appends what is to be done to `effects`.
    ///
    /// # Panics
    /// Where an answer follows no command, or does not fit it: faults of the caller.
    pub fn handle(&mut self, now_ms: u64, input: SeekInput, around: Surroundings<'_>, effects: &mut Vec<SeekEffect>) {
        match (input, std::mem::replace(&mut self.phase, Phase::Found)) {
            (SeekInput::Tick, Phase::Waiting { until_ms }) if now_ms >= until_ms => self.read_owner(effects),
            (SeekInput::Tick, phase) => self.phase = phase,
            (SeekInput::Answer(answer), phase) => self.answer(now_ms, answer, phase, around, effects),
        }
    }

    /// Returns when time matters next, in milliseconds of the monotonic clock; none while an answer is awaited, and at the end.
    pub fn wakes_at_ms(&self) -> Option<u64> {
        match self.phase {
            Phase::Waiting { until_ms } => Some(until_ms),
            _ => None,
        }
    }

    fn answer(
        &mut self,
        now_ms: u64,
        answer: RedisAnswer,
        phase: Phase,
        around: Surroundings<'_>,
        effects: &mut Vec<SeekEffect>,
    ) {
        match (phase, answer) {
            (Phase::ReadingOwner, RedisAnswer::Text(text)) => self.owner_read(now_ms, text, around, effects),
            (Phase::ReadingNode { text, record }, RedisAnswer::Node(found)) => {
                let is_missing = found.is_none();
                let lives = found
                    .and_then(|(text, _)| NodeRecord::parse(&text))
                    .is_some_and(|node| node.incarnation == record.owner.incarnation);
                if lives {
                    effects.push(SeekEffect::Found(Seat::There(record)));
                } else if is_missing && around.peers.is_alive(&record.owner) {
                    // Redis was away, or has forgotten it: it will be there again, or else count as gone.
                    self.wait_until(now_ms + LOOK_AGAIN_MS);
                } else {
                    self.vacant(now_ms, Some(text), around, effects);
                }
            }
            (Phase::ReadingOwner | Phase::ReadingNode { .. }, RedisAnswer::Failed(_)) => {
                self.ask_the_log_alone(now_ms, around, effects);
            }
            (Phase::Drawing { expected }, RedisAnswer::Number(drawn)) => {
                let drawn = u64::try_from(drawn).ok().filter(|&drawn| drawn <= EPOCH_DRAWN_MAX);
                self.read_hint(expected, drawn.map_or(Epoch::ZERO, Epoch::new), effects);
            }
            // The key may hold something else than a number; then the log's epoch is written over it.
            (Phase::Drawing { expected }, RedisAnswer::Failed(_)) => self.read_hint(expected, Epoch::ZERO, effects),
            (Phase::Hinting { expected, epoch }, RedisAnswer::Text(text)) => {
                let hint = text.and_then(|text| text.parse().ok()).filter(|&seq: &u64| seq <= NUMBER_MAX);
                self.claim(expected, epoch, hint.map_or(Seq::ZERO, Seq::new), effects);
            }
            (Phase::Hinting { expected, epoch }, RedisAnswer::Failed(_)) => {
                self.claim(expected, epoch, Seq::ZERO, effects);
            }
            (Phase::Claiming { with }, RedisAnswer::Swapped) => effects.push(SeekEffect::Found(Seat::Here(with))),
            (Phase::Claiming { with }, RedisAnswer::Failed(_)) => {
                let with = ActivateWith { claimed: None, ..with };
                effects.push(SeekEffect::Found(Seat::Here(with)));
            }
            (Phase::Claiming { .. }, RedisAnswer::Found(_)) => {
                self.lost_claims += 1;
                if self.lost_claims.is_multiple_of(LOST_CLAIMS_MAX) {
                    self.wait_until(now_ms + jitter_ms(around.draw));
                } else {
                    self.read_owner(effects);
                }
            }
            (phase, answer) => panic!("{answer:?} does not answer {phase:?}"),
        }
    }

    fn read_owner(&mut self, effects: &mut Vec<SeekEffect>) {
        self.phase = Phase::ReadingOwner;
        effects.push(SeekEffect::Run(RedisCommand::ReadOwner { room: self.room.clone() }));
    }

    fn owner_read(
        &mut self,
        now_ms: u64,
        text: Option<Arc<str>>,
        around: Surroundings<'_>,
        effects: &mut Vec<SeekEffect>,
    ) {
        let record = text.as_deref().and_then(OwnerRecord::parse);
        let (Some(text), Some(record)) = (&text, record) else { return self.vacant(now_ms, text, around, effects) };
        let is_given = matches!(self.reason, Reason::HandedOver(fence) if record.epoch <= fence.epoch);
        // Of this life, but not active here: given up a moment ago, or Redis went back in time. Any other node that was asked for the
        // room would find this one alive under the key, and send everybody back here.
        self.is_named |= record.owner == self.me;
        if is_given || record.owner.node == self.me.node {
            return self.vacant(now_ms, Some(Arc::clone(text)), around, effects);
        }
        let node = record.owner.node.clone();
        self.phase = Phase::ReadingNode { text: Arc::clone(text), record };
        effects.push(SeekEffect::Run(RedisCommand::ReadNode { node }));
    }

    /// Nobody who lives owns the room.
    fn vacant(&mut self, now_ms: u64, text: Option<Arc<str>>, around: Surroundings<'_>, effects: &mut Vec<SeekEffect>) {
        let preferred = match self.reason {
            Reason::Wanted if !(self.is_named && around.takes_rooms) => {
                let passes = |node: &NodeId| !around.passed_over.contains(node);
                around.peers.preferred(&self.room, around.takes_rooms, passes)
            }
            // Whatever this node thinks of the others: who asks had a reason.
            Reason::Wanted | Reason::Asked | Reason::HandedOver(_) => around.takes_rooms.then_some(&self.me.node),
        };
        match preferred {
            None => effects.push(SeekEffect::Found(Seat::Nowhere)),
            Some(node) if *node != self.me.node => effects.push(SeekEffect::Found(Seat::Ask(node.clone()))),
            Some(_) if now_ms < self.not_before_ms && !matches!(self.reason, Reason::HandedOver(_)) => {
                self.wait_until(self.not_before_ms.min(now_ms + LOOK_AGAIN_MS));
            }
            Some(_) => {
                self.phase = Phase::Drawing { expected: text };
                effects.push(SeekEffect::Run(RedisCommand::DrawEpoch { room: self.room.clone() }));
            }
        }
    }

    fn read_hint(&mut self, expected: Option<Arc<str>>, epoch: Epoch, effects: &mut Vec<SeekEffect>) {
        self.phase = Phase::Hinting { expected, epoch };
        effects.push(SeekEffect::Run(RedisCommand::ReadSeq { room: self.room.clone() }));
    }

    /// Claims the room before the log is asked, so that of two nodes that find it vacant only one goes on.
    fn claim(&mut self, expected: Option<Arc<str>>, epoch: Epoch, hint: Seq, effects: &mut Vec<SeekEffect>) {
        let new = OwnerRecord { epoch, owner: self.me.clone() }.text();
        let handed_over = self.handed_over();
        let with = ActivateWith { epoch, hint, claimed: Some(Arc::clone(&new)), handed_over };
        self.phase = Phase::Claiming { with };
        effects.push(SeekEffect::Run(RedisCommand::SwapOwner { room: self.room.clone(), expected, new: Some(new) }));
    }

    /// Redis does not answer: after a moment, in which it may, and in which others may be first, only the log is asked.
    fn ask_the_log_alone(&mut self, now_ms: u64, around: Surroundings<'_>, effects: &mut Vec<SeekEffect>) {
        if !self.redis_failed || now_ms < self.not_before_ms {
            self.redis_failed = true;
            self.wait_until(self.not_before_ms.max(now_ms + jitter_ms(around.draw)));
            return;
        }
        let handed_over = self.handed_over();
        let here = Seat::Here(ActivateWith { handed_over, ..ActivateWith::default() });
        effects.push(SeekEffect::Found(if around.takes_rooms { here } else { Seat::Nowhere }));
    }

    fn handed_over(&self) -> Option<Fence> {
        match self.reason {
            Reason::HandedOver(fence) => Some(fence),
            Reason::Wanted | Reason::Asked => None,
        }
    }

    fn wait_until(&mut self, until_ms: u64) {
        self.phase = Phase::Waiting { until_ms };
    }
}

/// A quarter of a second to five quarters, by a random draw.
fn jitter_ms(draw: u64) -> u64 {
    250 + draw % 1_001
}
