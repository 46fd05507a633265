//! Whom a replica watches, and whether it may rely on that.

use rollcall_protocol::{Epoch, Hash, Seq};

use super::{Effect, OwnerAnswer, Replica, StopReason};
use crate::cluster::node::NodeRef;

/// A confirmed watch is renewed after this long, in milliseconds.
pub const WATCH_RENEW_MS: u64 = 5_000;

/// A watch that is not confirmed is sent again after this long, in milliseconds.
const WATCH_RETRY_MS: u64 = 1_000;

/// The owner keeps a watch for [`WATCH_EXPIRES_MS`](crate::cluster::WATCH_EXPIRES_MS) after it came; this node relies on it for a
/// second less after it was sent, in milliseconds.
const RELIED_ON_MS: u64 = 14_000;

/// An owner that was watched so far has this long to confirm another watch before it is looked for elsewhere, in milliseconds.
const OWNER_PATIENCE_MS: u64 = 300;

/// The owner is looked for after this long, then after twice as long, in milliseconds.
const LOOKUP_APART_MS: u64 = 100;
const LOOKUP_APART_MS_MAX: u64 = 1_000;

/// A node that is asked to activate the room, or may be about to, is watched after this long, in milliseconds.
const ACTIVATION_MS: u64 = 100;

/// A hint is followed at most this often, in milliseconds: two nodes may each take the other for the owner.
const HINT_APART_MS: u64 = 1_000;

#[derive(Debug)]
pub(super) struct Watching {
    /// Where the room is watched or about to be.
    at: Option<NodeRef>,
    /// The number of the last watch that was sent.
    number: u64,
    /// The first watch that was sent since the last confirmation or the last doubt, and when: a confirmation of it or of a later
    /// one counts.
    unconfirmed: Option<(u64, u64)>,
    send_at_ms: u64,
    /// Until when the watch is relied on; none while in doubt.
    relied_on_until_ms: Option<u64>,
    looked_up_at_ms: Option<u64>,
    look_up_at_ms: u64,
    look_up_apart_ms: u64,
    /// Who has said that it is not the owner, since the owner was last found out.
    refused_by: Option<NodeRef>,
    hint_followed_at_ms: Option<u64>,
}

impl Watching {
    pub fn new(watches_after: u64, now_ms: u64) -> Self {
        Self {
            at: None,
            number: watches_after,
            unconfirmed: None,
            send_at_ms: now_ms,
            relied_on_until_ms: None,
            looked_up_at_ms: None,
            look_up_at_ms: now_ms,
            look_up_apart_ms: LOOKUP_APART_MS,
            refused_by: None,
            hint_followed_at_ms: None,
        }
    }

    pub fn is_confirmed(&self) -> bool {
        self.relied_on_until_ms.is_some()
    }

    pub fn confirmed_at(&self) -> Option<&NodeRef> {
        self.at.as_ref().filter(|_| self.is_confirmed())
    }

    pub fn due_ms(&self) -> u64 {
        let sends = self.at.is_some().then_some(self.send_at_ms);
        let otherwise = self.relied_on_until_ms.unwrap_or(self.look_up_at_ms);
        sends.map_or(otherwise, |at| at.min(otherwise))
    }

    pub fn end(&mut self, effects: &mut Vec<Effect>) {
        if let Some(at) = self.at.take() {
            effects.push(Effect::Unwatch { at, number: self.number });
        }
    }

    /// Watches at another node from `from_ms` on.
    fn move_to(&mut self, at: NodeRef, from_ms: u64, effects: &mut Vec<Effect>) {
        if self.at.as_ref() != Some(&at) {
            self.end(effects);
            self.at = Some(at);
            self.unconfirmed = None;
        }
        self.send_at_ms = from_ms;
    }

    /// Takes a confirmation; tells whether it ends the doubt or renews the watch.
    fn confirm(&mut self, now_ms: u64, number: u64) -> bool {
        let Some((_, sent_at_ms)) = self.unconfirmed.filter(|&(first, _)| (first..=self.number).contains(&number))
        else {
            return false;
        };
        self.unconfirmed = None;
        self.send_at_ms = now_ms + WATCH_RENEW_MS;
        self.relied_on_until_ms = Some(sent_at_ms + RELIED_ON_MS);
        self.look_up_apart_ms = LOOKUP_APART_MS;
        self.refused_by = None;
        true
    }

    /// Looks for the owner as soon as the last search lies far enough back.
    fn look_up_soon(&mut self, now_ms: u64) {
        let earliest = self.looked_up_at_ms.map_or(0, |at| at + self.look_up_apart_ms);
        self.look_up_at_ms = now_ms.max(earliest);
    }
}

impl Replica {
    /// Something may have been lost: only a watch that is sent from now on counts.
    pub(super) fn doubt(&mut self, now_ms: u64) {
        self.watching.unconfirmed = None;
        self.watching.send_at_ms = now_ms;
        if self.watching.relied_on_until_ms.take().is_some() {
            self.watching.look_up_at_ms = now_ms + OWNER_PATIENCE_MS;
            self.reading.begin_polling(now_ms);
        }
    }

    /// The owner is another, or none, now.
    fn doubt_owner(&mut self, now_ms: u64) {
        if self.watching.is_confirmed() {
            self.doubt(now_ms);
        }
        self.watching.look_up_soon(now_ms);
    }

    /// Compares the epoch of what a node sent with the highest that was seen; of a lower one nothing is taken.
    pub(super) fn is_current(&mut self, now_ms: u64, from: &NodeRef, epoch: Epoch) -> bool {
        let is_watched = self.watching.at.as_ref() == Some(from);
        if epoch < self.epoch && is_watched && self.watching.is_confirmed() {
            self.doubt_owner(now_ms);
        }
        if epoch > self.epoch {
            self.learn_epoch(now_ms, epoch, is_watched);
        }
        epoch >= self.epoch
    }

    /// Returns the epoch of an owner whose head is this, as it counts: one that has stored nothing has fenced nobody, and its epoch
    /// says nothing of others.
    pub(super) fn epoch_of(&self, epoch: Epoch, head: Seq) -> Epoch {
        if head > Seq::ZERO || epoch == self.epoch { epoch } else { Epoch::ZERO }
    }

    /// Learns of a higher epoch, from the owner that is watched or from elsewhere.
    pub(super) fn learn_epoch(&mut self, now_ms: u64, epoch: Epoch, from_watched: bool) {
        if epoch > self.epoch {
            self.epoch = epoch;
            if !from_watched && self.watching.is_confirmed() {
                self.doubt_owner(now_ms);
            }
        }
    }

    /// Whoever owned the room may not know that it does so no more, and would go on to say that nothing was lost.
    pub(super) fn taken_over(&mut self, now_ms: u64, epoch: Epoch) {
        if epoch > self.epoch {
            self.epoch = epoch;
            self.doubt_owner(now_ms);
            self.reading.read_tail_at_once(now_ms);
        }
    }

    pub(super) fn confirmed(
        &mut self,
        now_ms: u64,
        from: &NodeRef,
        number: u64,
        epoch: Epoch,
        effects: &mut Vec<Effect>,
        (head, hash, floor): (Seq, Hash, Seq),
    ) {
        let stored = self.epoch_of(epoch, head);
        if self.watching.at.as_ref() != Some(from) || !self.is_current(now_ms, from, stored) {
            return;
        }
        self.unstored_epoch = epoch;
        self.floor = self.floor.max(floor);
        self.learn_standing(now_ms, stored, head, effects);
        if self.head() == Some(head) {
            if self.hash.is_some_and(|known| known != hash) {
                return self.stop(StopReason::Diverged, effects);
            }
            self.hash = Some(hash);
        }
        if self.watching.confirm(now_ms, number) {
            self.reading.end_polling();
        }
    }

    pub(super) fn owner_told(&mut self, now_ms: u64, answer: OwnerAnswer, effects: &mut Vec<Effect>) {
        let is_confirmed = self.watching.is_confirmed();
        match answer {
            // Whoever confirms the watch is the owner, whatever is written elsewhere, unless that is newer.
            OwnerAnswer::Owned { epoch, .. } if is_confirmed && epoch <= self.epoch => {}
            OwnerAnswer::Nobody { .. } | OwnerAnswer::Unknown if is_confirmed => {}
            OwnerAnswer::Owned { by, .. } => {
                if is_confirmed && self.watching.at.as_ref() != Some(&by) {
                    self.doubt(now_ms);
                }
                if by == self.me {
                    self.promote(effects);
                } else if self.watching.refused_by.take_if(|refused| *refused == by).is_some() {
                    self.ask_to_activate(now_ms, by, effects);
                } else if self.watching.at.as_ref() != Some(&by) {
                    self.watching.move_to(by, now_ms, effects);
                }
            }
            OwnerAnswer::Nobody { preferred } => {
                self.reading.begin_at_once(now_ms, self.buffer.is_some());
                if preferred == self.me {
                    self.promote(effects);
                } else {
                    self.ask_to_activate(now_ms, preferred, effects);
                }
            }
            OwnerAnswer::Unknown => self.reading.begin_at_once(now_ms, self.buffer.is_some()),
        }
    }

    fn promote(&mut self, effects: &mut Vec<Effect>) {
        if self.readers > 0 {
            effects.push(Effect::Promote);
        }
    }

    fn ask_to_activate(&mut self, now_ms: u64, node: NodeRef, effects: &mut Vec<Effect>) {
        if self.readers > 0 {
            effects.push(Effect::AskToActivate(node.clone()));
        }
        self.watching.move_to(node, now_ms + ACTIVATION_MS, effects);
    }

    pub(super) fn not_owner(&mut self, now_ms: u64, from: &NodeRef, hint: Option<NodeRef>, effects: &mut Vec<Effect>) {
        if self.watching.at.as_ref() == Some(from) {
            self.watching.refused_by = Some(from.clone());
            self.leave(now_ms, from, hint, effects);
        }
    }

    /// Looks for the owner at once: what was looked for in vain before says nothing of now.
    pub(super) fn node_gone(&mut self, now_ms: u64, node: &NodeRef, effects: &mut Vec<Effect>) {
        if self.watching.at.as_ref() == Some(node) {
            self.watching.looked_up_at_ms = None;
            self.watching.look_up_apart_ms = LOOKUP_APART_MS;
            self.leave(now_ms, node, None, effects);
        }
    }

    /// Watches no more at a node that does not own the room or does not live; perhaps at another at once.
    pub(super) fn leave(&mut self, now_ms: u64, node: &NodeRef, hint: Option<NodeRef>, effects: &mut Vec<Effect>) {
        if self.watching.at.as_ref() != Some(node) {
            return;
        }
        self.doubt_owner(now_ms);
        self.watching.end(effects);
        let may_follow = self.watching.hint_followed_at_ms.is_none_or(|at| now_ms >= at + HINT_APART_MS);
        self.watching.at = hint.filter(|hint| may_follow && *hint != self.me && hint != node);
        self.watching.unconfirmed = None;
        if self.watching.at.is_some() {
            self.watching.hint_followed_at_ms = Some(now_ms);
            self.watching.send_at_ms = now_ms;
            self.watching.look_up_at_ms = now_ms + OWNER_PATIENCE_MS;
        }
    }

    pub(super) fn go_on_watching(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        if self.watching.relied_on_until_ms.is_some_and(|until| now_ms >= until) {
            self.doubt(now_ms);
        }
        let watching = &mut self.watching;
        if !watching.is_confirmed() && now_ms >= watching.look_up_at_ms {
            effects.push(Effect::FindOwner);
            watching.looked_up_at_ms = Some(now_ms);
            watching.look_up_at_ms = now_ms + watching.look_up_apart_ms;
            watching.look_up_apart_ms = (watching.look_up_apart_ms * 2).min(LOOKUP_APART_MS_MAX);
        }
        if let Some(at) = watching.at.clone().filter(|_| now_ms >= watching.send_at_ms) {
            watching.number += 1;
            watching.unconfirmed.get_or_insert((watching.number, now_ms));
            watching.send_at_ms = now_ms + WATCH_RETRY_MS;
            effects.push(Effect::Watch { at, number: watching.number });
        }
    }
}
