//! A replica: a room on a node that shows it and does not own it.
//!
//! ```text
//!                Readers, Owner, NodeGone…         FindOwner, AskToActivate, Promote ─▶ ownership
//! the node ───────────────────────────▶ Replica   Watch, Unwatch ─────────────────▶ the owner
//! the owner ──────────────────────────▶ ::handle  ReadTail, ReadEntries ──────────▶ the log
//!                Confirmed, NotOwner, Batch        Begin, Deliver ─────────────────▶ whoever reads
//! its link ───────────────────────────▶            ArmTimer, Stop
//!                Head, GapPossible
//! the log ────────────────────────────▶
//!                Tail, Entries
//! ```
//!
//! What an owner sends is committed, but may be lost, repeated or late; only the log is sure. So a replica is always in one of two
//! states. Its watch is *confirmed*: the owner sends every batch, and the numbers of its beacons tell when one may have been lost.
//! Or it is in *doubt*: it reads the log's tail, within half a second and then each second, and watches anew, until a watch that
//! was sent after the doubt began is confirmed with the owner's head. What is found to be missing is read from the log.

mod io;
mod reading;
mod watching;

use std::sync::Arc;

use rollcall_protocol::{DeliveryBuffer, Entry, Epoch, Hash, RoomId, Seq, hash};

pub use self::io::{Effect, Input, OwnerAnswer, StopReason};
use self::reading::Reading;
use self::watching::Watching;
use super::node::NodeRef;

/// A replica that nobody reads is kept for this long, in milliseconds: somebody who reconnects finds it.
pub const REPLICA_LINGER_MS: u64 = 5_000;

/// Entries that a replica holds while one before them is missing; what does not fit is read from the log in its turn.
pub const HELD_ENTRIES_MAX: usize = 1_024;

/// Size of their bodies, in bytes.
pub const HELD_BYTES_MAX: usize = 1024 * 1024;

/// A room on a node that shows it. Times are milliseconds of a clock that never goes back.
#[derive(Debug)]
pub struct Replica {
    room: RoomId,
    me: NodeRef,
    readers: usize,
    /// Since when nobody reads it.
    idle_since: Option<u64>,
    /// The highest that was seen anywhere of an owner whose fence is stored.
    epoch: Epoch,
    /// That of an owner who has stored nothing: others may have a lower one and be no older.
    unstored_epoch: Epoch,
    /// The first number whose body is still kept, as far as an owner or the log told.
    floor: Seq,
    /// None until a head is known.
    buffer: Option<DeliveryBuffer<Entry>>,
    /// Size of the bodies that the buffer holds.
    held_bytes: usize,
    /// The hash of the last entry that was shown, once one was.
    hash: Option<Hash>,
    /// The highest number that was heard of before the room began to be shown.
    heard_of: Seq,
    watching: Watching,
    reading: Reading,
    armed: Option<u64>,
    stopped: bool,
}

impl Replica {
    /// Makes the replica of a room on the node `me`, at the time `now_ms`. Its watches are numbered above `watches_after`, which
    /// must not be less than any number of an earlier replica of this room in the node's present life.
    pub fn new(room: RoomId, me: NodeRef, watches_after: u64, now_ms: u64) -> Self {
        let spread_ms = spread_ms(&room);
        Self {
            room,
            me,
            readers: 0,
            idle_since: Some(now_ms),
            epoch: Epoch::ZERO,
            unstored_epoch: Epoch::ZERO,
            floor: Seq::FIRST,
            buffer: None,
            held_bytes: 0,
            hash: None,
            heard_of: Seq::ZERO,
            watching: Watching::new(watches_after, now_ms),
            reading: Reading::new(spread_ms, now_ms),
            armed: None,
            stopped: false,
        }
    }

    /// Takes one input at the time `now_ms` and appends what is to be done to `effects`.
    pub fn handle(&mut self, now_ms: u64, input: Input, effects: &mut Vec<Effect>) {
        if self.stopped {
            return;
        }
        match input {
            Input::Readers(count) => self.count_readers(now_ms, count),
            Input::Expect(seq) => self.expect(now_ms, seq),
            Input::Owner(answer) => self.owner_told(now_ms, answer, effects),
            Input::NodeGone(node) => self.node_gone(now_ms, &node, effects),
            Input::TakenOver(epoch) => self.taken_over(now_ms, epoch),
            Input::NotOwner { from, hint } => self.not_owner(now_ms, &from, hint, effects),
            Input::Confirmed { from, number, epoch, head, hash, floor } => {
                self.confirmed(now_ms, &from, number, epoch, effects, (head, hash, floor));
            }
            Input::Batch { from, entries } => self.batch(now_ms, &from, &entries, effects),
            Input::Head { from, epoch, head } => {
                if self.is_current(now_ms, &from, self.epoch_of(epoch, head)) {
                    self.learn_head(now_ms, head);
                }
            }
            Input::GapPossible => self.doubt(now_ms),
            Input::Tail { read, result } => self.tail_read(now_ms, read, result.ok(), effects),
            Input::Entries { read, result } => self.entries_read(now_ms, read, result, effects),
            Input::Tick => {}
        }
        self.go_on(now_ms, effects);
    }

    /// Returns the last number that was shown; none before the room began to be.
    pub fn head(&self) -> Option<Seq> {
        self.buffer.as_ref().map(DeliveryBuffer::cursor)
    }

    /// Returns the hash of the head, where it is known.
    pub fn hash(&self) -> Option<Hash> {
        self.hash
    }

    /// Returns the epoch of the room's owner, as far as is known here.
    pub fn epoch(&self) -> Epoch {
        if self.epoch > Epoch::ZERO { self.epoch } else { self.unstored_epoch }
    }

    /// Returns the highest epoch that was seen of an owner whose fence is stored: nobody of a lower one owns the room.
    pub fn stored_epoch(&self) -> Epoch {
        self.epoch
    }

    /// Returns the first number whose body is still kept, as far as is known here.
    pub fn floor(&self) -> Seq {
        self.floor
    }

    /// Returns the node at which the room is watched, if that is confirmed: what it sends is complete but for what its beacons
    /// show to be lost.
    pub fn confirmed_at(&self) -> Option<&NodeRef> {
        self.watching.confirmed_at()
    }

    /// Returns how many entries are held because one before them is missing.
    pub fn held(&self) -> usize {
        self.buffer.as_ref().map_or(0, DeliveryBuffer::held)
    }

    fn count_readers(&mut self, now_ms: u64, count: usize) {
        self.readers = count;
        self.idle_since = match self.idle_since {
            _ if count > 0 => None,
            None => Some(now_ms),
            since => since,
        };
    }

    /// Does whatever is due, and asks to be woken when the next is.
    fn go_on(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        if !self.stopped && self.idle_since.is_some_and(|since| now_ms >= since + REPLICA_LINGER_MS) {
            self.stop(StopReason::Idle, effects);
        }
        if self.stopped {
            return;
        }
        self.go_on_watching(now_ms, effects);
        self.go_on_reading(now_ms, effects);
        let idle = self.idle_since.map(|since| since + REPLICA_LINGER_MS);
        let due = [idle, Some(self.watching.due_ms()), self.reading_due_ms()].into_iter().flatten().min();
        if due != self.armed {
            self.armed = due;
            effects.extend(due.map(Effect::ArmTimer));
        }
    }

    fn stop(&mut self, reason: StopReason, effects: &mut Vec<Effect>) {
        self.watching.end(effects);
        self.stopped = true;
        effects.push(Effect::Stop(reason));
    }

    /// Takes a batch of an owner in.
    fn batch(&mut self, now_ms: u64, from: &NodeRef, entries: &Arc<[Entry]>, effects: &mut Vec<Effect>) {
        let Some((first, last)) = entries.first().zip(entries.last()) else { return };
        if !self.is_current(now_ms, from, first.epoch) {
            return;
        }
        if !is_whole(entries) {
            // Damaged on the way. The log has what it should have been.
            return self.doubt(now_ms);
        }
        if self.buffer.is_none() {
            self.heard_of = self.heard_of.max(last.seq);
            return;
        }
        self.take_in(entries, effects);
        self.note_missing(now_ms);
    }

    /// Puts entries in their places, and shows those whose turn it is.
    fn take_in(&mut self, entries: &[Entry], effects: &mut Vec<Effect>) {
        let Some(buffer) = &mut self.buffer else { return };
        let mut ready = Vec::new();
        for entry in entries {
            let bytes = entry.weight_bytes();
            let is_next = entry.seq == buffer.cursor().next();
            let fits = buffer.held() < HELD_ENTRIES_MAX && self.held_bytes + bytes <= HELD_BYTES_MAX;
            if !is_next && !fits {
                buffer.learn_head(entry.seq);
                continue;
            }
            if buffer.insert(entry.seq, entry.clone()) == rollcall_protocol::Inserted::Held {
                self.held_bytes += bytes;
            }
            while let Some((_, entry)) = buffer.pop() {
                self.held_bytes -= entry.weight_bytes();
                ready.push(entry);
            }
        }
        if !self.builds_on_what_was_shown(&ready) {
            return self.stop(StopReason::Diverged, effects);
        }
        if let Some(last) = ready.last() {
            self.hash = Some(last.hash);
            effects.push(Effect::Deliver(ready.into()));
        }
    }

    fn builds_on_what_was_shown(&self, ready: &[Entry]) -> bool {
        let shown = self.hash.zip(ready.first()).is_none_or(|(hash, first)| first.expected_hash(hash) == first.hash);
        shown && ready.windows(2).all(|pair| pair[1].expected_hash(pair[0].hash) == pair[1].hash)
    }

    /// Learns that the room is at least this far.
    fn learn_head(&mut self, now_ms: u64, head: Seq) {
        match &mut self.buffer {
            Some(buffer) => buffer.learn_head(head),
            None => self.heard_of = self.heard_of.max(head),
        }
        self.note_missing(now_ms);
    }

    /// Learns where the room stands from somebody who knows, and begins to show it, unless that was done.
    fn learn_standing(&mut self, now_ms: u64, epoch: Epoch, head: Seq, effects: &mut Vec<Effect>) {
        self.epoch = self.epoch.max(epoch);
        if self.buffer.is_none() {
            self.begin(head, effects);
            let heard_of = self.heard_of;
            self.learn_head(now_ms, heard_of);
        }
        self.learn_head(now_ms, head);
    }

    /// Begins to show the room after `head`.
    fn begin(&mut self, head: Seq, effects: &mut Vec<Effect>) {
        self.buffer = Some(empty_buffer(head));
        self.held_bytes = 0;
        self.hash = (head == Seq::ZERO).then(|| hash::genesis(&self.room));
        effects.push(Effect::Begin { epoch: self.epoch(), head });
    }
}

/// Tells whether entries that came over the bus are what was committed, each by itself and one after the other.
fn is_whole(entries: &[Entry]) -> bool {
    let content = |entry: &Entry| entry.expected_content_hash().is_none_or(|expected| expected == entry.content_hash);
    let chain = |pair: &[Entry]| pair[1].expected_hash(pair[0].hash) == pair[1].hash;
    entries.iter().all(content) && entries.windows(2).all(chain)
}

/// Makes a buffer that has room for the next entry even where it holds as many as it may.
fn empty_buffer(cursor: Seq) -> DeliveryBuffer<Entry> {
    DeliveryBuffer::new(cursor, HELD_ENTRIES_MAX + 1)
}

/// Spreads the reads of many rooms that fall in doubt together, by the rooms' names.
fn spread_ms(room: &RoomId) -> u64 {
    let Hash(digest) = hash::genesis(room);
    u64::from(u16::from_be_bytes([digest[0], digest[1]])) % reading::SPREAD_MS
}

#[cfg(test)]
mod tests;
