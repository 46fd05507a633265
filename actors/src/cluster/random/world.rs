//! The world of a random run: the log, the ownership, the bus, time, and what goes wrong.

mod faults;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use rollcall_protocol::{Epoch, RoomId, Seq};

use super::dice::Dice;
use super::nodes::{SimNode, Want};
use super::totals::Totals;
use crate::cluster::replica::{Input, OwnerAnswer};
use crate::cluster::test_rooms::{TestRoom, fence, node, room};
use crate::cluster::{Envelope, Incarnation, NodeRef, Payload, RoomStanding};
use crate::ports::{LogError, LogTail};

const NODES: [&str; 3] = ["a", "b", "c"];
const ROOMS: [&str; 3] = ["x", "y", "z"];
const TICK_MS: u64 = 20;

/// Entries that were committed this long ago, in milliseconds, are shown everywhere.
const SHOWN_WITHIN_MS: u64 = 2_000;

#[derive(Debug)]
enum Event {
    Tick,
    Arrive { to: usize, bytes: Bytes },
    Answer { to: usize, incarnation: Incarnation, room: RoomId, life: u64, input: Input },
    TellOwner { to: usize, incarnation: Incarnation, room: RoomId, life: u64 },
}

pub struct World {
    now_ms: u64,
    dice: Dice,
    events: BTreeMap<(u64, u64), Event>,
    scheduled: u64,
    nodes: Vec<SimNode>,
    /// Until when each node is paused, and cut off from the bus.
    paused_until_ms: [u64; 3],
    cut_until_ms: [Option<u64>; 3],
    /// Until when each node does not learn that its rooms were taken over.
    unaware_until_ms: [u64; 3],
    bus_down_until_ms: Option<u64>,
    logs: BTreeMap<RoomId, TestRoom>,
    committed_at_ms: BTreeMap<RoomId, Vec<u64>>,
    owners: BTreeMap<RoomId, Option<usize>>,
    epochs: BTreeMap<RoomId, u64>,
    /// Until when the ownership still names the owner before, in that life.
    rewound: BTreeMap<RoomId, (u64, OwnerAnswer)>,
    takeovers: Vec<(RoomId, Epoch)>,
    lost_at: VecDeque<(u64, RoomId, Seq)>,
    log_fails: bool,
    healed: bool,
    pub totals: Totals,
}

impl World {
    pub fn new(seed: u64, log_fails: bool) -> Self {
        let mut world = Self {
            now_ms: 0,
            dice: Dice::new(seed),
            events: BTreeMap::new(),
            scheduled: 0,
            nodes: NODES.iter().map(|name| SimNode::new(node(name), 0)).collect(),
            paused_until_ms: [0; 3],
            cut_until_ms: [None; 3],
            unaware_until_ms: [0; 3],
            bus_down_until_ms: None,
            logs: ROOMS.iter().map(|name| (room(name), TestRoom::new(room(name)))).collect(),
            committed_at_ms: ROOMS.iter().map(|name| (room(name), Vec::new())).collect(),
            owners: ROOMS.iter().map(|name| (room(name), None)).collect(),
            epochs: ROOMS.iter().map(|name| (room(name), 0)).collect(),
            rewound: BTreeMap::new(),
            takeovers: Vec::new(),
            lost_at: VecDeque::new(),
            log_fails,
            healed: false,
            totals: Totals::default(),
        };
        for at in 0..NODES.len() {
            world.on_node(at, |node, now_ms, wants| {
                ROOMS.iter().for_each(|name| node.show(now_ms, &room(name), wants));
            });
        }
        world.schedule(0, Event::Tick);
        world
    }

    pub fn run_until(&mut self, end_ms: u64) {
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= end_ms) {
            self.now_ms = entry.key().0;
            match entry.remove() {
                Event::Tick => self.tick(),
                Event::Arrive { to, bytes } => self.arrive(to, bytes),
                Event::Answer { to, incarnation, room, life, input } => {
                    let is_paused = self.now_ms < self.paused_until_ms[to];
                    if is_paused {
                        let event = Event::Answer { to, incarnation, room, life, input };
                        self.schedule(self.paused_until_ms[to], event);
                    } else if self.nodes[to].me.incarnation == incarnation {
                        self.on_node(to, |node, now_ms, wants| node.answer(now_ms, &room, life, input, wants));
                    }
                }
                Event::TellOwner { to, incarnation, room, life } => {
                    let input = Input::Owner(self.owner_of(&room));
                    self.schedule(self.now_ms, Event::Answer { to, incarnation, room, life, input });
                }
            }
        }
    }

    /// Every replica shows all that the log has.
    pub fn assert_together(&self) {
        for node in &self.nodes {
            for (room, shown) in &node.shown {
                let (head, held) = (shown.replica.head(), shown.replica.held());
                assert_eq!((head, held), (Some(self.logs[room].head()), 0), "{room} on {}", node.me);
            }
        }
    }

    fn tick(&mut self) {
        let now_ms = self.now_ms;
        if !self.healed {
            self.fail();
        }
        self.end_cuts();
        for at in (0..NODES.len()).filter(|&at| now_ms >= self.paused_until_ms[at]).collect::<Vec<_>>() {
            self.on_node(at, SimNode::tick);
            if (now_ms + 300 * at as u64).is_multiple_of(1_000) {
                let takeovers = self.takeovers.clone();
                let is_aware = now_ms >= self.unaware_until_ms[at];
                self.on_node(at, |node, now_ms, wants| node.read_takeovers(now_ms, &takeovers, is_aware, wants));
            }
        }
        // Commits come in bursts, so that a lost batch is often the last for a while.
        if now_ms % 3_000 < 400 && !self.healed {
            ROOMS.iter().for_each(|name| self.commit(&room(name)));
        }
        while self.lost_at.front().is_some_and(|(at, ..)| now_ms >= at + 1_000) {
            let (_, room, last) = self.lost_at.pop_front().unwrap();
            self.totals.lost_tails += u64::from(self.logs[&room].head() == last);
        }
        if !self.log_fails {
            self.assert_shown_in_time();
        }
        self.schedule(now_ms + TICK_MS, Event::Tick);
    }

    fn collect_gaps(&mut self, at: usize) {
        let (by_number, by_silence) = std::mem::take(&mut self.nodes[at].gaps);
        self.totals.gaps_by_number += by_number;
        self.totals.gaps_by_silence += by_silence;
    }

    fn begin_to_own(&mut self, room: &RoomId, at: usize) {
        let epoch = self.epochs.get_mut(room).unwrap();
        *epoch += 1;
        let log = &self.logs[room];
        let standing =
            RoomStanding { epoch: Epoch::new(*epoch), head: log.head(), hash: log.hash(), floor: Seq::FIRST };
        self.nodes[at].own(room, standing);
        self.owners.insert(room.clone(), Some(at));
    }

    fn commit(&mut self, room: &RoomId) {
        let Some(owner) = self.owners[room] else { return };
        if self.now_ms < self.paused_until_ms[owner] || !self.dice.percent(30) {
            return;
        }
        let count = usize::try_from(self.dice.range(1, 4)).unwrap();
        let fence = fence(self.epochs[room]);
        let entries = self.logs.get_mut(room).unwrap().append(fence, count);
        self.committed_at_ms.get_mut(room).unwrap().extend(std::iter::repeat_n(self.now_ms, count));
        self.on_node(owner, |node, now_ms, wants| node.committed(now_ms, room, entries, wants));
    }

    fn assert_shown_in_time(&self) {
        for (at, node) in self.nodes.iter().enumerate() {
            for (room, shown) in &node.shown {
                // What a node sleeps through, or did not show yet, it has as long again for.
                let awake_since_ms = self.paused_until_ms[at].max(shown.since_ms);
                if self.now_ms < awake_since_ms + SHOWN_WITHIN_MS {
                    continue;
                }
                let due = self.committed_at_ms[room].partition_point(|&at| at + SHOWN_WITHIN_MS <= self.now_ms);
                let head = shown.replica.head();
                assert!(
                    head.is_some_and(|head| head >= Seq::new(due as u64)),
                    "at {} ms {} shows {room} up to {head:?}, not {due}; {:?}",
                    self.now_ms,
                    node.me,
                    shown.replica
                );
            }
        }
    }

    fn schedule(&mut self, at_ms: u64, event: Event) {
        self.scheduled += 1;
        self.events.insert((at_ms.max(self.now_ms), self.scheduled), event);
    }

    /// Lets a node do something, and carries out what it wants.
    fn on_node(&mut self, at: usize, act: impl FnOnce(&mut SimNode, u64, &mut Vec<Want>)) {
        let mut wants = Vec::new();
        act(&mut self.nodes[at], self.now_ms, &mut wants);
        self.collect_gaps(at);
        wants.into_iter().for_each(|want| self.carry_out(at, want));
    }

    fn carry_out(&mut self, at: usize, want: Want) {
        let (to, incarnation) = (at, self.nodes[at].me.incarnation);
        match want {
            Want::Send { to, bytes } => self.send(&to, &bytes),
            Want::FindOwner { room, life } => {
                let soon = self.now_ms + self.dice.range(1, 20);
                self.schedule(soon, Event::TellOwner { to, incarnation, room, life });
            }
            Want::ReadTail { room, life, read } => {
                let fence = fence(self.epochs[&room]);
                let last_seq = self.logs[&room].head();
                let result = self.read(Some(LogTail { fence, last_seq }).filter(|_| last_seq > Seq::ZERO));
                self.answer(at, room, life, Input::Tail { read, result });
            }
            Want::ReadEntries { room, life, read, after, through } => {
                let head = self.logs[&room].head();
                assert!(through <= head, "nobody spoke of {through} where {head} is the last");
                let place = |seq: Seq| usize::try_from(seq.get()).unwrap();
                let last = after.plus(self.dice.range(1, through.since(after) + 1));
                let entries = self.logs[&room].entries[place(after)..place(last)].to_vec();
                self.totals.read_entries += entries.len() as u64;
                let result = self.read(entries);
                self.answer(at, room, life, Input::Entries { read, result });
            }
            Want::Wake { room, life, at_ms } => {
                self.schedule(at_ms, Event::Answer { to, incarnation, room, life, input: Input::Tick });
            }
            Want::Activate { room } => {
                if self.owners[&room].is_none() {
                    self.activate(&room, at);
                }
            }
            Want::Shown { room, entries } => {
                let first = usize::try_from(entries[0].seq.get() - 1).unwrap();
                assert_eq!(*entries, self.logs[&room].entries[first..first + entries.len()]);
                self.totals.shown += entries.len() as u64;
            }
        }
    }

    fn read<T>(&mut self, found: T) -> Result<T, LogError> {
        if self.log_fails && !self.healed && self.dice.percent(30) {
            self.totals.failed_reads += 1;
            return Err(LogError::Unavailable("it fails".to_owned()));
        }
        Ok(found)
    }

    fn answer(&mut self, to: usize, room: RoomId, life: u64, input: Input) {
        let incarnation = self.nodes[to].me.incarnation;
        let soon = self.now_ms + self.dice.range(1, 30);
        self.schedule(soon, Event::Answer { to, incarnation, room, life, input });
    }

    fn owner_of(&self, room: &RoomId) -> OwnerAnswer {
        let rewound = self.rewound.get(room).filter(|(until, _)| self.now_ms < *until && !self.healed);
        match self.owners[room] {
            _ if rewound.is_some() => rewound.unwrap().1.clone(),
            _ if self.bus_down_until_ms.is_some() => OwnerAnswer::Unknown,
            Some(at) => OwnerAnswer::Owned { by: self.nodes[at].me.clone(), epoch: Epoch::new(self.epochs[room]) },
            None => OwnerAnswer::Nobody { preferred: self.nodes[room.as_str().len() % NODES.len()].me.clone() },
        }
    }

    fn send(&mut self, to: &NodeRef, bytes: &Bytes) {
        let to = self.nodes.iter().position(|node| node.me.node == to.node).unwrap();
        if self.bus_down_until_ms.is_some() || !self.healed && self.dice.percent(20) {
            return self.lose(bytes);
        }
        let copies = if !self.healed && self.dice.percent(10) { 2 } else { 1 };
        self.totals.repeated += copies - 1;
        for _ in 0..copies {
            let is_late = !self.healed && self.dice.percent(20);
            let takes_ms = if is_late { self.dice.range(5, 300) } else { self.dice.range(1, 5) };
            self.schedule(self.now_ms + takes_ms, Event::Arrive { to, bytes: bytes.clone() });
        }
    }

    fn arrive(&mut self, to: usize, bytes: Bytes) {
        if self.cut_until_ms[to].is_some() {
            return self.lose(&bytes);
        }
        if self.now_ms < self.paused_until_ms[to] {
            return self.schedule(self.paused_until_ms[to], Event::Arrive { to, bytes });
        }
        let envelope = Envelope::decode(&bytes).unwrap();
        if envelope.is_for(&self.nodes[to].me) {
            self.on_node(to, |node, now_ms, wants| node.receive(now_ms, envelope, wants));
        } else {
            self.totals.for_another_life += 1;
        }
    }

    fn lose(&mut self, bytes: &[u8]) {
        for payload in Envelope::decode(bytes).unwrap().payloads {
            match payload {
                Payload::Batch(batch) => {
                    self.totals.lost_batches += 1;
                    let last = batch.entries.last().unwrap().seq;
                    self.lost_at.push_back((self.now_ms, batch.room, last));
                }
                Payload::Beacon(_) => self.totals.lost_beacons += 1,
                _ => {}
            }
        }
    }
}
