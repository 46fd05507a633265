//! Nodes that share a Redis which loses answers, forgets, goes back in time and goes away, and a log that knows better. After the
//! faults end there is one owner, Redis says so, and it stays.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use rollcall_protocol::{Epoch, RoomId, Seq};

use super::support::{node, room};
use crate::cluster::ownership::{
    ActivateWith, Owned, OwnedEffect, OwnedInput, OwnerRecord, Peers, PeersEffect, PeersInput, Reason, RedisAnswer,
    RedisCommand, RedisKeys, Seat, SeekEffect, SeekInput, Seeking, Surroundings, epoch_key, owner_key,
};
use crate::cluster::{Incarnation, Lease, LeaseEffect, LeaseInput, NodeRef, Now};

const NODES: usize = 3;
const STEP_MS: u64 = 50;

struct World {
    now_ms: u64,
    keys: RedisKeys,
    saved: RedisKeys,
    redis_is_up: bool,
    /// Commands until one fails, and whether it is carried out.
    fails: Option<(u32, bool)>,
    log: Option<OwnerRecord>,
    nodes: Vec<Option<Node>>,
    lives: u64,
    room: RoomId,
}

struct Node {
    me: NodeRef,
    lease: Lease,
    peers: Peers,
    owned: Owned,
    seeking: Option<Seeking>,
    not_before_ms: u64,
    active: Option<Epoch>,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Want(usize),
    Wait(u64),
    Redis(bool),
    Wipe,
    Save,
    Rewind,
    Fail {
        after: u32,
        carried_out: bool,
    },
    Crash(usize),
    Start(usize),
    GiveUp(usize),
    /// An owner appends, and hears from the log where it stands.
    Append(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let at = 0..NODES;
    prop_oneof![
        8 => at.clone().prop_map(Step::Want),
        8 => (1..40u64).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::Redis),
        1 => Just(Step::Wipe),
        1 => Just(Step::Save),
        1 => Just(Step::Rewind),
        4 => (0..12u32, any::<bool>()).prop_map(|(after, carried_out)| Step::Fail { after, carried_out }),
        2 => at.clone().prop_map(Step::Crash),
        2 => at.clone().prop_map(Step::Start),
        2 => at.clone().prop_map(Step::GiveUp),
        3 => at.prop_map(Step::Append),
    ]
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            now_ms: 1_000,
            keys: RedisKeys::default(),
            saved: RedisKeys::default(),
            redis_is_up: true,
            fails: None,
            log: None,
            nodes: (0..NODES).map(|_| None).collect(),
            lives: 0,
            room: room("r"),
        };
        (0..NODES).for_each(|at| world.start(at));
        world
    }

    fn start(&mut self, at: usize) {
        self.lives += 1;
        let me = NodeRef::new(node(&format!("n{at}")), Incarnation(self.lives));
        self.nodes[at] = Some(Node {
            lease: Lease::new(me.clone(), None),
            peers: Peers::new(me.node.clone()),
            owned: Owned::new(me.clone()),
            seeking: None,
            not_before_ms: 0,
            active: None,
            me,
        });
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Want(at) => self.want(at, Reason::Wanted),
            Step::Wait(steps) => (0..steps).for_each(|_| self.pass()),
            Step::Redis(is_up) => self.redis_is_up = is_up,
            Step::Wipe => self.keys = RedisKeys::default(),
            Step::Save => self.saved = self.keys.clone(),
            Step::Rewind => self.keys = self.saved.clone(),
            Step::Fail { after, carried_out } => self.fails = Some((after, carried_out)),
            Step::Crash(at) => self.nodes[at] = None,
            Step::Start(at) => {
                if self.nodes[at].is_none() {
                    self.start(at);
                }
            }
            Step::GiveUp(at) => self.give_up(at),
            Step::Append(at) => self.append(at),
        }
        self.pass();
    }

    fn redis(&mut self, command: &RedisCommand) -> RedisAnswer {
        let failed = RedisAnswer::Failed("lost".to_owned());
        if !self.redis_is_up {
            return failed;
        }
        match &mut self.fails {
            Some((0, carried_out)) => {
                let carried_out = *carried_out;
                self.fails = None;
                if carried_out {
                    self.keys.run(self.now_ms, command);
                }
                failed
            }
            Some((left, _)) => {
                *left -= 1;
                self.keys.run(self.now_ms, command)
            }
            None => self.keys.run(self.now_ms, command),
        }
    }

    fn pass(&mut self) {
        self.now_ms += STEP_MS;
        for at in 0..NODES {
            self.lease(at, LeaseInput::Tick);
            self.peers(at, PeersInput::Tick);
            self.owned(at, OwnedInput::Tick);
            self.seek(at, SeekInput::Tick);
        }
    }

    fn lease(&mut self, at: usize, input: LeaseInput) {
        let Some(node) = &mut self.nodes[at] else { return };
        let now = Now { mono_ms: self.now_ms, wall_ms: self.now_ms.cast_signed() };
        let mut effects = Vec::new();
        node.lease.handle(now, input, &mut effects);
        for effect in effects {
            match effect {
                LeaseEffect::Run(command) => {
                    let answer = self.redis(&command);
                    self.lease(at, LeaseInput::Answer(answer));
                }
                LeaseEffect::Lost | LeaseEffect::Returned => self.owned(at, OwnedInput::Returned),
                _ => {}
            }
        }
    }

    fn peers(&mut self, at: usize, input: PeersInput) {
        let Some(node) = &mut self.nodes[at] else { return };
        let mut effects = Vec::new();
        node.peers.handle(self.now_ms, input, &mut effects);
        for effect in effects {
            if let PeersEffect::Run(command) = effect {
                let answer = self.redis(&command);
                self.peers(at, PeersInput::Answer(answer));
            }
        }
    }

    fn owned(&mut self, at: usize, input: OwnedInput) {
        let Some(node) = &mut self.nodes[at] else { return };
        let mut effects = Vec::new();
        node.owned.handle(self.now_ms, input, &mut effects);
        for effect in effects {
            match effect {
                OwnedEffect::Run { room, command } => {
                    let answer = self.redis(&command);
                    self.owned(at, OwnedInput::Answer { room, answer });
                }
                OwnedEffect::Superseded { .. } => self.append(at),
                OwnedEffect::HintCorrected { .. } => {}
            }
        }
    }

    fn want(&mut self, at: usize, reason: Reason) {
        let Some(node) = &mut self.nodes[at] else { return };
        if node.active.is_some() || node.seeking.is_some() {
            return;
        }
        let mut effects = Vec::new();
        let seeking = Seeking::new(self.room.clone(), node.me.clone(), reason, node.not_before_ms, &mut effects);
        node.seeking = Some(seeking);
        self.carry_out(at, effects);
    }

    fn seek(&mut self, at: usize, input: SeekInput) {
        let Some(node) = &mut self.nodes[at] else { return };
        let Some(seeking) = &mut node.seeking else { return };
        let around = Surroundings {
            takes_rooms: node.lease.takes_rooms(),
            peers: &node.peers,
            passed_over: &BTreeSet::new(),
            draw: self.now_ms.wrapping_mul(31 + at as u64),
        };
        let mut effects = Vec::new();
        seeking.handle(self.now_ms, input, around, &mut effects);
        self.carry_out(at, effects);
    }

    fn carry_out(&mut self, at: usize, effects: Vec<SeekEffect>) {
        for effect in effects {
            match effect {
                SeekEffect::Run(command) => {
                    let answer = self.redis(&command);
                    self.seek(at, SeekInput::Answer(answer));
                }
                SeekEffect::Found(seat) => {
                    self.nodes[at].as_mut().unwrap().seeking = None;
                    match seat {
                        Seat::There(record) => self.ask(&record.owner.node),
                        Seat::Ask(node) => self.ask(&node),
                        Seat::Here(with) => self.activate(at, with),
                        Seat::Nowhere => {}
                    }
                }
            }
        }
    }

    fn ask(&mut self, whom: &crate::ports::NodeId) {
        let at = self.nodes.iter().position(|node| node.as_ref().is_some_and(|node| node.me.node == *whom));
        if let Some(at) = at {
            self.want(at, Reason::Asked);
        }
    }

    fn activate(&mut self, at: usize, with: ActivateWith) {
        let node = self.nodes[at].as_mut().unwrap();
        let seen = self.log.as_ref().map_or(0, |record| record.epoch.get());
        let epoch = Epoch::new((seen + 1).max(with.epoch.get()));
        self.log = Some(OwnerRecord { epoch, owner: node.me.clone() });
        node.active = Some(epoch);
        self.owned(at, OwnedInput::Activated { room: self.room.clone(), epoch, last_seq: Seq::ZERO, with });
    }

    fn append(&mut self, at: usize) {
        let Some(node) = &mut self.nodes[at] else { return };
        let Some(epoch) = node.active else { return };
        if self.log != Some(OwnerRecord { epoch, owner: node.me.clone() }) {
            node.not_before_ms = Seeking::after_fence(self.now_ms, self.now_ms.wrapping_mul(17 + at as u64));
            self.give_up(at);
        }
    }

    fn give_up(&mut self, at: usize) {
        let Some(node) = &mut self.nodes[at] else { return };
        if node.active.take().is_some() {
            self.owned(at, OwnedInput::GivenUp { room: self.room.clone(), last_seq: Seq::ZERO });
        }
    }

    /// No faults any more, and everybody wants the room and writes to it.
    fn heal(&mut self) {
        self.redis_is_up = true;
        self.fails = None;
        for at in 0..NODES {
            self.take(Step::Start(at));
        }
        for _ in 0..40 {
            (0..NODES).for_each(|at| self.append(at));
            (0..NODES).for_each(|at| self.want(at, Reason::Wanted));
            (0..20).for_each(|_| self.pass());
        }
    }

    fn owners(&self) -> BTreeMap<usize, Epoch> {
        let active = |(at, node): (usize, &Option<Node>)| Some((at, node.as_ref()?.active?));
        self.nodes.iter().enumerate().filter_map(active).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 2, ..ProptestConfig::default() })]

    #[test]
    fn there_is_one_owner_in_the_end(steps in vec(step(), 1..80)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
            // Epochs of the log never repeat, so two that think themselves owners never think so under one.
            let epochs: BTreeSet<Epoch> = world.owners().into_values().collect();
            prop_assert_eq!(epochs.len(), world.owners().len());
        }
        world.heal();
        let log = world.log.clone().expect("somebody has activated the room");
        prop_assert_eq!(world.owners().into_values().collect::<Vec<_>>(), [log.epoch]);
        prop_assert_eq!(world.keys.get(&owner_key(&world.room)), Some(&*log.text()));
        let drawn: u64 = world.keys.get(&epoch_key(&world.room)).expect("an epoch was written back").parse().unwrap();
        prop_assert!(drawn >= log.epoch.get());
        for node in world.nodes.iter().flatten() {
            prop_assert!(node.lease.takes_rooms());
            prop_assert_eq!(node.peers.live().count(), NODES - 1);
            prop_assert!(node.owned.is_settled());
        }
        world.heal();
        prop_assert_eq!(world.log, Some(log), "an owner stays when nothing happens");
    }
}
