//! An owner on this node, from its activation to its end: what Redis and other nodes are told of it, and who watches it.

use std::sync::Arc;

use rollcall_protocol::{Entry, RoomId, Seq};

use super::io::{Life, NodeEffect, OwnerEnd, OwnerEvent};
use super::node::{NodeCore, Turn};
use super::room::{Active, Owner, Phase, Room};
use crate::cluster::envelope::{Payload, SubmitReply};
use crate::cluster::forwarding::ForwardInput;
use crate::cluster::ownership::{ActivateWith, OwnedInput, Seeking};
use crate::cluster::replica::{self, OwnerAnswer};
use crate::cluster::{
    NodeRef, NoticeEffect, NoticeInput, Replaced, RoomStanding, TakeoverNotice, TrustInput, Watchers, WatchersEffect,
};
use crate::fencing::Buckets;
use crate::ports::{Fence, NodeId};
use crate::room::StopReason;

impl<T> NodeCore<T> {
    pub(super) fn start_owner(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, mut with: ActivateWith) {
        let life = self.next_life();
        with.handed_over = self.room(room).search.handed_over.take().or(with.handed_over);
        let owner = Owner { life, since_ms: turn.now_ms(), phase: Phase::Activating(with.clone()) };
        let state = self.room(room);
        state.search.begins_at_ms = None;
        state.search.is_asked = false;
        state.owner = Some(owner);
        turn.effects.push(NodeEffect::StartOwner { room: room.clone(), life, with });
    }

    pub(super) fn owner_event(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, life: Life, event: OwnerEvent) {
        // A write may have come to an owner that was gone already.
        if let OwnerEvent::Replied(replies) = event {
            return self.replied(turn, replies);
        }
        let owner = self.known_room(room).and_then(|state| state.owner.as_ref());
        if owner.is_none_or(|owner| owner.life != life) {
            return;
        }
        match event {
            OwnerEvent::Activated { fence, replaced, standing } => {
                self.activated(turn, room, fence, replaced, standing);
            }
            OwnerEvent::NotActivated => self.not_activated(turn, room),
            OwnerEvent::NoSpace => {
                let me = self.me.node.clone();
                self.room(room).search.passed_over.insert(me);
                self.not_activated(turn, room);
            }
            OwnerEvent::Committed { entries, floor, replies } => self.committed(turn, room, entries, floor, replies),
            OwnerEvent::Replied(replies) => self.replied(turn, replies),
            OwnerEvent::Stopped { reason } => self.ended(turn, room, OwnerEnd::Stopped(reason)),
            OwnerEvent::Lost => self.ended(turn, room, OwnerEnd::Lost),
        }
    }

    fn activated(
        &mut self,
        turn: &mut Turn<'_, T>,
        room: &RoomId,
        fence: Fence,
        replaced: Replaced,
        standing: RoomStanding,
    ) {
        let is_draining = self.draining.is_some();
        let state = self.room(room);
        let released = state.released.take();
        let Some(owner) = &mut state.owner else { return };
        let Phase::Activating(with) = &owner.phase else { return };
        let (with, life, since_ms) = (with.clone(), owner.life, owner.since_ms);
        let is_stored = standing.head > Seq::ZERO || matches!(replaced, Replaced::Fence(_));
        let mut effects = Vec::new();
        let released = with.handed_over.or(released);
        let notice = TakeoverNotice::new(room.clone(), fence.epoch, replaced, released, &mut effects);
        let watchers = Watchers::new(room.clone());
        let active = Active {
            fence,
            standing,
            watchers,
            notice,
            is_stored,
            is_stopping: is_draining,
            goes_to: None,
            is_watched: false,
        };
        owner.phase = Phase::Active(Box::new(active));
        let (epoch, last_seq) = (fence.epoch, standing.head);
        self.tell_owned(turn, OwnedInput::Activated { room: room.clone(), epoch, last_seq, with });
        self.tell_trust(turn, TrustInput::Owns { room: room.clone(), fence, since_ms, stored: is_stored });
        self.notice_wants(turn, room, life, effects);
        if is_draining {
            turn.effects.push(NodeEffect::StopOwner { room: room.clone(), life, goes_on: true });
        }
    }

    fn not_activated(&mut self, turn: &mut Turn<'_, T>, room: &RoomId) {
        let Some(Owner { phase: Phase::Activating(with), .. }) = self.room(room).owner.take() else { return };
        if let Some(claimed) = with.claimed {
            self.tell_owned(turn, OwnedInput::Abandoned { room: room.clone(), claimed });
        }
        self.drained(turn, room, false);
        self.refuse_held(turn, room, None);
        self.tell_forwarding(turn, room, ForwardInput::Owner(None));
        self.feed_replica(turn, room, replica::Input::Owner(OwnerAnswer::Unknown));
    }

    /// Tells the notice of a take-over something; nothing where it is of an earlier owner, or there is none.
    pub(super) fn tell_notice(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, to: Option<Life>, input: NoticeInput) {
        let Some(owner) = self.known_room(room).and_then(|state| state.owner.as_mut()) else { return };
        let life = owner.life;
        let Phase::Active(active) = &mut owner.phase else { return };
        if active.notice.is_open() || to.is_some_and(|to| to != life) {
            return;
        }
        let mut effects = Vec::new();
        active.notice.handle(turn.now_ms(), input, &mut effects);
        self.notice_wants(turn, room, life, effects);
    }

    fn notice_wants(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, life: Life, effects: Vec<NoticeEffect>) {
        for effect in effects {
            match effect {
                NoticeEffect::Insert(takeover) => turn.effects.push(NodeEffect::InsertTakeover { life, takeover }),
                NoticeEffect::Open => self.open(turn, room),
            }
        }
    }

    /// Answers from here on: joins, and the watches and writes that have waited. An owner that was fenced since it was activated,
    /// as the replica beside it has heard, answers nobody: what it would say lies behind what was shown already.
    fn open(&mut self, turn: &mut Turn<'_, T>, room: &RoomId) {
        let state = self.room(room);
        let heard_of = state.shown.as_ref().map(|shown| shown.replica.stored_epoch());
        if state.open().is_some_and(|(_, active)| heard_of > Some(active.fence.epoch)) {
            return self.stop_believing(turn, room, OwnerEnd::Stopped(StopReason::Fenced));
        }
        self.unshow(turn, room);
        let me = self.me.clone();
        let state = self.room(room);
        let Some((life, active)) = state.open() else { return };
        let standing = active.standing;
        turn.effects.push(NodeEffect::Open { room: room.clone(), life, standing });
        let state = self.room(room);
        state.search.succeeded();
        state.found = Some(me.clone());
        let want_to_watch = std::mem::take(&mut state.want_to_watch);
        let held = state.held.take();
        for (node, number) in want_to_watch {
            self.watch(turn, room, node, number);
        }
        for (from, submit) in held {
            self.submitted(turn, from, submit);
        }
        self.examine_waiting(turn, room);
        self.tell_forwarding(turn, room, ForwardInput::Owner(Some(me)));
        self.tell_subscribers(turn, room);
    }

    /// Says whether anybody relies on what the owner here says.
    pub(super) fn tell_subscribers(&mut self, turn: &mut Turn<'_, T>, room: &RoomId) {
        let Some(state) = self.known_room(room) else { return };
        let has_readers = state.readers > 0;
        let Some((life, active)) = state.open() else { return };
        let is_watched = active.watchers.nodes().next().is_some();
        let any = has_readers || is_watched;
        if std::mem::replace(&mut active.is_watched, is_watched) != is_watched {
            if is_watched {
                self.watched.insert(room.clone());
            } else {
                self.watched.remove(room);
            }
            turn.effects.push(NodeEffect::Watched { room: room.clone(), life, is_watched });
        }
        self.tell_trust(turn, TrustInput::Subscribers { room: room.clone(), any });
    }

    fn committed(
        &mut self,
        turn: &mut Turn<'_, T>,
        room: &RoomId,
        entries: Arc<[Entry]>,
        floor: Seq,
        replies: Vec<(NodeRef, SubmitReply)>,
    ) {
        let (me, now_ms) = (self.me.clone(), turn.now_ms());
        let (here, elsewhere): (Vec<_>, Vec<_>) = replies.into_iter().partition(|(node, _)| *node == me);
        let owner = self.room(room).owner.as_mut();
        match owner.map(|owner| &mut owner.phase) {
            Some(Phase::Active(active)) => {
                let last = entries.last().expect("a batch has at least one entry");
                let (epoch, seq) = (last.epoch, last.seq);
                active.standing = RoomStanding { epoch, head: seq, hash: last.hash, floor };
                let is_first = !std::mem::replace(&mut active.is_stored, true);
                let mut effects = Vec::new();
                active.watchers.committed(now_ms, entries, elsewhere, &mut effects);
                self.watchers_want(turn, room, effects);
                self.beacons.appended(now_ms, room, epoch, seq);
                if is_first {
                    self.tell_trust(turn, TrustInput::Stored(room.clone()));
                }
                if Buckets::STORED.last(Buckets::STORED.of(seq)) == seq {
                    self.tell_owned(turn, OwnedInput::Rolled { room: room.clone(), last_seq: seq });
                }
            }
            _ => self.replied(turn, elsewhere),
        }
        self.replied(turn, here);
    }

    fn replied(&mut self, turn: &mut Turn<'_, T>, replies: Vec<(NodeRef, SubmitReply)>) {
        for (to, reply) in replies {
            if to == self.me {
                self.tell_forwarding(turn, &reply.room.clone(), ForwardInput::Reply(reply));
            } else {
                turn.effects.push(NodeEffect::Send { to, payloads: vec![Payload::SubmitReply(reply)] });
            }
        }
    }

    /// Lets the owner here finish what it took, end, and give the room to another node.
    pub(super) fn move_owner(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, to: &NodeId) {
        let goes_to = self.peers.get(to).map(|peer| NodeRef::new(to.clone(), peer.record.incarnation));
        let Some(owner) = self.known_room(room).and_then(|state| state.owner.as_mut()) else { return };
        if let Phase::Active(active) = &mut owner.phase {
            active.goes_to = goes_to;
        }
        self.stop_owner(turn, room);
    }

    /// Lets the owner here finish what it took and end.
    pub(super) fn stop_owner(&mut self, turn: &mut Turn<'_, T>, room: &RoomId) {
        let has_next = self.next_owner(room).is_some();
        let Some(state) = self.known_room(room) else { return };
        let (wants_owner, has_held) = (state.wants_owner(), !state.held.is_empty());
        let Some(owner) = state.owner.as_mut() else { return };
        let life = owner.life;
        if let Phase::Active(active) = &mut owner.phase
            && !std::mem::replace(&mut active.is_stopping, true)
        {
            let is_wanted = wants_owner || has_held || active.watchers.nodes().next().is_some();
            let goes_on = active.goes_to.is_some() || has_next && is_wanted;
            turn.effects.push(NodeEffect::StopOwner { room: room.clone(), life, goes_on });
        }
    }

    /// The log shows that another activation has fenced the room, or does not say in time that none has.
    pub(super) fn stop_believing(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, end: OwnerEnd) {
        let Some(owner) = self.known_room(room).and_then(|state| state.owner.as_mut()) else { return };
        let life = owner.life;
        if let Phase::Active(active) = std::mem::replace(&mut owner.phase, Phase::Ending) {
            self.released(turn, room, *active, end);
            turn.effects.push(NodeEffect::StopOwner { room: room.clone(), life, goes_on: true });
        }
    }

    fn ended(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, end: OwnerEnd) {
        let Some(owner) = self.room(room).owner.take() else { return };
        let is_handed_over = match owner.phase {
            Phase::Active(active) => self.released(turn, room, *active, end),
            Phase::Activating(_) | Phase::Ending => false,
        };
        self.drained(turn, room, is_handed_over);
        let state = self.room(room);
        if state.wants_owner() && state.found.is_none() {
            state.search.soon(turn.now_ms());
        }
    }

    /// Tells everybody that the room is not owned here any more, and shows it if it is read here. Returns whether another node was
    /// asked to activate it.
    fn released(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, active: Active, end: OwnerEnd) -> bool {
        let (me, now_ms) = (self.me.clone(), turn.now_ms());
        let Active { fence, standing, mut watchers, is_stored, goes_to, .. } = active;
        self.watched.remove(room);
        let state = self.room(room);
        match end {
            // Where the log is damaged another node may be luckier; this one does not hurry.
            OwnerEnd::Stopped(StopReason::Fenced | StopReason::Damaged) | OwnerEnd::Yielded => {
                state.not_before_ms = Seeking::after_fence(now_ms, turn.draw(fence.epoch.get()));
            }
            OwnerEnd::Stopped(StopReason::Drained) => state.released = Some(fence),
            OwnerEnd::Stopped(StopReason::OutcomeUnknown) | OwnerEnd::Lost => {}
        }
        if is_stored {
            state.known_epoch = fence.epoch;
        }
        state.found = None;
        let is_wanted = state.wants_owner() || !state.held.is_empty() || watchers.nodes().next().is_some();
        let next = goes_to.or_else(|| self.next_owner(room).filter(|_| is_wanted));
        let next = next.filter(|_| end == OwnerEnd::Stopped(StopReason::Drained));
        if let Some(next) = next.clone() {
            let watch = self.watch_of_hand_over(room);
            let room = room.clone();
            let payload = if is_stored { Payload::HandOver { room, fence } } else { Payload::Activate(room) };
            let payloads = std::iter::once(payload).chain(watch).collect();
            turn.effects.push(NodeEffect::Send { to: next, payloads });
        }
        let mut effects = Vec::new();
        watchers.release(next.as_ref(), &mut effects);
        self.watchers_want(turn, room, effects);
        self.beacons.released(now_ms, room);
        self.tell_owned(turn, OwnedInput::GivenUp { room: room.clone(), last_seq: standing.head });
        self.tell_trust(turn, TrustInput::Left(room.clone()));
        turn.effects.push(NodeEffect::Closed { room: room.clone(), end });
        self.refuse_held(turn, room, next.as_ref());
        self.room(room).found.clone_from(&next);
        self.tell_forwarding(turn, room, ForwardInput::NotOwner { from: me });
        if next.is_some() {
            self.tell_forwarding(turn, room, ForwardInput::Owner(next.clone()));
        }
        self.show_if_read(turn, room);
        self.tell_replica_of_owner(turn, room);
        let is_handed_over = next.is_some();
        if let Some(by) = next {
            // Nobody need be looked for.
            self.feed_replica(turn, room, replica::Input::Owner(OwnerAnswer::Owned { by, epoch: fence.epoch }));
            self.room(room).search.begins_at_ms = None;
        }
        is_handed_over
    }

    /// Returns the node that a room which is given up should go to: only where this one takes no rooms.
    fn next_owner(&self, room: &RoomId) -> Option<NodeRef> {
        let node = self.peers.preferred(room, false, |_| true).filter(|_| self.draining.is_some())?;
        let peer = self.peers.get(node)?;
        Some(NodeRef::new(node.clone(), peer.record.incarnation))
    }

    /// Takes a watch: of an owner that does not answer yet it waits, elsewhere it is refused.
    pub(super) fn watch(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, from: NodeRef, number: u64) {
        let now_ms = turn.now_ms();
        if !self.rooms.contains_key(room) {
            return self.refuse(turn, room, from, None);
        }
        let state = self.room(room);
        let may_own = state.may_own();
        let found = state.found.clone();
        if let Some((_, active)) = state.open() {
            let mut effects = Vec::new();
            active.watchers.watch(now_ms, from, number, active.standing, &mut effects);
            self.watchers_want(turn, room, effects);
            self.tell_subscribers(turn, room);
        } else if may_own {
            state.want_to_watch.insert(from, number);
        } else {
            self.refuse(turn, room, from, found);
        }
    }

    pub(super) fn unwatched(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, from: &NodeRef, number: u64) {
        let Some(state) = self.known_room(room) else { return };
        state.want_to_watch.remove(from);
        let Some((_, active)) = state.open() else { return };
        let mut effects = Vec::new();
        active.watchers.unwatch(from, number, &mut effects);
        self.watchers_want(turn, room, effects);
        self.tell_subscribers(turn, room);
    }

    pub(super) fn watcher_gone(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, node: &NodeRef) {
        let Some((_, active)) = self.known_room(room).and_then(|state| state.open()) else { return };
        let mut effects = Vec::new();
        active.watchers.node_gone(node, &mut effects);
        self.watchers_want(turn, room, effects);
        self.tell_subscribers(turn, room);
    }

    pub(super) fn expire_watchers(&mut self, turn: &mut Turn<'_, T>) {
        let now_ms = turn.now_ms();
        let mut changed = Vec::new();
        for room in &self.watched {
            let Some((_, active)) = self.rooms.get_mut(room).and_then(Room::open) else { continue };
            let mut effects = Vec::new();
            active.watchers.expire(now_ms, &mut effects);
            // The last one may have been dropped by a commit.
            if !effects.is_empty() || active.watchers.nodes().next().is_none() {
                changed.push((room.clone(), effects));
            }
        }
        for (room, effects) in changed {
            self.watchers_want(turn, &room, effects);
            self.tell_subscribers(turn, &room);
        }
    }

    fn watchers_want(&mut self, turn: &mut Turn<'_, T>, room: &RoomId, effects: Vec<WatchersEffect>) {
        for effect in effects {
            match effect {
                WatchersEffect::Publish { batch, to } => turn.effects.push(NodeEffect::Publish { batch, to }),
                WatchersEffect::Send { to, payloads } => turn.effects.push(NodeEffect::Send { to, payloads }),
                WatchersEffect::Watched(by) => {
                    if let Some((_, active)) = self.room(room).open() {
                        let RoomStanding { epoch, head, .. } = active.standing;
                        self.beacons.watched(turn.now_ms(), &by, room, epoch, head);
                    }
                }
                WatchersEffect::Unwatched(by) => self.beacons.unwatched(&by, room),
            }
        }
    }
}
