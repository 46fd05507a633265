//! The reading side of one room: from a cursor onward, each entry once and in order, whatever the connection does.

mod repair;

use rollcall_protocol::{
    DeliveryBuffer, EntriesFrame, EntryFrame, Epoch, ErrorCode, ErrorFrame, Hash, Join, Joined, RoomId, Seq,
};

use super::backoff;
use super::effect::Effect;
use super::input::Moment;
use crate::cursor::{Cursor, JoinFrom};
use crate::error::expired_range;
use crate::event::{Batch, RoomEvent};

/// Entries that are held beyond a hole. The server sends in order: there is a hole only after a fault.
const HELD_ENTRIES_MAX: usize = 512;
/// How long what lies beyond a hole may be here before the hole is fetched, in milliseconds.
pub const HOLE_GRACE_MS: u64 = 200;
/// How long a known head may be ahead, without anything arriving, before what is missing is fetched, in milliseconds.
pub const TAIL_GRACE_MS: u64 = 2_000;

/// The reading side of one room.
#[derive(Debug)]
pub(super) struct Reader {
    phase: Phase,
    /// Whether the program was told that the room is joined.
    pub(super) is_announced: bool,
    /// None until the first join has shown where the head is.
    buffer: Option<DeliveryBuffer<Held>>,
    /// The last delivered entry whose hash is known, or the cursor: what the next join resumes from.
    anchor: Cursor,
    /// Since when something is missing without anything arriving.
    stalled_ms: Option<u64>,
    /// Whether the server was found not to send what is missing: page after page is fetched until all is here.
    is_fetching: bool,
    repair: Repair,
    join_failures: u32,
    repair_failures: u32,
}

/// Where the subscription is on this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// To be joined, not before this time.
    Wanted { not_before_ms: u64 },
    /// Asked for with the command of this id.
    Asked { id: u64 },
    /// Entries follow.
    Joined,
    /// The history is another one; the program decides.
    Diverged,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repair {
    Idle { not_before_ms: u64 },
    Asked { id: u64 },
}

/// An entry on its way to the program.
#[derive(Debug)]
struct Held {
    entry: EntryFrame,
    epoch: Option<Epoch>,
    hash: Option<Hash>,
}

/// Why a subscription is not, or not any more.
#[derive(Debug, PartialEq)]
pub(super) enum Ending {
    /// It will be joined again.
    Again,
    /// The history is another one.
    Diverged,
    /// The server does not let the client in.
    Refused(ErrorFrame),
}

impl Reader {
    /// Reads from a place; `JoinFrom::Saved` is resolved by the caller.
    pub(super) fn new(from: JoinFrom) -> Self {
        let start = match from {
            JoinFrom::Head | JoinFrom::Saved => None,
            JoinFrom::Start => Some(Cursor { seq: Seq::ZERO, hash: None }),
            JoinFrom::Cursor(cursor) => Some(cursor),
        };
        Self {
            phase: Phase::Wanted { not_before_ms: 0 },
            is_announced: false,
            buffer: start.map(|cursor| DeliveryBuffer::new(cursor.seq, HELD_ENTRIES_MAX)),
            anchor: start.unwrap_or(Cursor { seq: Seq::ZERO, hash: None }),
            stalled_ms: None,
            is_fetching: false,
            repair: Repair::Idle { not_before_ms: 0 },
            join_failures: 0,
            repair_failures: 0,
        }
    }

    /// Returns the join to send now, if one is due.
    pub(super) fn join(&mut self, now_ms: u64, room: &RoomId, id: u64) -> Option<Join> {
        if !matches!(self.phase, Phase::Wanted { not_before_ms } if not_before_ms <= now_ms) {
            return None;
        }
        self.phase = Phase::Asked { id };
        let after = self.buffer.as_ref().map(|_| self.anchor.seq);
        Some(Join { room: room.clone(), after, hash: self.anchor.hash })
    }

    /// Learns that the room is joined.
    pub(super) fn joined(
        &mut self,
        now_ms: u64,
        id: u64,
        joined: &Joined,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Ending> {
        if self.phase != (Phase::Asked { id }) {
            return Err(Ending::Again);
        }
        let same_place = self.anchor.seq == joined.head && self.buffer.is_some();
        if same_place && self.anchor.hash.is_some_and(|hash| hash != joined.hash) {
            self.phase = Phase::Diverged;
            return Err(Ending::Diverged);
        }
        self.phase = Phase::Joined;
        self.join_failures = 0;
        if self.buffer.is_none() {
            self.anchor = Cursor { seq: joined.head, hash: Some(joined.hash) };
        }
        let head = joined.head;
        let buffer = self.buffer.get_or_insert_with(|| DeliveryBuffer::new(head, HELD_ENTRIES_MAX));
        let room = joined.room.clone();
        let event = RoomEvent::Joined { after: buffer.cursor(), joined: joined.clone() };
        effects.push(Effect::Deliver { room: room.clone(), event });
        buffer.learn_head(head);
        self.expire_to(joined.floor, &room, effects);
        self.release(&room, effects);
        self.watch(now_ms);
        Ok(())
    }

    /// Learns that the join was refused.
    pub(super) fn join_refused(
        &mut self,
        moment: Moment,
        id: u64,
        room: &RoomId,
        error: ErrorFrame,
        effects: &mut Vec<Effect>,
    ) -> Ending {
        if self.phase == (Phase::Asked { id }) { self.ended(moment, room, error, effects) } else { Ending::Again }
    }

    /// Learns that the subscription has ended, or did not begin.
    pub(super) fn ended(
        &mut self,
        moment: Moment,
        room: &RoomId,
        error: ErrorFrame,
        effects: &mut Vec<Effect>,
    ) -> Ending {
        self.repair = Repair::Idle { not_before_ms: 0 };
        match error.code {
            ErrorCode::Diverged => {
                self.phase = Phase::Diverged;
                return Ending::Diverged;
            }
            ErrorCode::Expired => {
                if let Some((_, to)) = expired_range(&error) {
                    self.expire_to(to.next(), room, effects);
                    self.release(room, effects);
                }
            }
            ErrorCode::TokenExpired => {}
            _ if error.retryable => {}
            _ => return Ending::Refused(error),
        }
        let pause_ms = backoff::retry_ms(self.join_failures, moment.random).max(error.retry_after_ms.unwrap_or(0));
        self.join_failures += 1;
        self.phase = Phase::Wanted { not_before_ms: moment.now_ms + pause_ms };
        Ending::Again
    }

    /// Learns that the connection, or the subscription on it, is gone.
    pub(super) fn cut(&mut self) {
        if self.phase != Phase::Diverged {
            self.phase = Phase::Wanted { not_before_ms: 0 };
        }
        self.repair = Repair::Idle { not_before_ms: 0 };
    }

    /// Takes entries that the server pushed.
    pub(super) fn entries(&mut self, now_ms: u64, frame: EntriesFrame, effects: &mut Vec<Effect>) {
        let Some(buffer) = &mut self.buffer else { return };
        let (epoch, hash) = (Some(frame.epoch), Some(frame.hash));
        if buffer.held() == 0 && follows(buffer.cursor(), &frame.list) {
            // Nothing to put in order: the batch goes through as it is, and the buffer only moves on.
            let last = buffer.cursor().plus(frame.list.len() as u64);
            buffer.expire_to(last.next());
            self.anchor = Cursor { seq: last, hash };
            let batch = Batch { epoch, entries: frame.list, hash };
            effects.push(Effect::Deliver { room: frame.room, event: RoomEvent::Entries(batch) });
            self.stalled_ms = None;
        } else {
            self.hold(frame.list, epoch, hash);
            self.release(&frame.room, effects);
        }
        self.watch(now_ms);
    }

    /// Learns from a ping how far the room is.
    pub(super) fn learn_head(&mut self, now_ms: u64, head: Seq) {
        if let Some(buffer) = &mut self.buffer {
            buffer.learn_head(head);
            self.watch(now_ms);
        }
    }

    /// Tells whether entries follow.
    pub(super) fn is_joined(&self) -> bool {
        self.phase == Phase::Joined
    }

    /// Tells whether the server has, or may have, a subscription on this connection.
    pub(super) fn is_subscribed(&self) -> bool {
        matches!(self.phase, Phase::Asked { .. } | Phase::Joined)
    }

    /// Returns the last number that was delivered.
    fn cursor(&self) -> Seq {
        self.buffer.as_ref().map_or(Seq::ZERO, DeliveryBuffer::cursor)
    }

    /// Returns the greatest number that is known to exist.
    pub(super) fn head(&self) -> Seq {
        self.buffer.as_ref().map_or(Seq::ZERO, DeliveryBuffer::head)
    }

    /// Returns the place from which the next join resumes.
    pub(super) fn anchor(&self) -> Cursor {
        self.anchor
    }

    fn hold(&mut self, list: Vec<EntryFrame>, epoch: Option<Epoch>, hash: Option<Hash>) {
        let Some(buffer) = &mut self.buffer else { return };
        let last = list.len().saturating_sub(1);
        for (at, entry) in list.into_iter().enumerate() {
            let hash = hash.filter(|_| at == last);
            buffer.insert(entry.seq, Held { entry, epoch, hash });
        }
    }

    /// Delivers what is next and here, one batch an epoch.
    fn release(&mut self, room: &RoomId, effects: &mut Vec<Effect>) {
        let Some(buffer) = &mut self.buffer else { return };
        let mut batch: Option<Batch> = None;
        let deliver = |batch| Effect::Deliver { room: room.clone(), event: RoomEvent::Entries(batch) };
        while let Some((seq, held)) = buffer.pop() {
            self.stalled_ms = None;
            if held.hash.is_some() {
                self.anchor = Cursor { seq, hash: held.hash };
            }
            match &mut batch {
                Some(batch) if batch.epoch == held.epoch => {
                    batch.entries.push(held.entry);
                    batch.hash = held.hash;
                }
                _ => {
                    let next = Batch { epoch: held.epoch, entries: vec![held.entry], hash: held.hash };
                    effects.extend(batch.replace(next).map(deliver));
                }
            }
        }
        effects.extend(batch.map(deliver));
    }

    /// Gives up what lies before the floor.
    fn expire_to(&mut self, floor: Seq, room: &RoomId, effects: &mut Vec<Effect>) {
        let Some(buffer) = &mut self.buffer else { return };
        if let Some(gone) = buffer.expire_to(floor) {
            let event = RoomEvent::Expired { from: *gone.start(), to: *gone.end() };
            effects.push(Effect::Deliver { room: room.clone(), event });
        }
        if self.anchor.seq < floor.previous() {
            self.anchor = Cursor { seq: floor.previous().max(self.anchor.seq), hash: None };
        }
    }

    /// Notes since when something is missing.
    fn watch(&mut self, now_ms: u64) {
        let is_missing = self.buffer.as_ref().is_some_and(|buffer| buffer.missing().is_some());
        self.stalled_ms = if is_missing { self.stalled_ms.or(Some(now_ms)) } else { None };
        self.is_fetching &= is_missing;
    }
}

/// Tells whether a list goes on right after a number, without a hole.
fn follows(cursor: Seq, list: &[EntryFrame]) -> bool {
    !list.is_empty() && list.iter().zip(1..).all(|(entry, place)| entry.seq.get() == cursor.get() + place)
}
