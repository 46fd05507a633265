//! The other nodes: which of them live, as Redis has it. Costs one command a second for the list of names and one for each node;
//! a node whose lease comes to its end is looked at in that moment.
//!
//! Redis may forget nodes that live: it was wiped, or away for longer than a lease. Each of them is there again with its next renewal, or
//! once it has reached Redis again. So a key that is missing before its lease has ended, or soon after Redis was away, is looked for again
//! before its node counts as gone.

use std::collections::BTreeMap;

use rollcall_protocol::RoomId;

use super::command::{RedisAnswer, RedisCommand};
use super::record::NodeRecord;
use super::rendezvous::preferred;
use crate::cluster::lease::{LEASE_MS, RENEW_EVERY_MS};
use crate::cluster::{NodeRef, parse_node_id};
use crate::ports::NodeId;

/// How often the list and each node is looked at, in milliseconds.
const LOOK_EVERY_MS: u64 = 1_000;

/// A lease that is about to end is looked at this often, in milliseconds; a key without an end looks like that.
const END_APART_MS: u64 = 10;

/// When Redis is asked again that did not answer, in milliseconds.
const RETRY_MS: u64 = 250;

/// A silence of Redis in which no lease ends of a node that goes on renewing it, in milliseconds.
const SILENCE_MS_MAX: u64 = LEASE_MS - RENEW_EVERY_MS;

/// How long a node is missed whose lease has not ended, in milliseconds: one that lives renews it meanwhile.
const BACK_WITHIN_MS: u64 = RENEW_EVERY_MS + 500;

/// How long after its lease has ended a node is missed at most, in milliseconds, however often Redis is away.
const MISSED_MS_MAX: u64 = 2 * LEASE_MS;

/// Nodes that are kept in mind. A list that is longer was not written by a cluster.
const PEERS_MAX: usize = 1_024;

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeersInput {
    /// Time has passed.
    Tick,
    /// What became of the command that was run last.
    Answer(RedisAnswer),
}

/// What is to be done or known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeersEffect {
    /// Run this, and give one answer. No further command is run before that.
    Run(RedisCommand),
    /// This life of a node is over, or its lease has ended.
    Gone(NodeRef),
}

/// A node that lives.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Peer {
    /// What it says of itself.
    pub record: NodeRecord,
    /// When its lease ends unless it is renewed, in milliseconds of our monotonic clock.
    pub ends_at_ms: u64,
}

/// The nodes of a cluster as one of them sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Peers {
    me: NodeId,
    nodes: BTreeMap<NodeId, Known>,
    list_at_ms: u64,
    /// What was asked last, and when, as long as there is no answer.
    in_flight: Option<(Asked, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Known {
    peer: Option<Peer>,
    is_listed: bool,
    look_at_ms: u64,
    /// When Redis was asked for its key, and has answered, the last time.
    heard_at_ms: Option<u64>,
    /// Until then the key may be missing though the node lives, since Redis, or the server that has the key, was away.
    doubtful_until_ms: u64,
    /// Since when the key is missing, while the node counts as alive.
    missed_since_ms: Option<u64>,
}

impl Known {
    /// A name on the list.
    fn listed(now_ms: u64) -> Self {
        Self {
            peer: None,
            is_listed: true,
            look_at_ms: now_ms,
            heard_at_ms: None,
            doubtful_until_ms: 0,
            missed_since_ms: None,
        }
    }

    /// Redis has answered for its key, and was asked at `asked_at_ms`.
    fn heard(&mut self, now_ms: u64, asked_at_ms: u64) {
        if self.heard_at_ms.is_some_and(|at_ms| now_ms >= at_ms + SILENCE_MS_MAX) {
            self.doubtful_until_ms = now_ms + LEASE_MS;
        }
        self.heard_at_ms = Some(asked_at_ms);
    }

    /// The key is not there. Returns until when the node counts as alive all the same.
    fn may_live_until(&mut self, now_ms: u64) -> u64 {
        let Some(peer) = &self.peer else { return 0 };
        let since_ms = *self.missed_since_ms.get_or_insert(now_ms);
        peer.may_be_missing_until(since_ms, self.doubtful_until_ms)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Asked {
    List,
    Node(NodeId),
}

impl Peer {
    /// Returns until when it may live though Redis does not know it. One that goes takes no rooms any more, and then its key away.
    fn may_be_missing_until(&self, since_ms: u64, doubtful_until_ms: u64) -> u64 {
        let is_early = self.ends_at_ms.min(since_ms + BACK_WITHIN_MS);
        let is_doubtful = doubtful_until_ms.min(self.ends_at_ms + MISSED_MS_MAX);
        if self.record.takes_rooms { is_early.max(is_doubtful) } else { 0 }
    }
}

impl Peers {
    /// Begins to know nobody; the first [`PeersInput::Tick`] asks Redis.
    pub fn new(me: NodeId) -> Self {
        Self { me, nodes: BTreeMap::new(), list_at_ms: 0, in_flight: None }
    }

    /// Takes one input at the time `now_ms` of the monotonic clock and appends what is to be done to `effects`.
    ///
    /// # Panics
    /// Where an answer follows no command, or does not fit it: faults of the caller.
    pub fn handle(&mut self, now_ms: u64, input: PeersInput, effects: &mut Vec<PeersEffect>) {
        if let PeersInput::Answer(answer) = input {
            let (asked, asked_at_ms) = self.in_flight.take().expect("an answer follows a command");
            match (asked, answer) {
                (Asked::List, RedisAnswer::Roster(names)) => {
                    self.list_at_ms = now_ms + LOOK_EVERY_MS;
                    self.take_list(now_ms, &names);
                }
                (Asked::List, RedisAnswer::Failed(_)) => self.list_at_ms = now_ms + RETRY_MS,
                (Asked::Node(node), RedisAnswer::Node(found)) => {
                    let found = found.and_then(|(text, ttl_ms)| Some((NodeRecord::parse(&text)?, ttl_ms)));
                    self.take_node(now_ms, asked_at_ms, node, found, effects);
                }
                (Asked::Node(node), RedisAnswer::Failed(_)) => {
                    if let Some(known) = self.nodes.get_mut(&node) {
                        known.look_at_ms = now_ms + RETRY_MS;
                    }
                }
                (asked, answer) => panic!("{answer:?} does not answer {asked:?}"),
            }
        }
        self.run_next(now_ms, effects);
    }

    /// Returns when time matters next, in milliseconds of the monotonic clock; none while an answer is awaited.
    pub fn wakes_at_ms(&self) -> Option<u64> {
        self.in_flight.is_none().then(|| self.next().0)
    }

    /// Returns a node that lives.
    pub fn get(&self, node: &NodeId) -> Option<&Peer> {
        self.nodes.get(node)?.peer.as_ref()
    }

    /// Tells whether this life of a node counts as alive, though Redis may not know it at the moment.
    pub fn is_alive(&self, node: &NodeRef) -> bool {
        self.get(&node.node).is_some_and(|peer| peer.record.incarnation == node.incarnation)
    }

    /// Returns the nodes that live, without this one, by their names.
    pub fn live(&self) -> impl Iterator<Item = (&NodeId, &Peer)> {
        self.nodes.iter().filter_map(|(node, known)| Some((node, known.peer.as_ref()?)))
    }

    /// Returns the node on which a room should be active where nobody has it: of those that take rooms, this one too if `here`.
    pub fn preferred(&self, room: &RoomId, here: bool, passes: impl Fn(&NodeId) -> bool) -> Option<&NodeId> {
        let others = self.live().filter(|(_, peer)| peer.record.takes_rooms).map(|(node, _)| node);
        preferred(room, others.filter(|&node| passes(node)).chain(here.then_some(&self.me)))
    }

    /// Returns what to look at next, and when.
    fn next(&self) -> (u64, Asked) {
        let node = self.nodes.iter().min_by_key(|(_, known)| known.look_at_ms);
        match node {
            Some((node, known)) if known.look_at_ms <= self.list_at_ms => (known.look_at_ms, Asked::Node(node.clone())),
            _ => (self.list_at_ms, Asked::List),
        }
    }

    fn run_next(&mut self, now_ms: u64, effects: &mut Vec<PeersEffect>) {
        if self.in_flight.is_some() {
            return;
        }
        let (at_ms, asked) = self.next();
        if at_ms > now_ms {
            return;
        }
        effects.push(PeersEffect::Run(match &asked {
            Asked::List => RedisCommand::Enroll { node: self.me.clone() },
            Asked::Node(node) => RedisCommand::ReadNode { node: node.clone() },
        }));
        self.in_flight = Some((asked, now_ms));
    }

    fn take_list(&mut self, now_ms: u64, names: &[std::sync::Arc<str>]) {
        self.nodes.values_mut().for_each(|known| known.is_listed = false);
        for node in names.iter().filter_map(|name| parse_node_id(name).ok()) {
            if node == self.me || self.nodes.len() >= PEERS_MAX && !self.nodes.contains_key(&node) {
                continue;
            }
            self.nodes.entry(node).or_insert_with(|| Known::listed(now_ms)).is_listed = true;
        }
        // Who lives stays, listed or not: the list may have been lost.
        self.nodes.retain(|_, known| known.is_listed || known.peer.is_some());
    }

    fn take_node(
        &mut self,
        now_ms: u64,
        asked_at_ms: u64,
        node: NodeId,
        found: Option<(NodeRecord, u64)>,
        effects: &mut Vec<PeersEffect>,
    ) {
        let Some(known) = self.nodes.get_mut(&node) else { return };
        known.heard(now_ms, asked_at_ms);
        if found.is_none() {
            let until_ms = known.may_live_until(now_ms);
            if now_ms < until_ms {
                known.look_at_ms = until_ms.min(now_ms + RETRY_MS);
                return;
            }
        }
        known.missed_since_ms = None;
        let peer = found.map(|(record, ttl_ms)| Peer { record, ends_at_ms: now_ms + ttl_ms });
        known.look_at_ms = match &peer {
            Some(peer) => peer.ends_at_ms.clamp(now_ms + END_APART_MS, now_ms + LOOK_EVERY_MS),
            None => now_ms + LOOK_EVERY_MS,
        };
        let incarnation = |peer: &Option<Peer>| peer.as_ref().map(|peer| peer.record.incarnation);
        let (before, after) = (incarnation(&known.peer), incarnation(&peer));
        known.peer = peer;
        if before == after {
            return;
        }
        if let Some(before) = before {
            effects.push(PeersEffect::Gone(NodeRef::new(node, before)));
        }
    }
}
