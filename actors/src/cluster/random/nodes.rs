//! A node of a random run: the shells around its machines, as plain functions.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rollcall_protocol::{Entry, Epoch, RoomId, Seq};

use crate::cluster::replica::{Effect, Input, Replica};
use crate::cluster::{
    Beacons, Envelope, LinkEffect, Links, NodeRef, Payload, RoomStanding, Watch, Watchers, WatchersEffect, seal,
};

/// What a node wants from the world.
#[derive(Debug)]
pub enum Want {
    Send { to: NodeRef, bytes: Bytes },
    FindOwner { room: RoomId, life: u64 },
    ReadTail { room: RoomId, life: u64, read: u64 },
    ReadEntries { room: RoomId, life: u64, read: u64, after: Seq, through: Seq },
    Wake { room: RoomId, life: u64, at_ms: u64 },
    Activate { room: RoomId },
    Shown { room: RoomId, entries: Arc<[Entry]> },
}

pub struct SimNode {
    pub me: NodeRef,
    pub owned: BTreeMap<RoomId, OwnedRoom>,
    pub shown: BTreeMap<RoomId, ShownRoom>,
    links: Links,
    beacons: Beacons,
    lives: u64,
    /// Gaps that the numbers of beacons showed, and those that silence showed.
    pub gaps: (u64, u64),
}

pub struct OwnedRoom {
    pub standing: RoomStanding,
    watchers: Watchers,
}

pub struct ShownRoom {
    /// Numbers the replicas of the node: answers to an earlier one are dropped.
    pub life: u64,
    pub since_ms: u64,
    pub replica: Replica,
}

impl SimNode {
    pub fn new(me: NodeRef, now_ms: u64) -> Self {
        let (owned, shown) = (BTreeMap::new(), BTreeMap::new());
        Self { me, owned, shown, links: Links::new(), beacons: Beacons::new(now_ms), lives: 0, gaps: (0, 0) }
    }

    /// Begins to show a room to one reader.
    pub fn show(&mut self, now_ms: u64, room: &RoomId, wants: &mut Vec<Want>) {
        self.lives += 1;
        let replica = Replica::new(room.clone(), self.me.clone(), self.lives * 1_000_000, now_ms);
        self.shown.insert(room.clone(), ShownRoom { life: self.lives, since_ms: now_ms, replica });
        self.feed(now_ms, room, Input::Readers(1), wants);
    }

    /// Begins to own a room; its readers read from the owner now.
    pub fn own(&mut self, room: &RoomId, standing: RoomStanding) {
        if let Some(shown) = self.shown.remove(room)
            && let Some(at) = shown.replica.confirmed_at()
        {
            self.links.unwatched(at, room);
        }
        self.owned.insert(room.clone(), OwnedRoom { standing, watchers: Watchers::new(room.clone()) });
    }

    /// Gives a room up, and shows it from now on.
    pub fn give_up(&mut self, now_ms: u64, room: &RoomId, hint: Option<&NodeRef>, wants: &mut Vec<Want>) {
        let Some(mut owned) = self.owned.remove(room) else { return };
        let mut effects = Vec::new();
        owned.watchers.release(hint, &mut effects);
        self.beacons.released(now_ms, room);
        self.carry_out_watchers(now_ms, room, owned.standing, effects, wants);
        self.show(now_ms, room, wants);
    }

    /// Tells all who watch of a batch that was committed.
    pub fn committed(&mut self, now_ms: u64, room: &RoomId, entries: Vec<Entry>, wants: &mut Vec<Want>) {
        let owned = self.owned.get_mut(room).unwrap();
        let last = entries.last().unwrap();
        (owned.standing.head, owned.standing.hash) = (last.seq, last.hash);
        let (standing, mut effects) = (owned.standing, Vec::new());
        owned.watchers.committed(now_ms, entries.into(), Vec::new(), &mut effects);
        self.carry_out_watchers(now_ms, room, standing, effects, wants);
        self.beacons.appended(now_ms, room, standing.epoch, standing.head);
    }

    pub fn tick(&mut self, now_ms: u64, wants: &mut Vec<Want>) {
        for (to, beacon) in self.beacons.tick(now_ms) {
            self.send(&to, &[Payload::Beacon(beacon)], wants);
        }
        let mut told = Vec::new();
        self.links.tick(now_ms, &mut told);
        self.gaps.1 += told.len() as u64;
        self.carry_out_links(now_ms, told, wants);
        for (room, owned) in &mut self.owned {
            let mut effects = Vec::new();
            owned.watchers.expire(now_ms, &mut effects);
            for effect in effects {
                if let WatchersEffect::Unwatched(node) = effect {
                    self.beacons.unwatched(&node, room);
                }
            }
        }
    }

    /// The node's connection to the bus has come back.
    pub fn reconnected(&mut self, now_ms: u64, wants: &mut Vec<Want>) {
        self.beacons.reconnected(now_ms);
        let mut told = Vec::new();
        self.links.interrupted(&mut told);
        self.carry_out_links(now_ms, told, wants);
    }

    /// The node has read the takeovers; an owner that is not aware goes on to think that it is one.
    pub fn read_takeovers(
        &mut self,
        now_ms: u64,
        takeovers: &[(RoomId, Epoch)],
        is_aware: bool,
        wants: &mut Vec<Want>,
    ) {
        for (room, epoch) in takeovers {
            if is_aware && self.owned.get(room).is_some_and(|owned| owned.standing.epoch < *epoch) {
                self.give_up(now_ms, room, None, wants);
            }
            self.feed(now_ms, room, Input::TakenOver(*epoch), wants);
        }
    }

    pub fn receive(&mut self, now_ms: u64, envelope: Envelope, wants: &mut Vec<Want>) {
        let from = envelope.from;
        for payload in envelope.payloads {
            self.receive_payload(now_ms, &from, payload, wants);
        }
    }

    fn receive_payload(&mut self, now_ms: u64, from: &NodeRef, payload: Payload, wants: &mut Vec<Want>) {
        match payload {
            Payload::Watch(Watch { room, number }) => match self.owned.get_mut(&room) {
                Some(owned) => {
                    let (standing, mut effects) = (owned.standing, Vec::new());
                    owned.watchers.watch(now_ms, from.clone(), number, standing, &mut effects);
                    self.carry_out_watchers(now_ms, &room, standing, effects, wants);
                }
                None => self.send(from, &[Payload::NotOwner { room, hint: None }], wants),
            },
            Payload::Unwatch(Watch { room, number }) => {
                if let Some(owned) = self.owned.get_mut(&room) {
                    let (standing, mut effects) = (owned.standing, Vec::new());
                    owned.watchers.unwatch(from, number, &mut effects);
                    self.carry_out_watchers(now_ms, &room, standing, effects, wants);
                }
            }
            Payload::WatchConfirmed(told) => {
                let (from, room) = (from.clone(), told.room);
                let (number, epoch, head) = (told.number, told.epoch, told.head);
                let (hash, floor) = (told.hash, told.floor);
                self.feed(now_ms, &room, Input::Confirmed { from, number, epoch, head, hash, floor }, wants);
            }
            Payload::NotOwner { room, hint } => {
                self.feed(now_ms, &room, Input::NotOwner { from: from.clone(), hint }, wants);
            }
            Payload::Batch(batch) => {
                let input = Input::Batch { from: from.clone(), entries: batch.entries };
                self.feed(now_ms, &batch.room, input, wants);
            }
            Payload::Beacon(beacon) => {
                let mut told = Vec::new();
                self.links.beacon(now_ms, from, beacon, &mut told);
                self.gaps.0 += told.iter().filter(|told| matches!(told, LinkEffect::GapPossible(_))).count() as u64;
                self.carry_out_links(now_ms, told, wants);
            }
            Payload::Activate(room) => wants.push(Want::Activate { room }),
            Payload::Submit(_)
            | Payload::SubmitReply(_)
            | Payload::Question(_)
            | Payload::Told(_)
            | Payload::Signal(_)
            | Payload::Damaged { .. }
            | Payload::HandOver { .. } => {
                panic!("nobody submits, asks, drains or finds damage here")
            }
        }
    }

    /// Gives an answer of the world to the replica that asked.
    pub fn answer(&mut self, now_ms: u64, room: &RoomId, life: u64, input: Input, wants: &mut Vec<Want>) {
        if self.shown.get(room).is_some_and(|shown| shown.life == life) {
            self.feed(now_ms, room, input, wants);
        }
    }

    fn feed(&mut self, now_ms: u64, room: &RoomId, input: Input, wants: &mut Vec<Want>) {
        let Some(shown) = self.shown.get_mut(room) else { return };
        let life = shown.life;
        let mut effects = Vec::new();
        shown.replica.handle(now_ms, input, &mut effects);
        for effect in effects {
            let room = room.clone();
            match effect {
                Effect::FindOwner => wants.push(Want::FindOwner { room, life }),
                Effect::Watch { at, number } => {
                    let mut told = Vec::new();
                    self.links.watching(now_ms, &at, &room, &mut told);
                    self.send(&at, &[Payload::Watch(Watch { room, number })], wants);
                    self.carry_out_links(now_ms, told, wants);
                }
                Effect::Unwatch { at, number } => {
                    self.links.unwatched(&at, &room);
                    self.send(&at, &[Payload::Unwatch(Watch { room, number })], wants);
                }
                Effect::AskToActivate(node) => self.send(&node, &[Payload::Activate(room)], wants),
                Effect::Promote => wants.push(Want::Activate { room }),
                Effect::ReadTail { read } => wants.push(Want::ReadTail { room, life, read }),
                Effect::ReadEntries { read, after, through } => {
                    wants.push(Want::ReadEntries { room, life, read, after, through });
                }
                Effect::Begin { .. } => {}
                Effect::Deliver(entries) => wants.push(Want::Shown { room, entries }),
                Effect::ArmTimer(at_ms) => wants.push(Want::Wake { room, life, at_ms }),
                Effect::Stop(reason) => panic!("{} stopped showing {room}: {reason:?}", self.me),
            }
        }
    }

    fn carry_out_links(&mut self, now_ms: u64, told: Vec<LinkEffect>, wants: &mut Vec<Want>) {
        for told in told {
            match told {
                LinkEffect::GapPossible(rooms) => {
                    rooms.iter().for_each(|room| self.feed(now_ms, room, Input::GapPossible, wants));
                }
                LinkEffect::Head { room, from, epoch, head } => {
                    self.feed(now_ms, &room, Input::Head { from, epoch, head }, wants);
                }
                LinkEffect::Released { room, from } => {
                    self.feed(now_ms, &room, Input::NotOwner { from, hint: None }, wants);
                }
            }
        }
    }

    fn carry_out_watchers(
        &mut self,
        now_ms: u64,
        room: &RoomId,
        standing: RoomStanding,
        effects: Vec<WatchersEffect>,
        wants: &mut Vec<Want>,
    ) {
        for effect in effects {
            match effect {
                WatchersEffect::Publish { batch, to } => {
                    let written = Payload::Batch(batch).encode();
                    for (to, _) in to {
                        let bytes = seal(&self.me, &to, std::slice::from_ref(&written)).unwrap();
                        wants.push(Want::Send { to, bytes });
                    }
                }
                WatchersEffect::Send { to, payloads } => self.send(&to, &payloads, wants),
                WatchersEffect::Watched(by) => {
                    self.beacons.watched(now_ms, &by, room, standing.epoch, standing.head);
                }
                WatchersEffect::Unwatched(by) => self.beacons.unwatched(&by, room),
            }
        }
    }

    fn send(&self, to: &NodeRef, payloads: &[Payload], wants: &mut Vec<Want>) {
        let envelope = Envelope { from: self.me.clone(), to: to.clone(), payloads: payloads.to_vec() };
        wants.push(Want::Send { to: to.clone(), bytes: envelope.encode().unwrap() });
    }
}
