//! Links: what a node hears from those where it watches rooms, and when it must think that something was lost.

use std::collections::{BTreeMap, BTreeSet};

use rollcall_protocol::{Epoch, RoomId, Seq};

use super::envelope::Beacon;
use super::node::NodeRef;

/// A node from which no beacon comes for this long, in milliseconds, may have sent batches that did not come either.
pub const SILENCE_MS: u64 = 1_000;

/// The receiving side of beacons, for all nodes where this one watches rooms. Times are milliseconds of a clock that never goes
/// back.
#[derive(Debug, Default)]
pub struct Links {
    links: BTreeMap<NodeRef, Link>,
}

#[derive(Debug)]
struct Link {
    rooms: BTreeSet<RoomId>,
    /// The number of the last beacon.
    last_number: Option<u64>,
    /// When the silence lasts too long.
    silent_at_ms: u64,
}

/// What a link tells the replicas, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEffect {
    /// A batch of these rooms may have been lost.
    GapPossible(Vec<RoomId>),
    /// A room is this far at its owner.
    Head {
        /// Which room.
        room: RoomId,
        /// Who says so.
        from: NodeRef,
        /// Under which ownership.
        epoch: Epoch,
        /// The last committed number there.
        head: Seq,
    },
    /// A room is not owned there any more.
    Released {
        /// Which room.
        room: RoomId,
        /// Who says so.
        from: NodeRef,
    },
}

impl Links {
    /// Makes the links of a node that begins to live: none.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the nodes where rooms are watched, with the number of the last beacon of each, if one came, and how many rooms.
    pub fn reports(&self) -> impl Iterator<Item = (&NodeRef, Option<u64>, usize)> {
        self.links.iter().map(|(at, link)| (at, link.last_number, link.rooms.len()))
    }

    /// A room is watched at a node from now on. Whatever is watched there in another life of the node is in doubt.
    pub fn watching(&mut self, now_ms: u64, at: &NodeRef, room: &RoomId, effects: &mut Vec<LinkEffect>) {
        if let Some(link) = self.links.get_mut(at) {
            link.rooms.insert(room.clone());
            return;
        }
        self.report_other_lives(at, effects);
        let rooms = BTreeSet::from([room.clone()]);
        self.links.insert(at.clone(), Link { rooms, last_number: None, silent_at_ms: now_ms + SILENCE_MS });
    }

    /// A room is not watched at a node any more.
    pub fn unwatched(&mut self, at: &NodeRef, room: &RoomId) {
        if let Some(link) = self.links.get_mut(at) {
            link.rooms.remove(room);
            if link.rooms.is_empty() {
                self.links.remove(at);
            }
        }
    }

    /// Takes a beacon. What it says is passed on even where it is late or repeated: it was true, and heads only grow.
    pub fn beacon(&mut self, now_ms: u64, from: &NodeRef, beacon: Beacon, effects: &mut Vec<LinkEffect>) {
        self.report_other_lives(from, effects);
        let Some(link) = self.links.get_mut(from) else { return };
        let last = link.last_number.unwrap_or(beacon.number.saturating_sub(1));
        if beacon.number > last {
            link.last_number = Some(beacon.number);
            link.silent_at_ms = now_ms + SILENCE_MS;
        }
        if beacon.number > last.saturating_add(1) {
            link.report_gap(effects);
        }
        for said in beacon.heads {
            if link.rooms.contains(&said.room) {
                let (epoch, head) = (said.epoch, said.head);
                effects.push(LinkEffect::Head { room: said.room, from: from.clone(), epoch, head });
            }
        }
        for room in beacon.released {
            if link.rooms.contains(&room) {
                effects.push(LinkEffect::Released { room, from: from.clone() });
            }
        }
    }

    /// This node's own subscription was interrupted, or has come back: whatever came meanwhile is lost.
    pub fn interrupted(&self, effects: &mut Vec<LinkEffect>) {
        self.links.values().for_each(|link| link.report_gap(effects));
    }

    /// Returns when the next silence lasts too long, in milliseconds; none where no room is watched anywhere.
    pub fn due_ms(&self) -> Option<u64> {
        self.links.values().map(|link| link.silent_at_ms).min()
    }

    /// Notices silence, and each second again for as long as it lasts.
    pub fn tick(&mut self, now_ms: u64, effects: &mut Vec<LinkEffect>) {
        for link in self.links.values_mut().filter(|link| now_ms >= link.silent_at_ms) {
            link.silent_at_ms = now_ms + SILENCE_MS;
            link.report_gap(effects);
        }
    }

    /// A node has but one life at a time: what is watched in another than this one is in doubt.
    fn report_other_lives(&self, present: &NodeRef, effects: &mut Vec<LinkEffect>) {
        let others = self.links.iter().filter(|(at, _)| at.node == present.node && *at != present);
        others.for_each(|(_, link)| link.report_gap(effects));
    }
}

impl Link {
    fn report_gap(&self, effects: &mut Vec<LinkEffect>) {
        effects.push(LinkEffect::GapPossible(self.rooms.iter().cloned().collect()));
    }
}

#[cfg(test)]
mod tests;
