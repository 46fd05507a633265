//! A node: the shipped machines, and what stands between them.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use rollcall_actors::fencing::{Answer, Effect, Fencing, Input, Start, Statement, Stop};
use rollcall_actors::ports::{AppendOutcome, Fence, LogTail, NotCommitted};
use rollcall_actors::room::{self, Answer as Reply, Refusal, Rights, RoomCore, Submit};
use rollcall_protocol::{Body, DeviceId, Entry, Epoch, OwnerId, RoomId, Salt, Seq, UserId, WriteOp};

use crate::activation::rebuild;
use crate::limits::Limits;
use crate::state::Told;
use crate::store::Store;
use crate::weakening::Weakening;

/// A node that is up: activating the room, or owning it as far as it knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Node {
    fencing: Fencing,
    /// Once the room is activated.
    room: Option<RoomCore<u8>>,
    in_flight: Option<Arc<[Entry]>>,
    /// What the store was asked, and what it has answered if it has.
    pub sent: Option<(Statement, Option<Answer>)>,
    /// Whether the outcome of the append in flight was unknown at some time.
    pub is_unknown: bool,
    /// Writes that wait for this node's answer.
    pub waiting: BTreeSet<u8>,
    /// The fence that was just taken, until it is read again.
    confirming: Option<Fence>,
    /// Of a node that trusts a hint too far: the bucket that it names. 0 of all others, so that they are alike.
    trusted_hint: u64,
    activation: u8,
}

/// What a node's machines run in.
pub struct World<'a> {
    pub limits: &'a Limits,
    pub weakening: Option<Weakening>,
    pub store: &'a Arc<Store>,
    pub told: &'a mut Arc<Told>,
}

impl Node {
    /// A node begins to activate the room; `activation` numbers the activations of all nodes.
    pub fn start(activation: u8, epoch: u64, hint: u64, world: &mut World<'_>) -> Option<Self> {
        let is_nameless = world.weakening.is_some_and(Weakening::is_nameless);
        let owner = OwnerId(if is_nameless { 1 } else { u128::from(activation) });
        let snapshot = world.store.snapshots.last().map_or(Seq::ZERO, |state| state.head);
        let mut effects = Vec::new();
        let start = Start { owner, epoch: Epoch::new(epoch), snapshot, hint };
        let fencing = Fencing::new(world.limits.buckets, start, &mut effects);
        let node = Self {
            fencing,
            room: None,
            in_flight: None,
            sent: None,
            is_unknown: false,
            waiting: BTreeSet::new(),
            confirming: None,
            trusted_hint: if world.weakening == Some(Weakening::NextBucketOpenedByHint) { hint } else { 0 },
            activation,
        };
        node.carry_out(effects, world)
    }

    /// Tells whether a client's write is taken here.
    pub fn is_active(&self) -> bool {
        self.room.is_some()
    }

    /// Returns the room's committed state, once it is activated.
    pub fn committed(&self) -> Option<&room::RoomState> {
        Some(self.room.as_ref()?.committed())
    }

    /// A client's write arrives.
    pub fn submit(mut self, write: u8, world: &mut World<'_>) -> Option<Self> {
        self.waiting.insert(write);
        let retry_is_another = world.weakening == Some(Weakening::NoDedupe);
        let device = if retry_is_another { format!("w{write}.{}", self.activation) } else { format!("w{write}") };
        let submit = Submit {
            reply: write,
            sender: UserId::parse("ann").expect("it is a name"),
            device: DeviceId::parse(&device).expect("it is a name"),
            n: 1,
            prev: 0,
            since: Seq::ZERO,
            op: WriteOp::Send,
            target: None,
            body: Some(Body::text(&format!("{write}")).expect("it is short")),
            salt: Salt([write; 16]),
            rights: Rights { read: true, write: true, moderate: false },
        };
        let effects = self.tell_room(room::Input::Submit(submit), world);
        self.carry_out(effects, world)
    }

    /// The node hears of what it has sent last.
    pub fn answer(mut self, answer: Answer, world: &mut World<'_>) -> Option<Self> {
        let (statement, _) = self.sent.take().expect("an answer is to a statement");
        let answer = self.spoil(&statement, answer, world);
        let mut effects = Vec::new();
        self.fencing.handle(Input::Answer(answer), &mut effects);
        self.carry_out(effects, world)
    }

    /// Ten seconds have passed since the append in flight was given.
    pub fn deadline(mut self, world: &mut World<'_>) -> Option<Self> {
        let mut effects = Vec::new();
        self.fencing.handle(Input::Deadline { ticket: 0 }, &mut effects);
        self.carry_out(effects, world)
    }

    /// Changes an answer as a weaker protocol would read it.
    fn spoil(&mut self, statement: &Statement, answer: Answer, world: &World<'_>) -> Answer {
        let confirming = self.confirming.take();
        if let (Statement::TakeFence { fence, .. }, Answer::Applied) = (statement, &answer) {
            self.confirming = Some(*fence);
        }
        if let (Statement::Append { .. }, Answer::Unknown(_)) = (statement, &answer) {
            self.is_unknown = true;
        }
        match (world.weakening, statement, answer, confirming) {
            (Some(Weakening::TimeoutForgotten), Statement::Append { .. }, Answer::Unknown(why), _) => {
                Answer::Refused(why)
            }
            (Some(Weakening::TimeoutTakenForDone), Statement::Append { .. }, Answer::Unknown(_), _) => Answer::Applied,
            (
                Some(Weakening::WritersNotAsked),
                Statement::Append { last_seq, .. },
                Answer::NotApplied(Some(found)),
                _,
            ) => Answer::NotApplied(Some(LogTail { last_seq: found.last_seq.min(*last_seq), ..found })),
            (Some(Weakening::RedisEpochTrusted), Statement::ReadFence { .. }, Answer::Fence(Some(mut found)), None) => {
                found.fence.epoch = Epoch::ZERO;
                Answer::Fence(Some(found))
            }
            (
                Some(Weakening::FullBucketNotFenced),
                Statement::ReadFence { .. },
                Answer::Fence(Some(mut found)),
                Some(taken),
            ) => {
                found.fence = taken;
                Answer::Fence(Some(found))
            }
            (
                Some(Weakening::NextBucketOpenedByHint),
                &Statement::ReadFence { bucket },
                Answer::Fence(Some(mut found)),
                _,
            ) if bucket < self.trusted_hint => {
                found.last_seq = world.limits.buckets.last(bucket);
                Answer::Fence(Some(found))
            }
            (_, _, answer, _) => answer,
        }
    }

    /// Gives the room core an input, and returns what it makes the fencing machine do.
    fn tell_room(&mut self, input: room::Input<u8>, world: &mut World<'_>) -> Vec<Effect> {
        let mut inputs = VecDeque::from([input]);
        let mut effects = Vec::new();
        while let Some(input) = inputs.pop_front() {
            let Some(room) = &mut self.room else { break };
            let mut wanted = Vec::new();
            room.handle(0, input, &mut wanted);
            for effect in wanted {
                match effect {
                    room::Effect::Append(entries) => {
                        if world.weakening == Some(Weakening::AckBeforeCommit) {
                            inputs.push_back(room::Input::Committed);
                        }
                        self.in_flight = Some(Arc::clone(&entries));
                        self.fencing.handle(Input::Append { ticket: 0, entries }, &mut effects);
                    }
                    room::Effect::Deliver(entries) => Arc::make_mut(world.told).show(&entries),
                    room::Effect::Reply(write, reply) => {
                        self.waiting.remove(&write);
                        Arc::make_mut(world.told).answer(write, &reply);
                    }
                    room::Effect::Snapshot(_) | room::Effect::Stop(_) => {}
                    room::Effect::FindExpirable(_)
                    | room::Effect::KeepSnapshot(_)
                    | room::Effect::DropExpired(_)
                    | room::Effect::LookAgain { .. } => unreachable!("nothing expires here"),
                }
            }
        }
        effects
    }

    /// Carries out what the fencing machine wants; nothing is left of a node whose ownership is over.
    fn carry_out(mut self, effects: Vec<Effect>, world: &mut World<'_>) -> Option<Self> {
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Run { statement, .. } => match answered_at_once(&statement, world.store) {
                    Some(answer) => {
                        let mut more = Vec::new();
                        self.fencing.handle(Input::Answer(answer), &mut more);
                        effects.extend(more);
                    }
                    None => self.sent = Some((statement, None)),
                },
                Effect::Activated(activated) => {
                    let room = RoomId::parse("room").expect("it is a name");
                    let activation = rebuild(world.store, &room, activated, world.weakening);
                    let core = RoomCore::new(activation.fence, activation.state, activation.last_snapshot);
                    self.room = Some(core.in_buckets(world.limits.buckets));
                }
                Effect::Settled { outcome, .. } => {
                    let input = self.settle(&outcome, world);
                    if let Some(input) = input {
                        effects.extend(self.tell_room(input, world));
                    }
                }
                Effect::Stop(stop) => {
                    Arc::make_mut(world.told).damaged |= matches!(stop, Stop::Damaged(_));
                    return None;
                }
            }
        }
        Some(self)
    }

    fn settle(&mut self, outcome: &AppendOutcome, world: &mut World<'_>) -> Option<room::Input<u8>> {
        let told = Arc::make_mut(world.told);
        let was_unknown = std::mem::take(&mut self.is_unknown);
        told.unknown_was_committed |= was_unknown && *outcome == AppendOutcome::Committed;
        let entries = self.in_flight.take()?;
        if *outcome == AppendOutcome::NotCommitted(NotCommitted::Fenced) {
            told.unknown_was_not_committed |= was_unknown;
            told.not_committed.extend(entries.iter().map(|entry| (entry.seq, entry.owner, write_of(entry))));
        }
        if world.weakening == Some(Weakening::AckBeforeCommit) {
            return None;
        }
        Some(match outcome {
            AppendOutcome::Committed => room::Input::Committed,
            AppendOutcome::NotCommitted(why) => room::Input::NotCommitted(why.clone()),
            AppendOutcome::Unknown(_) => room::Input::Unknown,
        })
    }
}

/// What is read of rows that do not change any more is the same at any moment, so it is not worth a choice of moments.
fn answered_at_once(statement: &Statement, store: &Store) -> Option<Answer> {
    let is_choice = matches!(statement, Statement::ReadFence { .. });
    store.read(statement).filter(|_| !is_choice)
}

/// Returns which write an entry is; none for those that the server makes.
pub fn write_of(entry: &Entry) -> Option<u8> {
    let name = entry.device.as_ref()?.as_str();
    name.strip_prefix('w')?.split('.').next()?.parse().ok()
}

impl Told {
    fn show(&mut self, entries: &[Entry]) {
        for entry in entries {
            let what = (entry.owner, write_of(entry));
            self.shown_two |= *self.shown.entry(entry.seq).or_insert(what) != what;
        }
    }

    fn answer(&mut self, write: u8, reply: &Reply) {
        match reply {
            Ok(ack) => self.acked_twice |= *self.acked.entry(write).or_insert(ack.seq) != ack.seq,
            Err(Refusal::Unavailable(_) | Refusal::OutcomeUnknown) => {}
            Err(_) => self.misjudged = true,
        }
    }
}
