//! The delivery buffer: puts numbered items that arrive in any order, repeated or with holes, back into one row.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::ids::Seq;

/// Takes `(seq, item)` in any order and gives the items out in the order of their numbers, each once, without a gap.
///
/// It holds at most `capacity` items beyond the next number: what would not fit is forgotten, highest first, but not that
/// it exists, so that [`missing`](Self::missing) names it when its turn comes. Inserting and taking cost O(log capacity).
///
/// ```
/// use rollcall_protocol::{DeliveryBuffer, Seq};
/// let mut buffer = DeliveryBuffer::new(Seq::ZERO, 100);
/// buffer.insert(Seq::new(2), "two");
/// assert_eq!(buffer.pop(), None);
/// assert_eq!(buffer.missing(), Some(Seq::new(1)..=Seq::new(1)));
/// buffer.insert(Seq::new(1), "one");
/// assert_eq!(buffer.pop(), Some((Seq::new(1), "one")));
/// assert_eq!(buffer.pop(), Some((Seq::new(2), "two")));
/// ```
#[derive(Debug, Clone)]
pub struct DeliveryBuffer<T> {
    /// The last number that was given out.
    cursor: Seq,
    /// The greatest number that is known to exist.
    head: Seq,
    /// What arrived and has not been given out; every key is above the cursor.
    held: BTreeMap<Seq, T>,
    capacity: usize,
}

/// What became of an inserted item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It is held; `pop` will give it out in its turn.
    Held,
    /// Its number was given out or is held already; the first one stays.
    Duplicate,
    /// It did not fit, and has to be fetched again when `missing` names it.
    NoRoom,
}

impl<T> DeliveryBuffer<T> {
    /// Makes a buffer that has given out everything up to `cursor`, and holds at most `capacity` items.
    ///
    /// # Panics
    /// With a capacity of 0: nothing could ever be delivered.
    pub fn new(cursor: Seq, capacity: usize) -> Self {
        assert!(capacity > 0, "a delivery buffer holds at least one item");
        Self { cursor, head: cursor, held: BTreeMap::new(), capacity }
    }

    /// Takes an item.
    pub fn insert(&mut self, seq: Seq, item: T) -> Inserted {
        if seq <= self.cursor || self.held.contains_key(&seq) {
            return Inserted::Duplicate;
        }
        self.head = self.head.max(seq);
        if self.held.len() == self.capacity {
            let highest = self.held.last_key_value().map(|(&highest, _)| highest);
            if highest.is_some_and(|highest| highest < seq) {
                return Inserted::NoRoom;
            }
            self.held.pop_last();
        }
        self.held.insert(seq, item);
        Inserted::Held
    }

    /// Gives the next item out, if it is here.
    pub fn pop(&mut self) -> Option<(Seq, T)> {
        let lowest = self.held.first_entry()?;
        if lowest.key().previous() != self.cursor {
            return None;
        }
        let (seq, item) = lowest.remove_entry();
        self.cursor = seq;
        Some((seq, item))
    }

    /// Learns that entries up to `head` exist, so that a lost tail is missed too.
    pub fn learn_head(&mut self, head: Seq) {
        self.head = self.head.max(head);
    }

    /// Gives up what lies before `floor`, since nobody has it any more; returns the numbers that will never be given out.
    pub fn expire_to(&mut self, floor: Seq) -> Option<RangeInclusive<Seq>> {
        let last = floor.previous();
        if last <= self.cursor {
            return None;
        }
        let expired = self.cursor.next()..=last;
        self.held = self.held.split_off(&floor);
        self.cursor = last;
        self.head = self.head.max(last);
        Some(expired)
    }

    /// Names the first numbers that are known to exist and are not here; none while the next item is here or all were
    /// given out.
    pub fn missing(&self) -> Option<RangeInclusive<Seq>> {
        let last = self.held.first_key_value().map_or(self.head, |(seq, _)| seq.previous());
        (last > self.cursor).then(|| self.cursor.next()..=last)
    }

    /// Returns the last number that was given out.
    pub fn cursor(&self) -> Seq {
        self.cursor
    }

    /// Returns the greatest number that is known to exist.
    pub fn head(&self) -> Seq {
        self.head
    }

    /// Returns how many items are held.
    pub fn held(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests;
