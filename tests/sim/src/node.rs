//! Nodes: the shipped machines of a node, and the shells around them as plain functions.

use std::collections::BTreeMap;
use std::sync::Arc;

use rollcall_actors::cluster::node_core::{Life, NodeCore, NodeEffect, NodeInput, OwnerEvent, TailAsker, Writer};
use rollcall_actors::cluster::replica::StopReason;
use rollcall_actors::cluster::{Beacon, Envelope, Incarnation, Lease, NodeRef, Now, Payload, Standing, parse_node_id};
use rollcall_actors::ports::AppendOutcome;
use rollcall_actors::room;
use rollcall_protocol::{Entry, ErrorCode, ErrorFrame, RoomId};

use crate::event::{Asked, Event, NodeLife, Read, ToOwner, Token};
use crate::owner::{Around, Owner, Want};
use crate::sabotage::Sabotage;
use crate::tail::Tail;
use crate::world::World;

/// An append is given up after this long, in milliseconds.
const APPEND_DEADLINE_MS: u64 = 10_000;

/// A node's place in the cluster, and its present life.
#[derive(Debug)]
pub struct Node {
    /// Its place among the nodes, which is its name.
    at: usize,
    /// Which life it lives, or lived last.
    pub life: u64,
    /// None while it is dead.
    pub alive: Option<Alive>,
    /// Until when it stands still.
    pub paused_until_ms: Option<u64>,
    /// By how much its time of day is wrong, in milliseconds.
    pub clock_ahead_ms: i64,
    /// When it started, or went on after it stood still.
    pub awake_since_ms: u64,
    /// When the store last had trouble with it.
    pub store_was_bad_at_ms: u64,
}

/// What a living node consists of.
#[derive(Debug)]
pub struct Alive {
    /// The cluster's machines.
    pub core: NodeCore<Token>,
    /// The rooms that it owns.
    pub owners: BTreeMap<RoomId, Owner>,
    /// What its connections read.
    pub tails: BTreeMap<RoomId, Tail>,
    /// When it asked to be woken last.
    wakes_at_ms: Option<u64>,
    /// Since when a room is shown here, without a pause.
    pub shown_since_ms: BTreeMap<RoomId, u64>,
}

impl Node {
    /// Makes a node that was never started.
    pub fn new(at: usize) -> Self {
        Self {
            at,
            life: 0,
            alive: None,
            paused_until_ms: None,
            clock_ahead_ms: 0,
            awake_since_ms: 0,
            store_was_bad_at_ms: 0,
        }
    }

    /// Returns its name, in its present life.
    ///
    /// # Panics
    /// Never: the names of nodes are names.
    pub fn me(&self) -> NodeRef {
        let name = parse_node_id(&format!("n{}", self.at)).expect("a name");
        NodeRef::new(name, Incarnation((self.at as u64) << 32 | self.life))
    }
}

impl World {
    /// Starts a node that is dead.
    pub fn start_node(&mut self, at: usize) {
        let now_ms = self.now_ms;
        let node = &mut self.nodes[at];
        if node.alive.is_some() {
            return;
        }
        node.life += 1;
        node.paused_until_ms = None;
        node.awake_since_ms = now_ms;
        let me = node.me();
        let lease = Lease::new(me.clone(), None);
        let core = NodeCore::new(me, lease, now_ms);
        node.alive = Some(Alive {
            core,
            owners: BTreeMap::new(),
            tails: BTreeMap::new(),
            wakes_at_ms: None,
            shown_since_ms: BTreeMap::new(),
        });
        let life = NodeLife { node: at, life: node.life };
        self.say(|| format!("n{at} starts life {}", life.life));
        self.tell_node(life, NodeInput::Tick);
    }

    /// Ends a node's process.
    pub fn kill_node(&mut self, at: usize) {
        if let Some(life) = self.life_of(at) {
            self.nodes[at].alive = None;
            self.nodes[at].paused_until_ms = None;
            self.say(|| format!("n{at} dies"));
            self.connections_of_dead_node(life);
        }
    }

    /// Gives a node what it asked to be woken for.
    pub fn wake_node(&mut self, life: NodeLife) {
        let now_ms = self.now_ms;
        if self.lives(life)
            && let Some(alive) = &mut self.nodes[life.node].alive
            && alive.wakes_at_ms.is_some_and(|at_ms| at_ms <= now_ms)
        {
            alive.wakes_at_ms = None;
            self.tell_node(life, NodeInput::Tick);
        }
    }

    /// Gives a node an input, and carries out what it wants.
    pub fn tell_node(&mut self, life: NodeLife, input: NodeInput<Token>) {
        if !self.lives(life) {
            return;
        }
        let draw = self.dice.next();
        let now_ms = self.now_ms;
        let wall_ms = self.wall_ms() + self.nodes[life.node].clock_ahead_ms;
        let Some(alive) = &mut self.nodes[life.node].alive else { return };
        let mut effects = Vec::new();
        alive.core.handle(Now { mono_ms: now_ms, wall_ms }, draw, input, &mut effects);
        let wakes_at_ms = alive.core.wakes_at_ms().max(now_ms + 1);
        if alive.wakes_at_ms.is_none_or(|at_ms| wakes_at_ms < at_ms) {
            alive.wakes_at_ms = Some(wakes_at_ms);
            self.at(wakes_at_ms, Event::WakeNode(life));
        }
        for effect in effects {
            if self.is_verbose && !matches!(effect, NodeEffect::Send { .. } | NodeEffect::Publish { .. }) {
                self.say(|| format!("  n{} wants {effect:?}", life.node));
            }
            self.carry_out(life, effect);
        }
    }

    fn carry_out(&mut self, life: NodeLife, effect: NodeEffect<Token>) {
        match effect {
            NodeEffect::Send { to, payloads } => self.send(life, &to, payloads),
            NodeEffect::Publish { batch, to } => {
                for (to, replies) in to {
                    let replies = replies.into_iter().map(Payload::SubmitReply);
                    let payloads = std::iter::once(Payload::Batch(batch.clone())).chain(replies).collect();
                    self.send(life, &to, payloads);
                }
            }
            NodeEffect::Redis { asker, command } => self.send_to_redis(life, asker, command),
            NodeEffect::ReadTail { room, asker } => {
                if matches!(asker, TailAsker::Replica { .. }) {
                    self.totals.count("tails read by replicas");
                }
                self.ask_store(life, Asked::Read(Box::new(Read::Tail(room, asker))), 0);
            }
            NodeEffect::ReadEntries { room, life: replica, read, after, through } => {
                if self.sabotage != Some(Sabotage::GapsNotRepaired) {
                    let read = Read::Entries { room, life: replica, read, after, through };
                    self.ask_store(life, Asked::Read(Box::new(read)), 0);
                }
            }
            NodeEffect::ReadTakeovers { sent_at_ms } => {
                self.ask_store(life, Asked::Read(Box::new(Read::Takeovers(sent_at_ms))), 0);
            }
            NodeEffect::InsertTakeover { life: owner, takeover } => {
                self.totals.count("takeovers noticed");
                self.ask_store(life, Asked::Takeover(owner, takeover), 0);
            }
            NodeEffect::StartOwner { room, life: owner, with } => {
                self.totals.count("activations begun");
                if with.handed_over.is_some() {
                    self.totals.count("rooms handed over");
                }
                let machine = Owner::new(room.clone(), owner, with);
                if let Some(alive) = &mut self.nodes[life.node].alive {
                    alive.owners.insert(room.clone(), machine);
                }
                self.ask_store(life, Asked::Read(Box::new(Read::Snapshot(room, owner))), 0);
            }
            NodeEffect::StopOwner { room, life: owner, goes_on } => {
                self.after(0, Event::ToOwner(life, room, owner, Box::new(ToOwner::Stop { goes_on })));
            }
            NodeEffect::Submit { room, life: owner, write } => {
                self.after(0, Event::ToOwner(life, room, owner, Box::new(ToOwner::Submit(write))));
            }
            NodeEffect::Open { room, life: owner, standing } => {
                // Before, only the log knows what the owner before left.
                self.store.known(self.now_ms, &room, standing.head);
                self.tail_begins(life, &room, standing.head, Some(owner));
                self.after(0, Event::ToOwner(life, room, owner, Box::new(ToOwner::Retain)));
            }
            NodeEffect::Begin { room, head, .. } => self.tail_begins(life, &room, head, None),
            NodeEffect::Closed { room, .. } => {
                if let Some(alive) = &mut self.nodes[life.node].alive {
                    alive.tails.entry(room).or_default().owner = None;
                }
            }
            NodeEffect::Deliver { room, entries } => {
                self.totals.add("entries shown by replicas", entries.len() as u64);
                self.show(life, &room, &entries);
            }
            NodeEffect::Ended { room, reason } => {
                if reason == StopReason::Diverged {
                    self.history.damage(format!("n{}'s replica of {room} diverged", life.node));
                }
                self.readers_ended(life, &room);
            }
            NodeEffect::Answer { reply, answer } => self.answer_write(reply, answer),
            NodeEffect::AskHere { room, reply, .. } => self.admit(reply, &room, None),
            NodeEffect::Told { room, reply, result, .. } => {
                self.totals.count("questions answered by owners");
                match result {
                    Ok(facts) => self.admit(reply, &room, Some(facts.last_n)),
                    Err(error) => self.refuse_join(reply, &room, error),
                }
            }
            NodeEffect::AskLog { room, reply, .. } => {
                self.totals.count("questions put to the log");
                self.admit(reply, &room, Some(0));
            }
            NodeEffect::Examine { room, life: owner, from, question } => {
                let owners = self.nodes[life.node].alive.as_ref().map(|alive| &alive.owners);
                let machine = owners.and_then(|owners| owners.get(&room)).filter(|machine| machine.life == owner);
                let away = || ErrorFrame::new(ErrorCode::Unavailable, "the room is moving");
                let result = machine.and_then(|machine| machine.examine(&question)).ok_or_else(away);
                let input = NodeInput::Answered { to: from, question, result };
                self.after(0, Event::ToNode(life, Box::new(input)));
            }
            NodeEffect::Watched { .. } | NodeEffect::LookAt { .. } => {}
            NodeEffect::HintCorrected { .. } => self.totals.count("hints corrected"),
            NodeEffect::Signal(_) => {}
            NodeEffect::WatchRenewed => self.totals.count("watches renewed"),
            NodeEffect::Stray => self.totals.count("stray answers"),
            NodeEffect::Standing(standing) => {
                if matches!(standing, Standing::NameTaken { .. }) {
                    self.totals.count("names taken");
                    self.kill_node(life.node);
                    self.after(3_000, Event::Start(life.node));
                }
            }
            NodeEffect::Over => {
                self.totals.count("nodes drained");
                self.kill_node(life.node);
            }
        }
    }

    fn send(&mut self, life: NodeLife, to: &NodeRef, payloads: Vec<Payload>) {
        let payloads: Vec<Payload> = match self.sabotage {
            Some(Sabotage::BeaconsNameNoHeads) => payloads.into_iter().map(without_heads).collect(),
            Some(Sabotage::NoBeacons) => {
                payloads.into_iter().filter(|payload| !matches!(payload, Payload::Beacon(_))).collect()
            }
            _ => payloads,
        };
        if payloads.is_empty() {
            return;
        }
        let forwarded = payloads.iter().filter(|payload| matches!(payload, Payload::Submit(_))).count();
        self.totals.add("writes forwarded", forwarded as u64);
        let watches = payloads.iter().filter(|payload| matches!(payload, Payload::Watch(_))).count();
        self.totals.add("watches", watches as u64);
        let envelope = Envelope { from: self.nodes[life.node].me(), to: to.clone(), payloads };
        let bytes = envelope.encode().expect("an envelope of this size");
        self.put_on_bus(life.node, &to.node, &bytes);
    }

    /// Gives an owner an input, and carries out what it wants.
    pub fn tell_owner(&mut self, life: NodeLife, room: &RoomId, owner: Life, input: ToOwner) {
        if !self.lives(life) {
            return;
        }
        let draw = self.dice.next();
        let wall_ms = self.wall_ms() + self.nodes[life.node].clock_ahead_ms;
        let Some(alive) = &mut self.nodes[life.node].alive else { return };
        let Some(machine) = alive.owners.get_mut(room).filter(|machine| machine.life == owner) else {
            return self.owner_is_gone(life, room, owner, input);
        };
        let around = Around { wall_ms, draw, rows: self.store.get(room), sabotage: self.sabotage };
        let mut wants = Vec::new();
        machine.handle(input, &around, &mut wants);
        for want in wants {
            self.carry_out_owner(life, room, owner, want);
        }
    }

    /// A write that comes to an owner which is gone is refused, as the room's directory does.
    fn owner_is_gone(&mut self, life: NodeLife, room: &RoomId, owner: Life, input: ToOwner) {
        let ToOwner::Submit(write) = input else { return };
        let refusal = room::Refusal::Unavailable("the room is moving".to_owned());
        match write.writer {
            Writer::Here(token) => self.answer_write(token, Err(refusal.to_frame(true))),
            Writer::Node(writer) => {
                let event = OwnerEvent::Replied(vec![writer.reply(Err(refusal))]);
                self.tell_node(life, NodeInput::Owner { room: room.clone(), life: owner, event });
            }
        }
    }

    fn carry_out_owner(&mut self, life: NodeLife, room: &RoomId, owner: Life, want: Want) {
        match want {
            Want::Run(number, statement, attempt) => {
                let asked = Asked::Statement { room: room.clone(), life: owner, number, statement };
                self.ask_store(life, asked, attempt);
            }
            Want::Replay => self.ask_store(life, Asked::Read(Box::new(Read::Replay(room.clone(), owner))), 0),
            Want::Deadline(ticket) => {
                let input = Box::new(ToOwner::Deadline(ticket));
                self.after(APPEND_DEADLINE_MS, Event::ToOwner(life, room.clone(), owner, input));
            }
            Want::Event(event) => {
                self.owner_event_noted(room, &event);
                let input = NodeInput::Owner { room: room.clone(), life: owner, event };
                self.after(0, Event::ToNode(life, Box::new(input)));
            }
            Want::Reply(token, answer) => {
                let answer = answer.map_err(|refusal| match self.sabotage {
                    Some(Sabotage::UnknownToldAsFailed) if refusal == room::Refusal::OutcomeUnknown => {
                        crate::gateway::told_as_failed()
                    }
                    _ => refusal.to_frame(true),
                });
                self.answer_write(token, answer);
            }
            Want::Show(entries) => {
                let tail = self.nodes[life.node].alive.as_ref().and_then(|alive| alive.tails.get(room));
                let is_open = tail.is_some_and(|tail| tail.owner == Some(owner));
                if is_open || self.sabotage == Some(Sabotage::ReleasedOwnerShown) {
                    self.show(life, room, &entries);
                }
            }
            Want::Snapshot(snapshot) => {
                self.totals.count("snapshots");
                self.store.room(room).snapshots.insert(snapshot.seq, snapshot);
            }
            Want::FindExpirable(expirable) => {
                let read = Read::Expirable(room.clone(), owner, expirable);
                self.ask_store(life, Asked::Read(Box::new(read)), 0);
            }
            Want::KeepSnapshot(snapshot) => {
                let read = Read::Keep(room.clone(), owner, snapshot);
                self.ask_store(life, Asked::Read(Box::new(read)), 0);
            }
            Want::Expired => self.totals.count("deletions begun"),
            Want::LookAgain(after_ms) => {
                self.totals.count("deletions failed");
                self.after(after_ms, Event::ToOwner(life, room.clone(), owner, Box::new(ToOwner::Retain)));
            }
            Want::Resolved(outcome) => self.totals.count(match outcome {
                AppendOutcome::Committed => "appends unknown, then committed",
                AppendOutcome::NotCommitted(_) => "appends unknown, then refused",
                AppendOutcome::Unknown(_) => "appends unknown, then given up",
            }),
            Want::Damaged(reason) => self.history.damage(format!("n{} found damage: {reason}", life.node)),
            Want::Gone => {
                if let Some(alive) = &mut self.nodes[life.node].alive
                    && alive.owners.get(room).is_some_and(|machine| machine.life == owner)
                {
                    alive.owners.remove(room);
                }
            }
        }
    }

    fn owner_event_noted(&mut self, room: &RoomId, event: &OwnerEvent) {
        match event {
            OwnerEvent::Activated { .. } => self.totals.count("owners activated"),
            OwnerEvent::NotActivated | OwnerEvent::NoSpace => self.totals.count("activations failed"),
            OwnerEvent::Stopped { reason } => self.totals.count(match reason {
                room::StopReason::Fenced => "owners fenced",
                room::StopReason::Drained => "owners drained",
                room::StopReason::OutcomeUnknown => "owners lost an unknown append",
                room::StopReason::Damaged => "owners of a damaged room",
            }),
            OwnerEvent::Lost => self.totals.count("owners lost"),
            OwnerEvent::Committed { entries, .. } => {
                self.totals.count("batches committed");
                self.totals.add("entries committed", entries.len() as u64);
                let head = entries.last().expect("a batch has at least one entry").seq;
                self.store.known(self.now_ms, room, head);
            }
            OwnerEvent::Replied(_) => {}
        }
    }

    /// Shows entries to the connections of a node.
    pub fn show(&mut self, life: NodeLife, room: &RoomId, entries: &Arc<[Entry]>) {
        if let Some(alive) = &mut self.nodes[life.node].alive {
            alive.tails.entry(room.clone()).or_default().push(entries);
            self.pump_room(life, room);
        }
    }
}

fn without_heads(payload: Payload) -> Payload {
    match payload {
        Payload::Beacon(beacon) => Payload::Beacon(Beacon { heads: Vec::new(), ..beacon }),
        payload => payload,
    }
}
