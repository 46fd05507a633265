//! What a replica reads from the log: its tail while in doubt, and entries that are missing.

use rollcall_protocol::{DeliveryBuffer, Entry, Seq};

use super::{Effect, Replica, StopReason, empty_buffer};
use crate::ports::{LogError, LogTail};

/// In doubt, the tail is first read after less than this, in milliseconds: half a second less some room for the reading itself.
pub(super) const SPREAD_MS: u64 = 400;

/// In doubt, the tail is read this often, in milliseconds.
const POLL_APART_MS: u64 = 1_000;

/// What readers expect makes the tail be read at most this often, in milliseconds.
const EXPECT_APART_MS: u64 = 200;

/// An entry that an owner speaks of and that is not here is on its way; it is read from the log after this long, in milliseconds.
const PATIENCE_MS: u64 = 50;

/// Entries that are read at once.
const PAGE_ENTRIES_MAX: u64 = 500;

/// A read that was not answered for this long is given up, in milliseconds.
const READ_TIMEOUT_MS: u64 = 4_000;

/// After a read in vain the log is left alone for this long, then for twice as long, in milliseconds.
const RETRY_MS: u64 = 100;
const RETRY_MS_MAX: u64 = 1_000;

#[derive(Debug)]
pub(super) struct Reading {
    spread_ms: u64,
    in_flight: Option<InFlight>,
    last_read: u64,
    /// When the tail is to be read next, if at all.
    tail_due_ms: Option<u64>,
    tail_read_at_ms: Option<u64>,
    /// The first number that is missing, and until when it is waited for.
    missing: Option<(Seq, u64)>,
    not_before_ms: u64,
    retry_ms: u64,
}

#[derive(Debug)]
struct InFlight {
    read: u64,
    is_tail: bool,
    began_at_ms: u64,
    /// What was shown and what was heard of when it began: the log has both, or somebody lied.
    shown: Seq,
    heard_of: Seq,
}

impl Reading {
    pub fn new(spread_ms: u64, now_ms: u64) -> Self {
        Self {
            spread_ms,
            in_flight: None,
            last_read: 0,
            tail_due_ms: Some(now_ms + spread_ms),
            tail_read_at_ms: None,
            missing: None,
            not_before_ms: 0,
            retry_ms: RETRY_MS,
        }
    }

    pub fn begin_polling(&mut self, now_ms: u64) {
        self.tail_due_ms = Some(now_ms + self.spread_ms);
    }

    pub fn end_polling(&mut self) {
        self.tail_due_ms = None;
    }

    /// Nobody but the log can say where the room is: asks it at once, unless the room is shown already.
    pub fn begin_at_once(&mut self, now_ms: u64, is_shown: bool) {
        if !is_shown {
            self.tail_due_ms = self.tail_due_ms.map(|due| due.min(now_ms));
        }
    }

    pub fn read_tail_at_once(&mut self, now_ms: u64) {
        self.tail_due_ms = Some(now_ms);
    }

    fn retry_later(&mut self, now_ms: u64) {
        self.not_before_ms = now_ms + self.retry_ms;
        self.retry_ms = (self.retry_ms * 2).min(RETRY_MS_MAX);
    }

    fn take(&mut self, read: u64, is_tail: bool) -> Option<InFlight> {
        self.in_flight.take_if(|flight| flight.read == read && flight.is_tail == is_tail)
    }
}

impl Replica {
    /// A reader claims to have seen an entry that is not here yet.
    pub(super) fn expect(&mut self, now_ms: u64, seq: Seq) {
        if self.head().is_some_and(|head| head >= seq) {
            return;
        }
        let earliest = self.reading.tail_read_at_ms.map_or(now_ms, |at| now_ms.max(at + EXPECT_APART_MS));
        self.reading.tail_due_ms = Some(self.reading.tail_due_ms.map_or(earliest, |due| due.min(earliest)));
    }

    /// Keeps the time until when the first missing entry is waited for.
    pub(super) fn note_missing(&mut self, now_ms: u64) {
        let first = self.buffer.as_ref().and_then(DeliveryBuffer::missing).map(|range| *range.start());
        self.reading.missing = match (first, self.reading.missing) {
            (Some(first), Some((same, until))) if first == same => Some((first, until)),
            (first, _) => first.map(|first| (first, now_ms + PATIENCE_MS)),
        };
    }

    /// What is missing is in the log for sure, and nothing else will bring it.
    fn read_missing_at_once(&mut self) {
        self.reading.missing = self.reading.missing.map(|(first, _)| (first, 0));
    }

    pub(super) fn reading_due_ms(&self) -> Option<u64> {
        if let Some(flight) = &self.reading.in_flight {
            return Some(flight.began_at_ms + READ_TIMEOUT_MS);
        }
        let missing = self.reading.missing.map(|(_, until)| until);
        let due = self.reading.tail_due_ms.into_iter().chain(missing).min();
        due.map(|due| due.max(self.reading.not_before_ms))
    }

    pub(super) fn go_on_reading(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        if self.reading.in_flight.as_ref().is_some_and(|flight| now_ms >= flight.began_at_ms + READ_TIMEOUT_MS) {
            self.reading.in_flight = None;
        }
        if self.reading.in_flight.is_some() || now_ms < self.reading.not_before_ms {
            return;
        }
        if self.reading.tail_due_ms.is_some_and(|due| now_ms >= due) {
            let read = self.begin_read(now_ms, true);
            self.reading.tail_read_at_ms = Some(now_ms);
            self.reading.tail_due_ms = (!self.watching.is_confirmed()).then_some(now_ms + POLL_APART_MS);
            effects.push(Effect::ReadTail { read });
        } else if self.reading.missing.is_some_and(|(_, until)| now_ms >= until)
            && let Some(missing) = self.buffer.as_ref().and_then(DeliveryBuffer::missing)
        {
            let read = self.begin_read(now_ms, false);
            let after = missing.start().previous();
            let count = missing.end().since(after).min(PAGE_ENTRIES_MAX);
            effects.push(Effect::ReadEntries { read, after, through: after.plus(count) });
        }
    }

    fn begin_read(&mut self, now_ms: u64, is_tail: bool) -> u64 {
        let shown = self.head().unwrap_or(Seq::ZERO);
        let heard_of = self.buffer.as_ref().map_or(self.heard_of, DeliveryBuffer::head);
        self.reading.last_read += 1;
        let read = self.reading.last_read;
        self.reading.in_flight = Some(InFlight { read, is_tail, began_at_ms: now_ms, shown, heard_of });
        read
    }

    /// Takes the log's answer; none where it failed.
    pub(super) fn tail_read(
        &mut self,
        now_ms: u64,
        read: u64,
        tail: Option<Option<LogTail>>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(flight) = self.reading.take(read, true) else { return };
        let Some(tail) = tail else {
            self.reading.tail_due_ms = Some(now_ms);
            return self.reading.retry_later(now_ms);
        };
        self.reading.retry_ms = RETRY_MS;
        let (epoch, last) = tail.map_or((self.epoch, Seq::ZERO), |tail| (tail.fence.epoch, tail.last_seq));
        if last < flight.shown {
            return self.stop(StopReason::Diverged, effects);
        }
        if last < flight.heard_of {
            self.forget_what_was_heard(now_ms);
        }
        self.learn_epoch(now_ms, epoch, false);
        self.learn_standing(now_ms, epoch, last, effects);
        self.read_missing_at_once();
    }

    /// Entries were spoken of that the log does not have: nothing that was heard is believed.
    fn forget_what_was_heard(&mut self, now_ms: u64) {
        self.heard_of = Seq::ZERO;
        self.buffer = self.buffer.take().map(|buffer| empty_buffer(buffer.cursor()));
        self.held_bytes = 0;
        self.note_missing(now_ms);
        self.doubt(now_ms);
    }

    pub(super) fn entries_read(
        &mut self,
        now_ms: u64,
        read: u64,
        result: Result<Vec<Entry>, LogError>,
        effects: &mut Vec<Effect>,
    ) {
        if self.reading.take(read, false).is_none() {
            return;
        }
        match result {
            Ok(entries) => {
                let before = self.head();
                if let Some(last) = entries.last() {
                    self.learn_epoch(now_ms, last.epoch, false);
                }
                self.take_in(&entries, effects);
                self.note_missing(now_ms);
                if self.head() == before && self.reading.missing.is_some() {
                    // The log has none of it: is it as long as was said?
                    self.reading.tail_due_ms = Some(now_ms);
                    return self.reading.retry_later(now_ms);
                }
                self.reading.retry_ms = RETRY_MS;
                self.read_missing_at_once();
            }
            Err(LogError::Expired { floor }) if self.head().is_some_and(|head| floor > head.next()) => {
                self.floor = self.floor.max(floor);
                let heard_of = self.buffer.as_ref().map_or(Seq::ZERO, DeliveryBuffer::head);
                self.begin(floor.previous(), effects);
                self.learn_head(now_ms, heard_of);
                self.read_missing_at_once();
            }
            Err(_) => self.reading.retry_later(now_ms),
        }
    }
}
