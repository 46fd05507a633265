//! What a node keeps of a room that somebody wants here.

use std::collections::{BTreeMap, BTreeSet};

use rollcall_protocol::Epoch;

use crate::cluster::forwarding::Forwarding;
use crate::cluster::ownership::{ActivateWith, Seeking};
use crate::cluster::replica::Replica;
use crate::cluster::{NodeRef, RoomStanding, TakeoverNotice, Watchers};
use crate::ports::{Fence, NodeId};

use super::asking::Questions;
use super::held::HeldSubmits;
use super::io::Life;

/// An owner is looked for again after this long, then after twice as long, in milliseconds.
pub(super) const SEEK_APART_MS: u64 = 50;
/// The longest such wait.
pub(super) const SEEK_APART_MS_MAX: u64 = 1_000;

/// A room that somebody wants on this node.
#[derive(Debug)]
pub(super) struct Room<T> {
    /// Connections of this node that have joined it.
    pub readers: usize,
    pub shown: Option<Shown>,
    pub owner: Option<Owner>,
    /// Writes that are to reach an owner elsewhere, or came before the room was opened here. Dropped when it has none.
    pub forwarding: Option<Forwarding<T>>,
    /// What those ask who want to read the room, here and on other nodes.
    pub questions: Questions<T>,
    /// Who owns the room, as far as was found out.
    pub found: Option<NodeRef>,
    pub search: Search,
    /// Before this time the room is not activated here: this node was fenced.
    pub not_before_ms: u64,
    /// The epoch of the last owner here, if its fence is stored: whoever owns the room now has a higher one.
    pub known_epoch: Epoch,
    /// The last fence of an owner who drained the room here.
    pub released: Option<Fence>,
    /// What other nodes want from an owner that this node may be about to become, in the order in which it came.
    pub held: HeldSubmits,
    /// Nodes that want to watch the room here, with the numbers of their watches.
    pub want_to_watch: BTreeMap<NodeRef, u64>,
    /// When its owner was last told of damage.
    pub damage_told_at_ms: Option<u64>,
    /// When the room is in the node's list of what is due.
    pub due_at_ms: Option<u64>,
}

/// A replica on this node.
#[derive(Debug)]
pub(super) struct Shown {
    pub life: Life,
    pub replica: Replica,
    /// Where it watches, and the number of the last watch.
    pub watches: Option<(NodeRef, u64)>,
    pub wakes_at_ms: Option<u64>,
    /// The epoch under which a take-over of the room would be noticed.
    pub epoch_told: Option<Epoch>,
}

/// An owner on this node.
#[derive(Debug)]
pub(super) struct Owner {
    pub life: Life,
    /// When the log was asked.
    pub since_ms: u64,
    pub phase: Phase,
}

/// How far an owner is.
#[derive(Debug)]
pub(super) enum Phase {
    /// The log was asked.
    Activating(ActivateWith),
    /// It is the owner.
    Active(Box<Active>),
    /// Another owner has fenced it; it answers what it took.
    Ending,
}

/// An owner that the log has activated.
#[derive(Debug)]
pub(super) struct Active {
    pub fence: Fence,
    pub standing: RoomStanding,
    pub watchers: Watchers,
    /// The row that tells others, as long as it is not there; until then nobody is answered.
    pub notice: TakeoverNotice,
    /// Whether the fence is stored.
    pub is_stored: bool,
    /// It finishes what it took, and takes nothing more.
    pub is_stopping: bool,
    /// Who is to have it next, if an operator said so.
    pub goes_to: Option<NodeRef>,
    /// Whether it was last said that other nodes watch it.
    pub is_watched: bool,
}

/// The search for a room's owner.
#[derive(Debug)]
pub(super) struct Search {
    pub running: Option<(Life, Seeking)>,
    /// When the next one is to begin, if one is wanted.
    pub begins_at_ms: Option<u64>,
    pub began_at_ms: Option<u64>,
    pub apart_ms: u64,
    /// Another node asks this one to activate the room.
    pub is_asked: bool,
    /// An owner has drained the room and gives it to this node, under this last fence.
    pub handed_over: Option<Fence>,
    /// Who has said that it does not own the room, though it was found to.
    pub refused_by: Option<NodeRef>,
    /// Who was asked to activate the room, and has not said anything since.
    pub asked: Option<NodeId>,
    /// Nodes that were asked in vain.
    pub passed_over: BTreeSet<NodeId>,
    /// When a hint was last followed.
    pub hint_followed_at_ms: Option<u64>,
}

impl<T> Room<T> {
    pub fn new() -> Self {
        Self {
            readers: 0,
            shown: None,
            owner: None,
            forwarding: None,
            questions: Questions::new(),
            found: None,
            search: Search {
                running: None,
                begins_at_ms: None,
                began_at_ms: None,
                apart_ms: SEEK_APART_MS,
                is_asked: false,
                handed_over: None,
                refused_by: None,
                asked: None,
                passed_over: BTreeSet::new(),
                hint_followed_at_ms: None,
            },
            not_before_ms: 0,
            known_epoch: Epoch::ZERO,
            released: None,
            held: HeldSubmits::default(),
            want_to_watch: BTreeMap::new(),
            damage_told_at_ms: None,
            due_at_ms: None,
        }
    }

    /// Returns the owner here, if it answers.
    pub fn open(&mut self) -> Option<(Life, &mut Active)> {
        match self.owner.as_mut()? {
            Owner { life, phase: Phase::Active(active), .. } if active.notice.is_open() => Some((*life, active)),
            _ => None,
        }
    }

    /// Returns the owner here, if it takes writes.
    pub fn taking(&mut self) -> Option<(Life, &mut Active)> {
        self.open().filter(|(_, active)| !active.is_stopping)
    }

    /// Tells whether this node owns the room, or may be about to.
    pub fn may_own(&self) -> bool {
        match &self.owner {
            Some(owner) => !matches!(owner.phase, Phase::Ending),
            None => self.search.running.is_some() || self.search.is_asked || self.search.handed_over.is_some(),
        }
    }

    pub fn has_writes(&self) -> bool {
        self.forwarding.as_ref().is_some_and(|forwarding| forwarding.unanswered() > 0)
    }

    /// Tells whether somebody here waits for an owner.
    pub fn wants_owner(&self) -> bool {
        self.readers > 0 || self.has_writes() || self.questions.any()
    }

    /// Tells whether nobody wants the room here.
    pub fn is_idle(&self, now_ms: u64) -> bool {
        self.readers == 0
            && self.shown.is_none()
            && self.owner.is_none()
            && !self.has_writes()
            && self.questions.is_empty()
            && self.search.running.is_none()
            && self.search.begins_at_ms.is_none()
            && self.held.is_empty()
            && self.want_to_watch.is_empty()
            && now_ms >= self.not_before_ms
    }

    /// Returns when time matters next for the room, in milliseconds.
    pub fn wakes_at_ms(&self, now_ms: u64) -> Option<u64> {
        let shown = self.shown.as_ref().and_then(|shown| shown.wakes_at_ms);
        let owner = self.owner.as_ref().and_then(|owner| match &owner.phase {
            Phase::Active(active) => active.notice.wakes_at_ms(),
            Phase::Activating(_) | Phase::Ending => None,
        });
        let forwarding = self.forwarding.as_ref().and_then(Forwarding::wakes_at_ms);
        let seeking = self.search.running.as_ref().and_then(|(_, seeking)| seeking.wakes_at_ms());
        let begins = self.search.begins_at_ms.filter(|_| self.search.running.is_none() && self.owner.is_none());
        let rest = Some(self.not_before_ms).filter(|&at_ms| at_ms > now_ms);
        let questions = self.questions.wakes_at_ms();
        [shown, owner, forwarding, questions, seeking, begins, rest].into_iter().flatten().min()
    }
}

impl Search {
    /// Wants a search, as soon as the last one lies far enough back.
    pub fn soon(&mut self, now_ms: u64) {
        let earliest = self.began_at_ms.map_or(now_ms, |at_ms| now_ms.max(at_ms + self.apart_ms));
        self.begins_at_ms = Some(self.begins_at_ms.map_or(earliest, |at_ms| at_ms.min(earliest)));
    }

    /// Wants a search at once.
    pub fn at_once(&mut self, now_ms: u64) {
        self.begins_at_ms = Some(now_ms);
    }

    /// A node is gone that may have owned the room: what was looked for in vain before says nothing of now.
    pub fn anew(&mut self, now_ms: u64) {
        self.apart_ms = SEEK_APART_MS;
        self.began_at_ms = None;
        self.begins_at_ms = self.begins_at_ms.map(|at_ms| at_ms.min(now_ms));
    }

    /// What was found has proved right.
    pub fn succeeded(&mut self) {
        self.apart_ms = SEEK_APART_MS;
        self.refused_by = None;
        self.asked = None;
        self.passed_over.clear();
    }
}
