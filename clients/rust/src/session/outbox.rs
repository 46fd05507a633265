//! The writes of this device to one room: numbered, in order, each tried again until it is answered.
//!
//! ```text
//! line:   5 doubted | 6 in flight | 7 in flight | 8 queued | 9 queued
//!         └──────────── sent: at most 64 ──────┘ └─ bounded ────────┘
//! ```
//! A number is bound to its write for ever. Each copy names the number before it (`prev`), so that the server takes no write
//! before the ones that precede it. When a copy is refused, those behind it are refused too (`out_of_order`): the line is
//! then *set back*, which means that nothing is sent until all copies in flight are answered, and then all from the front.
//!
//! A refusal says what became of one copy. Another may still be on its way (one on a connection that broke, or one that the
//! server itself repeated): the write is then *doubted*. It stands aside, those behind it go on without it, and it is asked
//! for again as soon as a higher number was accepted, since the answer is certain then: its seq, or `skipped`.

mod answers;

use std::collections::VecDeque;

use rollcall_protocol::{Ack, Body, ErrorFrame, RoomId, Seq, Write, WriteOp, limits};

use super::input::{NewWrite, Ticket};
use crate::error::WriteError;
use crate::storage::{SavedRoom, SavedWrite};

/// The writes of this device to one room.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// The last n that the room is known to have accepted.
    accepted_n: u64,
    /// The last n that was given to a write.
    last_n: u64,
    /// A head of the room that was seen before the device first wrote there.
    since: Seq,
    /// What has no answer, in the order of n.
    line: VecDeque<Pending>,
    /// How many at the front of the line were ever sent.
    sent: usize,
    /// Where in the line the next to be sent is looked for.
    position: usize,
    /// Copies on this connection that have no answer.
    in_flight: usize,
    /// Whether the line was set back.
    is_set_back: bool,
    /// How often the line was set back since a write was last settled.
    setbacks: u32,
    /// Nothing is sent before this time.
    not_before_ms: u64,
    /// The bodies in the line, in bytes.
    weight_bytes: usize,
    /// The room does not know this device any more, or knows numbers of it that are not ours.
    is_lost: bool,
}

/// A write without an answer.
#[derive(Debug)]
struct Pending {
    n: u64,
    /// Whom to tell; nobody for writes of an earlier life.
    ticket: Option<Ticket>,
    write: NewWrite,
    phase: Phase,
    /// Whether a copy that was never answered, or not for good, may still be on its way.
    is_loose: bool,
    doubt: Option<Box<Doubt>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Never sent.
    Queued,
    /// A copy on this connection has no answer.
    InFlight,
    /// To be sent again.
    Returned,
}

/// Why a write stands aside.
#[derive(Debug)]
struct Doubt {
    /// The refusal that may not be the last word.
    error: ErrorFrame,
    tries: u32,
    /// When to ask again if nothing else settles it.
    again_ms: u64,
    /// Whether it is back in the line, to be asked for again.
    is_asked: bool,
}

/// A write that has its answer.
#[derive(Debug, PartialEq)]
pub(super) struct Settled {
    pub(super) ticket: Option<Ticket>,
    pub(super) write: SavedWrite,
    pub(super) outcome: Result<Ack, WriteError>,
}

impl Pending {
    /// Tells whether the write takes part in the order of the line, and does not stand aside.
    fn is_in_line(&self) -> bool {
        self.doubt.as_ref().is_none_or(|doubt| doubt.is_asked)
    }

    fn settle(self, outcome: Result<Ack, WriteError>) -> Settled {
        Settled { ticket: self.ticket, write: SavedWrite::new(self.n, self.write), outcome }
    }

    fn settle_unknown(self) -> Settled {
        let last = self.doubt.as_ref().map(|doubt| Box::new(doubt.error.clone()));
        self.settle(Err(WriteError::Unknown { last }))
    }
}

impl Outbox {
    /// Goes on from what was kept. Nobody knows how many copies of the unanswered writes are on their way.
    pub(super) fn restore(saved: SavedRoom) -> Self {
        let line: VecDeque<_> = saved
            .unanswered
            .into_iter()
            .map(|write| Pending {
                n: write.n,
                ticket: None,
                write: NewWrite { op: write.op, target: write.target, body: write.body },
                phase: Phase::Returned,
                is_loose: true,
                doubt: None,
            })
            .collect();
        Self {
            accepted_n: saved.accepted_n,
            last_n: saved.last_n,
            since: saved.since,
            sent: line.len(),
            weight_bytes: line.iter().map(|pending| pending.write.weight_bytes()).sum(),
            line,
            ..Self::default()
        }
    }

    /// Gives a write its number and its place at the end of the line.
    pub(super) fn push(&mut self, head: Seq, ticket: Ticket, write: NewWrite) -> u64 {
        if self.last_n == 0 {
            self.since = head;
        }
        self.last_n += 1;
        self.weight_bytes += write.weight_bytes();
        let phase = Phase::Queued;
        self.line.push_back(Pending {
            n: self.last_n,
            ticket: Some(ticket),
            write,
            phase,
            is_loose: false,
            doubt: None,
        });
        self.last_n
    }

    /// Takes the next write that may be sent now; with `new_too` also one that was never sent.
    pub(super) fn next(&mut self, now_ms: u64, room: &RoomId, new_too: bool) -> Option<(WriteOp, Write<Body>)> {
        if self.is_lost || now_ms < self.not_before_ms {
            return None;
        }
        if self.is_set_back {
            if self.in_flight > 0 {
                return None;
            }
            self.is_set_back = false;
            self.position = 0;
        }
        self.ask_the_first_doubted(now_ms);
        while let Some(pending) = self.line.get(self.position) {
            match pending.phase {
                Phase::Queued if !new_too || self.sent == limits::UNANSWERED_WRITES_MAX => return None,
                Phase::InFlight => self.position += 1,
                _ if !pending.is_in_line() => self.position += 1,
                _ => return Some(self.send_at_position(room)),
            }
        }
        None
    }

    fn send_at_position(&mut self, room: &RoomId) -> (WriteOp, Write<Body>) {
        let prev = self.prev_at_position();
        let pending = &mut self.line[self.position];
        if pending.phase == Phase::Queued {
            self.sent += 1;
        }
        pending.phase = Phase::InFlight;
        self.position += 1;
        self.in_flight += 1;
        let command = Write {
            room: room.clone(),
            n: pending.n,
            prev: (prev + 1 != pending.n).then_some(prev),
            since: (self.accepted_n == 0 && self.since > Seq::ZERO).then_some(self.since),
            target: pending.write.target,
            body: pending.write.body.clone(),
        };
        (pending.write.op, command)
    }

    /// Returns the n that is the last accepted one once everything before the position was accepted.
    fn prev_at_position(&self) -> u64 {
        let n = self.line[self.position].n;
        let before = self.line.iter().take(self.position).rev().find(|pending| pending.is_in_line());
        let before_n = before.map_or(0, |pending| pending.n);
        // Up to the last accepted n, the answer is certain whatever prev says.
        if self.accepted_n < n { before_n.max(self.accepted_n) } else { n - 1 }
    }

    /// Where all that is left stands aside, nothing else will settle it: its first is asked for again in time.
    fn ask_the_first_doubted(&mut self, now_ms: u64) {
        if self.line.iter().any(Pending::is_in_line) {
            return;
        }
        if let Some(Pending { doubt: Some(doubt), .. }) = self.line.front_mut()
            && now_ms >= doubt.again_ms
        {
            doubt.is_asked = true;
            self.position = 0;
        }
    }

    /// Learns that the connection is gone: what was in flight may have arrived or not.
    pub(super) fn cut(&mut self) {
        for pending in self.line.iter_mut().filter(|pending| pending.phase == Phase::InFlight) {
            pending.phase = Phase::Returned;
            pending.is_loose = true;
        }
        self.in_flight = 0;
        self.position = 0;
        self.is_set_back = false;
        self.not_before_ms = 0;
    }

    /// Gives all up: what was never sent never will be; what was sent stays, without anybody to tell, for a later join.
    pub(super) fn abandon(&mut self) -> Vec<Settled> {
        let queued = self.line.split_off(self.sent);
        self.weight_bytes = self.line.iter().map(|pending| pending.write.weight_bytes()).sum();
        let told = self.line.iter_mut().filter_map(|pending| {
            let ticket = Some(pending.ticket.take()?);
            let write = SavedWrite::new(pending.n, pending.write.clone());
            let last = pending.doubt.as_ref().map(|doubt| Box::new(doubt.error.clone()));
            Some(Settled { ticket, write, outcome: Err(WriteError::Unknown { last }) })
        });
        let mut settled: Vec<_> = told.collect();
        settled.extend(queued.into_iter().map(|pending| pending.settle(Err(WriteError::Closed))));
        settled
    }

    /// Starts afresh under another device. What has no copy on its way gets a new number; of the rest nobody will know.
    pub(super) fn renumber(&mut self, head: Seq) -> Vec<Settled> {
        let old = std::mem::take(self);
        let mut unknown = Vec::new();
        for pending in old.line {
            let is_nowhere = pending.phase != Phase::InFlight && !pending.is_loose;
            match pending.ticket {
                Some(ticket) if is_nowhere => {
                    self.push(head, ticket, pending.write);
                }
                _ => unknown.push(pending.settle_unknown()),
            }
        }
        unknown
    }

    /// Starts afresh under another user, who has not written any of this.
    pub(super) fn clear(&mut self) -> Vec<Settled> {
        let old = std::mem::take(self);
        let settle = |(at, pending): (usize, Pending)| {
            if at < old.sent { pending.settle_unknown() } else { pending.settle(Err(WriteError::Closed)) }
        };
        old.line.into_iter().enumerate().map(settle).collect()
    }

    fn remove(&mut self, n: u64) -> Option<Pending> {
        let at = self.line.binary_search_by_key(&n, |pending| pending.n).ok()?;
        let pending = self.line.remove(at)?;
        self.weight_bytes -= pending.write.weight_bytes();
        self.sent -= usize::from(at < self.sent);
        self.position -= usize::from(at < self.position);
        Some(pending)
    }

    /// Returns when the line has something to send that it may not send yet; none where it waits for an answer or has nothing.
    pub(super) fn due_ms(&self) -> Option<u64> {
        if self.line.is_empty() || self.is_lost || self.in_flight > 0 {
            return None;
        }
        let all_doubted = !self.line.iter().any(Pending::is_in_line);
        let again_ms = self.line.front().and_then(|pending| pending.doubt.as_ref()).map_or(0, |doubt| doubt.again_ms);
        Some(if all_doubted { self.not_before_ms.max(again_ms) } else { self.not_before_ms })
    }

    /// Tells whether the room cannot be written to under this device's name.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Tells whether there is something to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Tells whether something was sent whose answer is still to be had under this device's name.
    pub(super) fn is_settling(&self) -> bool {
        if self.is_lost { self.in_flight > 0 } else { self.sent > 0 }
    }

    /// Tells whether a further write fits into the bounds.
    pub(super) fn has_room(&self, write: &NewWrite, writes_max: usize, bytes_max: usize) -> bool {
        let fits = self.weight_bytes + write.weight_bytes() <= bytes_max;
        self.line.len() < writes_max && (fits || self.line.is_empty())
    }

    /// Returns the last n that the room is known to have accepted.
    pub(super) fn accepted_n(&self) -> u64 {
        self.accepted_n
    }

    /// Returns the head that was seen before the device first wrote.
    pub(super) fn since(&self) -> Seq {
        self.since
    }

    /// Returns the writes in the line, as they are kept.
    pub(super) fn writes(&self) -> impl Iterator<Item = SavedWrite> {
        self.line.iter().map(|pending| SavedWrite::new(pending.n, pending.write.clone()))
    }
}
