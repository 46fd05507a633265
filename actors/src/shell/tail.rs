//! The shared tail of a room: the frames of its last batches, and the doorbells of those who read it. Fan-out is pull: a
//! connection has a cursor and takes what lies past it, so that nothing is queued per connection.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rollcall_protocol::{Entry, Kind, RoomId, Seq, Signal};
use slab::Slab;

use super::frame::Frame;
use super::inbox::{Doorbell, Inbox};

/// How much of a room stays in memory while it is active; an entry beyond it is read from the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingLimits {
    /// Entries at most.
    pub entries_max: usize,
    /// Size of their bodies at most, in bytes; the last frame always stays.
    pub bytes_max: usize,
}

/// A room's tail.
#[derive(Debug)]
pub struct Tail {
    room: RoomId,
    limits: RingLimits,
    ring: RwLock<Ring>,
    readers: Mutex<Slab<Arc<Doorbell>>>,
}

#[derive(Debug)]
struct Ring {
    /// Contiguous, the last one ends at the head.
    frames: VecDeque<Arc<Frame>>,
    entries: usize,
    bytes: usize,
    head: Seq,
    /// How many redactions were shown.
    redactions: u64,
    ended: Option<TailEnd>,
}

/// What lies past a cursor.
#[derive(Debug)]
pub enum Pulled {
    /// These frames, at least one; the first may hold entries up to the cursor, too.
    Frames(Vec<Arc<Frame>>),
    /// Nothing yet.
    Nothing,
    /// More than the ring holds: read the log, up to this head.
    Behind(Seq),
    /// The room is over here: join it again, from the cursor.
    Ended(TailEnd),
}

/// Why a tail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TailEnd {
    /// The room was given up, or is owned elsewhere: what was shown is as good as it was.
    Moved,
    /// What was shown is not what the log has. Whoever joins again shows the hash of what it was given.
    Diverged,
}

impl Tail {
    /// Makes the tail of a room that is being activated.
    pub fn new(room: RoomId, limits: RingLimits) -> Arc<Self> {
        let ring = Ring { frames: VecDeque::new(), entries: 0, bytes: 0, head: Seq::ZERO, redactions: 0, ended: None };
        Arc::new(Self { room, limits, ring: RwLock::new(ring), readers: Mutex::new(Slab::new()) })
    }

    /// Begins at a head, with nothing in the ring.
    pub fn begin(&self, head: Seq) {
        self.ring_mut().head = head;
    }

    /// Returns the room's name.
    pub fn room(&self) -> &RoomId {
        &self.room
    }

    /// Returns the last committed number.
    pub fn head(&self) -> Seq {
        self.ring().head
    }

    /// Returns how many redactions were shown so far.
    pub fn redactions(&self) -> u64 {
        self.ring().redactions
    }

    /// Shows what was committed to everybody, of one epoch or of several: rings each reader's bell, which costs about as much as their number, and no more
    /// for a reader that has not looked since the last time. What the batch redacts is never shown again; edits of what an
    /// earlier one redacted come without their bodies.
    pub fn push(&self, entries: Arc<[Entry]>) {
        let redacted: Vec<Seq> =
            entries.iter().filter(|entry| entry.kind == Kind::Redact).filter_map(|entry| entry.target).collect();
        let frames = Frame::cut(&self.room, entries);
        {
            let mut ring = self.ring_mut();
            frames.into_iter().for_each(|frame| ring.append(frame, self.limits));
            redacted.into_iter().for_each(|target| ring.redact(target));
        }
        self.ring_all();
    }

    /// Ends the tail: who reads it is told to join again.
    pub fn end(&self, why: TailEnd) {
        self.ring_mut().ended.get_or_insert(why);
        self.ring_all();
    }

    /// Returns up to `frames_max` frames past the cursor, and no further one once their bodies have `bytes_max` bytes; the first
    /// always, if there is one.
    pub fn pull(&self, cursor: Seq, frames_max: usize, bytes_max: usize) -> Pulled {
        let ring = self.ring();
        if let Some(why) = ring.ended {
            return Pulled::Ended(why);
        }
        if cursor >= ring.head {
            return Pulled::Nothing;
        }
        let next = cursor.next();
        match ring.frames.front() {
            Some(front) if front.first() <= next => {}
            _ => return Pulled::Behind(ring.head),
        }
        let start = ring.frames.partition_point(|frame| frame.last() < next);
        let (mut frames, mut bytes) = (0, 0);
        let fits = |frame: &&Arc<Frame>| {
            let fits = frames == 0 || frames < frames_max && bytes < bytes_max;
            frames += 1;
            bytes += frame.weight_bytes();
            fits
        };
        Pulled::Frames(ring.frames.range(start..).take_while(fits).cloned().collect())
    }

    /// Finds a recent entry; none if it is not in the ring.
    pub fn find<T>(&self, seq: Seq, look: impl FnOnce(&Entry) -> T) -> Option<T> {
        let ring = self.ring();
        let at = ring.frames.partition_point(|frame| frame.last() < seq);
        let frame = ring.frames.get(at).filter(|frame| frame.first() <= seq)?;
        let index = usize::try_from(seq.since(frame.first())).ok()?;
        frame.entries().get(index).map(look)
    }

    /// Hangs up a reader's bell; returns the key to take it down again.
    pub fn hang_up(&self, bell: Arc<Doorbell>) -> usize {
        self.readers().insert(bell)
    }

    /// Takes a reader's bell down.
    pub fn take_down(&self, key: usize) {
        self.readers().try_remove(key);
    }

    /// Gives a signal to every reader but the one that it comes from, if that is one.
    pub fn signal(&self, signal: &Arc<Signal>, from: Option<&Arc<Inbox>>) {
        for (_, bell) in &*self.readers() {
            if !from.is_some_and(|from| Arc::ptr_eq(bell.inbox(), from)) {
                bell.inbox().signal(Arc::clone(signal));
            }
        }
    }

    /// Tells every reader to look.
    pub fn ring_all(&self) {
        for (_, bell) in &*self.readers() {
            bell.ring();
        }
    }

    // No code that holds one of the locks panics half-way through a change.
    fn ring(&self) -> RwLockReadGuard<'_, Ring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring_mut(&self) -> RwLockWriteGuard<'_, Ring> {
        self.ring.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn readers(&self) -> MutexGuard<'_, Slab<Arc<Doorbell>>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn append(&mut self, frame: Arc<Frame>, limits: RingLimits) {
        assert_eq!(frame.first(), self.head.next(), "batches are shown one after the other");
        self.head = frame.last();
        self.entries += frame.entries().len();
        self.bytes += frame.weight_bytes();
        self.frames.push_back(frame);
        while self.frames.len() > 1 && (self.entries > limits.entries_max || self.bytes > limits.bytes_max) {
            let oldest = self.frames.pop_front().expect("there is more than one frame");
            self.entries -= oldest.entries().len();
            self.bytes -= oldest.weight_bytes();
        }
    }

    fn redact(&mut self, target: Seq) {
        self.redactions += 1;
        for frame in &mut self.frames {
            if let Some(redacted) = frame.redacted(target) {
                self.bytes -= frame.weight_bytes() - redacted.weight_bytes();
                *frame = redacted;
            }
        }
    }
}

#[cfg(test)]
mod tests;
