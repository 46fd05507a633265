//! When an owner may trust its own tail: while it could not have been fenced unseen. A lease does not show that, since Redis may
//! give a room away that is still alive; the log's `takeovers` do.
//!
//! A read of the last takeovers says of every room of this node that nobody took it up to when the read was sent. Each read goes
//! back far enough to join the one before it, so together they cover all time since a room was activated, or since its fence was
//! last read. Where that chain breaks, or grows old, the fence of each room that somebody reads here is read each second. An owner of
//! which somebody says that it is one no more reads its fence at once; where the log does not answer, it yields.

use std::collections::{BTreeMap, BTreeSet};

use rollcall_protocol::{Epoch, RoomId};

use crate::ports::Takeover;
use crate::ports::{Fence, LogTail};

mod io;
#[cfg(test)]
mod tests;

pub use io::{TrustEffect, TrustInput};

/// How old the last read of the takeovers and the last renewal of the lease may be, in milliseconds, from when they were sent.
pub const TRUST_MS: u64 = 2_000;

/// An owner that is said to be one no more, or that has stored nothing and so has fenced nobody, yields where the log does not say for
/// this long that it is the owner, in milliseconds: it would keep its readers from what another commits, and refuse writes by what it
/// knows no longer.
pub const YIELDS_AFTER_MS: u64 = 2_000;

/// How often takeovers are read, and the fences of rooms that are not trusted, in milliseconds.
pub const READ_EVERY_MS: u64 = 1_000;

/// How much of the past a read of the takeovers asks for, in milliseconds.
pub const TAKEOVERS_READ_MS: u64 = 60_000;

/// How much of the past it covers for certain, in milliseconds: the clocks of two nodes may be 10 s apart.
const COVERS_MS: u64 = TAKEOVERS_READ_MS - 10_000;

/// Reads of the takeovers that are under way at most: while the log is slow they are sent all the same.
const TAKEOVER_READS_MAX: usize = 3;

/// Reads of fences that are under way at most.
const FENCE_READS_MAX: usize = 64;

/// What a node knows of its rooms' fences.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Trust {
    renewed_at_ms: Option<u64>,
    /// The time for which takeovers are known, without a gap.
    known: Option<Span>,
    read_next_at_ms: u64,
    reads: BTreeSet<u64>,
    owned: BTreeMap<RoomId, OwnedRoom>,
    watched: BTreeMap<RoomId, Epoch>,
    /// When the fences of rooms are to be read.
    due: BTreeSet<(u64, RoomId)>,
    /// When owners yield that are in doubt.
    yields: BTreeSet<(u64, RoomId)>,
    fence_reads: usize,
    last_number: u64,
    /// Whether the node's trust had not ended when time was last looked at.
    was_trusted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Span {
    from_ms: u64,
    to_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Read {
    number: u64,
    sent_at_ms: u64,
    /// The room was doubted since.
    is_outdated: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct OwnedRoom {
    fence: Fence,
    stored: bool,
    /// Since when somebody reads it here.
    read_since_ms: Option<u64>,
    /// Up to then nobody else owned the room.
    proved_at_ms: u64,
    /// Since when somebody says that another one does; a read that is sent from then on shows it.
    doubted_at_ms: Option<u64>,
    /// When the fence was last asked for; none before, and where it is to be asked for at once.
    asked_at_ms: Option<u64>,
    in_flight: Option<Read>,
    due_at_ms: Option<u64>,
    /// When it yields unless the log answers.
    yields_at_ms: Option<u64>,
}

impl OwnedRoom {
    fn must_yield_at_ms(&self) -> Option<u64> {
        let unproved = self.read_since_ms.filter(|_| !self.stored).map(|since_ms| since_ms.max(self.proved_at_ms));
        let since_ms = [self.doubted_at_ms, unproved].into_iter().flatten().min();
        since_ms.map(|since_ms| since_ms + YIELDS_AFTER_MS)
    }
}

impl Trust {
    /// Begins with no rooms, and no trust.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells whether the owner of a room may answer from its own tail, as far as others are concerned who might have fenced it.
    #[cfg(test)]
    fn is_trusted(&self, now_ms: u64, room: &RoomId) -> bool {
        self.owned.get(room).is_some_and(|owned| self.trusts(now_ms, owned))
    }

    /// Takes one input at the time `now_ms` of the monotonic clock and appends what is to be done to `effects`.
    pub fn handle(&mut self, now_ms: u64, input: TrustInput, effects: &mut Vec<TrustEffect>) {
        match input {
            TrustInput::Tick => {}
            TrustInput::Renewed { sent_at_ms } => {
                self.renewed_at_ms = self.renewed_at_ms.max(Some(sent_at_ms));
            }
            TrustInput::LeaseLost => self.renewed_at_ms = None,
            TrustInput::TakeoversRead { sent_at_ms, rows } => self.takeovers_read(now_ms, sent_at_ms, rows, effects),
            TrustInput::Owns { room, fence, since_ms, stored } => {
                self.leave(&room);
                self.owned.insert(
                    room,
                    OwnedRoom {
                        fence,
                        stored,
                        read_since_ms: None,
                        proved_at_ms: since_ms,
                        doubted_at_ms: None,
                        asked_at_ms: None,
                        in_flight: None,
                        due_at_ms: None,
                        yields_at_ms: None,
                    },
                );
            }
            TrustInput::Stored(room) => {
                if let Some(owned) = self.owned.get_mut(&room) {
                    owned.stored = true;
                }
                self.plan(now_ms, &room);
            }
            TrustInput::Watches { room, epoch } => {
                self.leave(&room);
                self.watched.insert(room, epoch);
            }
            TrustInput::Left(room) => self.leave(&room),
            TrustInput::Subscribers { room, any } => {
                if let Some(owned) = self.owned.get_mut(&room) {
                    owned.read_since_ms = any.then(|| owned.read_since_ms.unwrap_or(now_ms));
                }
                self.plan(now_ms, &room);
            }
            TrustInput::Doubted(room) => self.doubt(now_ms, &room),
            TrustInput::Tail { room, number, found } => self.tail_read(now_ms, room, number, found, effects),
        }
        self.look_at_trust(now_ms);
        self.run_due(now_ms, effects);
    }

    /// Returns when time matters next, in milliseconds of the monotonic clock.
    pub fn wakes_at_ms(&self) -> u64 {
        let due = self.due.first().map(|&(at_ms, _)| at_ms).filter(|_| self.fence_reads < FENCE_READS_MAX);
        let read = Some(self.read_next_at_ms).filter(|_| self.reads.len() < TAKEOVER_READS_MAX);
        let ends = self.trust_ends_at_ms().filter(|_| self.was_trusted);
        let yields = self.yields.first().map(|&(at_ms, _)| at_ms);
        due.into_iter().chain(read).chain(ends).chain(yields).min().unwrap_or(u64::MAX)
    }

    /// Returns when trust ends unless something is heard; none without it.
    fn trust_ends_at_ms(&self) -> Option<u64> {
        Some(self.renewed_at_ms?.min(self.known?.to_ms) + TRUST_MS)
    }

    fn trusts(&self, now_ms: u64, owned: &OwnedRoom) -> bool {
        let node = self.trust_ends_at_ms().is_some_and(|end| now_ms < end);
        let covers = self.known.is_some_and(|known| known.from_ms <= owned.proved_at_ms);
        node && covers && owned.stored && owned.doubted_at_ms.is_none()
    }

    fn takeovers_read(
        &mut self,
        now_ms: u64,
        sent_at_ms: u64,
        rows: Option<Vec<Takeover>>,
        effects: &mut Vec<TrustEffect>,
    ) {
        self.reads.remove(&sent_at_ms);
        let Some(rows) = rows else { return };
        let covered_from_ms = sent_at_ms.saturating_sub(COVERS_MS);
        self.known = Some(match self.known {
            // A late answer that does not reach the span of the later ones adds nothing.
            Some(known) if sent_at_ms < known.from_ms => known,
            Some(known) if covered_from_ms <= known.to_ms => {
                let from_ms = known.from_ms.min(covered_from_ms);
                Span { from_ms, to_ms: known.to_ms.max(sent_at_ms) }
            }
            _ => Span { from_ms: covered_from_ms, to_ms: sent_at_ms },
        });
        for row in rows {
            if self.owned.get(&row.room).is_some_and(|owned| row.epoch > owned.fence.epoch) {
                self.doubt(now_ms, &row.room);
            } else if let Some(epoch) = self.watched.get_mut(&row.room).filter(|epoch| row.epoch > **epoch) {
                // Said once: the same row is read for a minute.
                *epoch = row.epoch;
                effects.push(TrustEffect::TakenOver(row));
            }
        }
    }

    fn doubt(&mut self, now_ms: u64, room: &RoomId) {
        if let Some(owned) = self.owned.get_mut(room).filter(|owned| owned.doubted_at_ms.is_none()) {
            owned.doubted_at_ms = Some(now_ms);
            // Read at once, whatever was read a moment ago; what is under way may have been sent too early.
            owned.asked_at_ms = None;
            if let Some(read) = &mut owned.in_flight {
                read.is_outdated = true;
            }
            self.plan(now_ms, room);
        }
    }

    fn tail_read(
        &mut self,
        now_ms: u64,
        room: RoomId,
        number: u64,
        found: Result<Option<LogTail>, ()>,
        effects: &mut Vec<TrustEffect>,
    ) {
        // What was asked for an earlier ownership of the room says nothing of this one.
        let Some(owned) = self.owned.get_mut(&room) else { return };
        let Some(read) = owned.in_flight.take_if(|read| read.number == number) else { return };
        self.fence_reads -= 1;
        match found {
            Ok(Some(tail)) if tail.fence != owned.fence => {
                self.leave(&room);
                return effects.push(TrustEffect::Fenced { room, tail });
            }
            // Without a stored fence there is nobody to be trusted more, and no row to be read.
            Ok(tail) if tail.is_some() || !owned.stored => {
                owned.stored |= tail.is_some();
                owned.proved_at_ms = owned.proved_at_ms.max(read.sent_at_ms);
                owned.doubted_at_ms.take_if(|_| !read.is_outdated);
            }
            Ok(_) | Err(()) => {}
        }
        self.plan(now_ms, &room);
    }

    fn leave(&mut self, room: &RoomId) {
        self.watched.remove(room);
        if let Some(owned) = self.owned.remove(room) {
            self.fence_reads -= usize::from(owned.in_flight.is_some());
            if let Some(at_ms) = owned.due_at_ms {
                self.due.remove(&(at_ms, room.clone()));
            }
            if let Some(at_ms) = owned.yields_at_ms {
                self.yields.remove(&(at_ms, room.clone()));
            }
        }
    }

    /// Enters when a room's fence is to be read, if it is, and when its owner yields.
    fn plan(&mut self, now_ms: u64, room: &RoomId) {
        let Some(owned) = self.owned.get(room) else { return };
        let wants = owned.doubted_at_ms.is_some() || owned.read_since_ms.is_some() && !self.trusts(now_ms, owned);
        let at_ms = (wants && owned.in_flight.is_none())
            .then(|| owned.asked_at_ms.map_or(now_ms, |asked| (asked + READ_EVERY_MS).max(now_ms)));
        let owned = self.owned.get_mut(room).expect("it was there a moment ago");
        if let Some(at_ms) = owned.due_at_ms.take() {
            self.due.remove(&(at_ms, room.clone()));
        }
        if let Some(at_ms) = at_ms {
            owned.due_at_ms = Some(at_ms);
            self.due.insert((at_ms, room.clone()));
        }
        let yields_at_ms = owned.must_yield_at_ms();
        if yields_at_ms != owned.yields_at_ms {
            if let Some(at_ms) = std::mem::replace(&mut owned.yields_at_ms, yields_at_ms) {
                self.yields.remove(&(at_ms, room.clone()));
            }
            self.yields.extend(yields_at_ms.map(|at_ms| (at_ms, room.clone())));
        }
    }

    /// Looks at every room when the node's trust has ended or begun.
    fn look_at_trust(&mut self, now_ms: u64) {
        let is_trusted = self.trust_ends_at_ms().is_some_and(|end| now_ms < end);
        if std::mem::replace(&mut self.was_trusted, is_trusted) != is_trusted {
            let rooms: Vec<RoomId> = self.owned.keys().cloned().collect();
            rooms.iter().for_each(|room| self.plan(now_ms, room));
        }
    }

    fn run_due(&mut self, now_ms: u64, effects: &mut Vec<TrustEffect>) {
        while let Some((at_ms, room)) = self.yields.first().cloned()
            && at_ms <= now_ms
        {
            self.leave(&room);
            effects.push(TrustEffect::Yields(room));
        }
        if now_ms >= self.read_next_at_ms && self.reads.len() < TAKEOVER_READS_MAX {
            self.read_next_at_ms = now_ms + READ_EVERY_MS;
            self.reads.insert(now_ms);
            effects.push(TrustEffect::ReadTakeovers { sent_at_ms: now_ms });
        }
        while self.fence_reads < FENCE_READS_MAX
            && let Some((at_ms, room)) = self.due.first().cloned()
            && at_ms <= now_ms
        {
            self.due.pop_first();
            let owned = self.owned.get_mut(&room).expect("a room that is due is owned");
            owned.due_at_ms = None;
            owned.asked_at_ms = Some(now_ms);
            self.last_number += 1;
            let number = self.last_number;
            owned.in_flight = Some(Read { number, sent_at_ms: now_ms, is_outdated: false });
            self.fence_reads += 1;
            effects.push(TrustEffect::ReadTail { room, number });
        }
    }
}
