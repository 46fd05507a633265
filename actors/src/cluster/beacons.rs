//! Beacons: what a node tells those that watch rooms here, so that they notice what they missed.

use std::collections::{BTreeMap, BTreeSet};

use rollcall_protocol::{Epoch, RoomId, Seq};

use super::envelope::{BEACON_ROOMS_MAX, Beacon, RoomHead};
use super::node::NodeRef;

/// Beacons are sent this often, in milliseconds.
pub const BEACON_APART_MS: u64 = 500;

/// A room that was appended to, or released, is named for this long, in milliseconds.
pub const BEACON_NAMES_MS: u64 = 5_000;

/// The sending side of a node's beacons, for all rooms that it owns and all nodes that watch one of them. Times are milliseconds of
/// a clock that never goes back.
#[derive(Debug)]
pub struct Beacons {
    watchers: BTreeMap<NodeRef, WatchingNode>,
    rooms: BTreeMap<RoomId, WatchedRoom>,
    /// Rooms that were lately appended to.
    recent: BTreeSet<RoomId>,
    due_at_ms: u64,
    /// How many were sent to all nodes together. A node that comes anew is numbered on from here, so that no number is used for it
    /// twice, and none that it waits for is skipped unseen.
    sent: u64,
}

#[derive(Debug, Default)]
struct WatchingNode {
    last_number: u64,
    rooms: BTreeSet<RoomId>,
    /// Rooms that are owned here no more, and since when.
    released: BTreeMap<RoomId, u64>,
    /// The next beacon names every room.
    tell_all: bool,
}

#[derive(Debug)]
struct WatchedRoom {
    epoch: Epoch,
    head: Seq,
    appended_at_ms: u64,
    watchers: usize,
}

impl Beacons {
    /// Makes the beacons of a node that begins to live.
    pub fn new(now_ms: u64) -> Self {
        Self {
            watchers: BTreeMap::new(),
            rooms: BTreeMap::new(),
            recent: BTreeSet::new(),
            due_at_ms: now_ms + BEACON_APART_MS,
            sent: 0,
        }
    }

    /// Returns the nodes that watch rooms here, with the number of the last beacon to each, and how many rooms.
    pub fn reports(&self) -> impl Iterator<Item = (&NodeRef, u64, usize)> {
        self.watchers.iter().map(|(by, watching)| (by, watching.last_number, watching.rooms.len()))
    }

    /// A node watches a room from now on, which stands at `head`.
    pub fn watched(&mut self, now_ms: u64, by: &NodeRef, room: &RoomId, epoch: Epoch, head: Seq) {
        let sent = self.sent;
        let node = self
            .watchers
            .entry(by.clone())
            .or_insert_with(|| WatchingNode { last_number: sent, ..WatchingNode::default() });
        node.released.remove(room);
        let is_new = node.rooms.insert(room.clone());
        let watched = WatchedRoom { epoch, head, appended_at_ms: now_ms.saturating_sub(BEACON_NAMES_MS), watchers: 0 };
        self.rooms.entry(room.clone()).or_insert(watched).watchers += usize::from(is_new);
    }

    /// A node watches a room no more.
    pub fn unwatched(&mut self, by: &NodeRef, room: &RoomId) {
        if self.watchers.get_mut(by).is_some_and(|node| node.rooms.remove(room)) {
            self.count_down(room);
        }
    }

    /// A node is dead, or lives another life.
    pub fn node_gone(&mut self, node: &NodeRef) {
        for room in self.watchers.remove(node).map(|gone| gone.rooms).unwrap_or_default() {
            self.count_down(&room);
        }
    }

    /// A room was appended to. One that nobody watches is not kept.
    pub fn appended(&mut self, now_ms: u64, room: &RoomId, epoch: Epoch, head: Seq) {
        if let Some(watched) = self.rooms.get_mut(room) {
            let watchers = watched.watchers;
            *watched = WatchedRoom { epoch, head, appended_at_ms: now_ms, watchers };
            self.recent.insert(room.clone());
        }
    }

    /// A room is owned here no more: whoever watched it hears of it in the next beacons.
    pub fn released(&mut self, now_ms: u64, room: &RoomId) {
        for node in self.watchers.values_mut() {
            if node.rooms.remove(room) {
                node.released.insert(room.clone(), now_ms);
            }
        }
        self.rooms.remove(room);
        self.recent.remove(room);
    }

    /// What was sent lately may be lost: the next beacons come at once and name every room.
    pub fn reconnected(&mut self, now_ms: u64) {
        self.watchers.values_mut().for_each(|node| node.tell_all = true);
        self.due_at_ms = now_ms;
    }

    /// Returns when the next beacons are due, in milliseconds.
    pub fn due_ms(&self) -> u64 {
        self.due_at_ms
    }

    /// Returns the beacons that are due, each with the node that it is for: at least one for every node that watches a room here,
    /// or did until lately.
    pub fn tick(&mut self, now_ms: u64) -> Vec<(NodeRef, Beacon)> {
        if now_ms < self.due_at_ms {
            return Vec::new();
        }
        self.due_at_ms = now_ms + BEACON_APART_MS;
        let is_recent = |since: u64| now_ms < since + BEACON_NAMES_MS;
        self.recent.retain(|room| self.rooms.get(room).is_some_and(|watched| is_recent(watched.appended_at_ms)));
        let mut beacons = Vec::new();
        for (to, node) in &mut self.watchers {
            node.released.retain(|_, since| is_recent(*since));
            let names: Vec<&RoomId> = if std::mem::take(&mut node.tell_all) {
                node.rooms.iter().collect()
            } else {
                self.recent.iter().filter(|room| node.rooms.contains(*room)).collect()
            };
            let head_of = |room: &&RoomId| {
                let watched = self.rooms.get(*room)?;
                Some(RoomHead { room: (*room).clone(), epoch: watched.epoch, head: watched.head })
            };
            let heads: Vec<RoomHead> = names.iter().filter_map(head_of).collect();
            let released: Vec<RoomId> = node.released.keys().cloned().collect();
            let count = heads.len().max(released.len()).div_ceil(BEACON_ROOMS_MAX).max(1);
            let (mut heads, mut released) = (heads.chunks(BEACON_ROOMS_MAX), released.chunks(BEACON_ROOMS_MAX));
            for _ in 0..count {
                node.last_number += 1;
                self.sent += 1;
                let (heads, released) = (heads.next().unwrap_or_default(), released.next().unwrap_or_default());
                let (heads, released) = (heads.to_vec(), released.to_vec());
                beacons.push((to.clone(), Beacon { number: node.last_number, heads, released }));
            }
        }
        self.watchers.retain(|_, node| !node.rooms.is_empty() || !node.released.is_empty());
        beacons
    }

    fn count_down(&mut self, room: &RoomId) {
        let Some(watched) = self.rooms.get_mut(room) else { return };
        watched.watchers -= 1;
        if watched.watchers == 0 {
            self.rooms.remove(room);
            self.recent.remove(room);
        }
    }
}

#[cfg(test)]
mod tests;
