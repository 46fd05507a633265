//! The nodes that watch a room, as its owner keeps them.

use std::collections::BTreeMap;
use std::sync::Arc;

use rollcall_protocol::{Entry, Epoch, Hash, RoomId, Seq};

use super::envelope::{Batch, Payload, SubmitReply, WatchConfirmed};
use super::node::NodeRef;

/// A watch that is not renewed ends after this long, in milliseconds.
pub const WATCH_EXPIRES_MS: u64 = 15_000;

/// Where a room stands at its owner: what is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomStanding {
    /// The ownership.
    pub epoch: Epoch,
    /// The last committed number.
    pub head: Seq,
    /// The hash of the head.
    pub hash: Hash,
    /// The first number whose body is still kept.
    pub floor: Seq,
}

/// The watchers of a room on its owner's node. Times are milliseconds of a clock that never goes back.
///
/// What a watcher is told, in order: its watch is confirmed with the head that is committed at this moment, then every batch that
/// commits after it, each in exactly one envelope, along with the answers to that node's own writes. The caller must give watches
/// and commits in the order in which they happen, and sends what comes out in the order in which it came.
#[derive(Debug)]
pub struct Watchers {
    room: RoomId,
    watchers: BTreeMap<NodeRef, Watcher>,
}

#[derive(Debug)]
struct Watcher {
    number: u64,
    expires_at_ms: u64,
}

/// What the watchers of a room want to be done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum WatchersEffect {
    /// Send a batch to these nodes, each with replies that ride along: one envelope a node, and the batch written once for all.
    Publish {
        /// What was committed.
        batch: Batch,
        /// To whom, and what else goes there.
        to: Vec<(NodeRef, Vec<SubmitReply>)>,
    },
    /// Send this, in one envelope.
    Send {
        /// To whom.
        to: NodeRef,
        /// What.
        payloads: Vec<Payload>,
    },
    /// The node watches the room from here on: its beacons name it.
    Watched(NodeRef),
    /// The node watches the room no more.
    Unwatched(NodeRef),
}

impl Watchers {
    /// Makes the watchers of a room that this node begins to own: none.
    pub fn new(room: RoomId) -> Self {
        Self { room, watchers: BTreeMap::new() }
    }

    /// Takes a watch or its renewal, and confirms it.
    pub fn watch(
        &mut self,
        now_ms: u64,
        from: NodeRef,
        number: u64,
        standing: RoomStanding,
        effects: &mut Vec<WatchersEffect>,
    ) {
        let expires_at_ms = now_ms + WATCH_EXPIRES_MS;
        match self.watchers.get_mut(&from) {
            Some(watcher) => {
                watcher.number = watcher.number.max(number);
                watcher.expires_at_ms = expires_at_ms;
            }
            None => {
                self.watchers.insert(from.clone(), Watcher { number, expires_at_ms });
                effects.push(WatchersEffect::Watched(from.clone()));
            }
        }
        let RoomStanding { epoch, head, hash, floor } = standing;
        let confirmed = WatchConfirmed { room: self.room.clone(), number, epoch, head, hash, floor };
        effects.push(WatchersEffect::Send { to: from, payloads: vec![Payload::WatchConfirmed(confirmed)] });
    }

    /// Ends a watch, unless a later one came before.
    pub fn unwatch(&mut self, from: &NodeRef, number: u64, effects: &mut Vec<WatchersEffect>) {
        if self.watchers.get(from).is_some_and(|watcher| watcher.number <= number) {
            self.drop_watcher(from, effects);
        }
    }

    /// Ends the watch of a node that is dead, or lives another life.
    pub fn node_gone(&mut self, node: &NodeRef, effects: &mut Vec<WatchersEffect>) {
        if self.watchers.contains_key(node) {
            self.drop_watcher(node, effects);
        }
    }

    /// Publishes what was committed, with the answers that are ready for other nodes' writes. A node's answers keep their order.
    pub fn committed(
        &mut self,
        now_ms: u64,
        entries: Arc<[Entry]>,
        replies: Vec<(NodeRef, SubmitReply)>,
        effects: &mut Vec<WatchersEffect>,
    ) {
        self.expire(now_ms, effects);
        let mut by_node: BTreeMap<NodeRef, Vec<SubmitReply>> = BTreeMap::new();
        for (node, reply) in replies {
            by_node.entry(node).or_default().push(reply);
        }
        if !self.watchers.is_empty() {
            let with_replies = |node: &NodeRef| (node.clone(), by_node.remove(node).unwrap_or_default());
            let to = self.watchers.keys().map(with_replies).collect();
            effects.push(WatchersEffect::Publish { batch: Batch::new(self.room.clone(), entries), to });
        }
        for (to, replies) in by_node {
            let payloads = replies.into_iter().map(Payload::SubmitReply).collect();
            effects.push(WatchersEffect::Send { to, payloads });
        }
    }

    /// Drops the watches that were not renewed. To be called every second or so, and done by each commit.
    pub fn expire(&mut self, now_ms: u64, effects: &mut Vec<WatchersEffect>) {
        let expired = self.watchers.iter().filter(|(_, watcher)| now_ms >= watcher.expires_at_ms);
        for node in expired.map(|(node, _)| node.clone()).collect::<Vec<_>>() {
            self.drop_watcher(&node, effects);
        }
    }

    /// Ends the ownership: tells every watcher, and who may be the next owner. The node's beacons must say so for a while too,
    /// since this may be lost.
    pub fn release(&mut self, hint: Option<&NodeRef>, effects: &mut Vec<WatchersEffect>) {
        for to in std::mem::take(&mut self.watchers).into_keys() {
            let not_owner = Payload::NotOwner { room: self.room.clone(), hint: hint.cloned() };
            effects.push(WatchersEffect::Send { to, payloads: vec![not_owner] });
        }
    }

    /// Returns the nodes that watch the room.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeRef> {
        self.watchers.keys()
    }

    fn drop_watcher(&mut self, node: &NodeRef, effects: &mut Vec<WatchersEffect>) {
        self.watchers.remove(node);
        effects.push(WatchersEffect::Unwatched(node.clone()));
    }
}

#[cfg(test)]
mod tests;
