//! The rooms whose logs are damaged, for whoever runs the node.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rollcall_protocol::{RoomId, Seq};

use crate::limits::FAILED_ROOMS_MAX;
use crate::ports::LogError;

/// For how long a room that was found damaged is remembered when it is not shown any more: in a cluster another node may find it
/// whole. Where clients go on writing it is found again long before that.
const REMEMBERED: Duration = Duration::from_secs(600);

/// What is wrong with a room's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamageFound {
    /// The first entry that is not what was written, as far as anybody has looked.
    pub entry: Seq,
    /// The last such entry.
    pub last: Seq,
    /// What is wrong with the first; for whoever runs the node.
    pub reason: String,
}

/// The damaged rooms that were found here, whoever has found them. As long as one is known nothing is numbered there.
#[derive(Debug, Default)]
pub struct Damage {
    rooms: Mutex<HashMap<RoomId, Known>>,
    /// How many these are: each write asks, and mostly there are none.
    count: AtomicUsize,
}

/// What is known of a damaged room.
#[derive(Debug)]
struct Known {
    found: DamageFound,
    /// Until when it is remembered; none while the room is shown.
    until: Option<Instant>,
}

impl Damage {
    /// Notes that a room's log is damaged from an entry on, and says what to do, once for each entry.
    pub fn found(&self, room: &RoomId, entry: Seq, reason: &str) {
        if self.note(room, entry, reason, Instant::now()) {
            let entry = entry.get();
            tracing::error!(
                %room, entry, reason,
                "the log of a room is damaged: what comes before that entry is shown, and where this node owns the room it writes \
                 nothing more; see what is wrong with `rollcall audit`, and restore the entries from a backup"
            );
        }
    }

    /// Notes that a room's log is damaged, where a read from an entry on has failed for that; tells whether it has.
    pub fn look_at(&self, room: &RoomId, first: Seq, error: &LogError) -> bool {
        let LogError::Damaged(reason) = error else { return false };
        self.found(room, first, reason);
        true
    }

    /// Notes that a damaged room is shown from here on.
    pub fn is_shown(&self, room: &RoomId) {
        self.remember(room, None);
    }

    /// Notes that a damaged room is not shown any more.
    pub fn is_hidden(&self, room: &RoomId) {
        self.remember(room, Some(Instant::now() + REMEMBERED));
    }

    /// Notes that a room is whole again, as far as it was looked at; what was found elsewhere stays.
    pub fn is_over(&self, room: &RoomId, looked_at: &DamageFound) {
        let mut rooms = self.rooms();
        if rooms.get(room).is_some_and(|known| looked_at.covers(&known.found)) {
            rooms.remove(room);
            self.count.store(rooms.len(), Ordering::SeqCst);
        }
    }

    /// Returns what was found of a room; none where nothing was, or where it was forgotten.
    pub fn of(&self, room: &RoomId) -> Option<DamageFound> {
        if self.count.load(Ordering::SeqCst) == 0 {
            return None;
        }
        let now = Instant::now();
        self.rooms().get(room).filter(|known| known.is_remembered(now)).map(|known| known.found.clone())
    }

    /// Returns how many are damaged.
    pub fn count(&self) -> usize {
        self.count_at(Instant::now())
    }

    fn count_at(&self, now: Instant) -> usize {
        let mut rooms = self.rooms();
        rooms.retain(|_, known| known.is_remembered(now));
        self.count.store(rooms.len(), Ordering::SeqCst);
        rooms.len()
    }

    /// Tells whether that is news.
    fn note(&self, room: &RoomId, entry: Seq, reason: &str, now: Instant) -> bool {
        let found = DamageFound { entry, last: entry, reason: reason.to_owned() };
        let mut rooms = self.rooms();
        let until = Some(now + REMEMBERED);
        if rooms.len() >= FAILED_ROOMS_MAX {
            rooms.retain(|_, known| known.is_remembered(now));
        }
        let is_full = rooms.len() >= FAILED_ROOMS_MAX;
        match rooms.get_mut(room) {
            Some(known) => {
                let was_forgotten = !known.is_remembered(now);
                let is_news = was_forgotten || entry < known.found.entry || entry > known.found.last;
                if was_forgotten {
                    known.found = found;
                } else if entry < known.found.entry {
                    known.found = DamageFound { last: known.found.last, ..found };
                } else {
                    known.found.last = known.found.last.max(entry);
                }
                // One that is shown stays as long as it is.
                known.until = known.until.and(until);
                is_news
            }
            // Too many to remember them all: each is said as often as it is found.
            None if is_full => true,
            None => {
                rooms.insert(room.clone(), Known { found, until });
                self.count.store(rooms.len(), Ordering::SeqCst);
                true
            }
        }
    }

    fn remember(&self, room: &RoomId, until: Option<Instant>) {
        if let Some(known) = self.rooms().get_mut(room) {
            known.until = until;
        }
    }

    // Nothing panics under this lock.
    fn rooms(&self) -> MutexGuard<'_, HashMap<RoomId, Known>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DamageFound {
    fn covers(&self, other: &Self) -> bool {
        self.entry <= other.entry && other.last <= self.last
    }
}

impl Known {
    fn is_remembered(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_counts_while_it_is_shown_and_for_some_time_after_it_was_found() {
        let damage = Damage::default();
        let [a, b, c] = ["a", "b", "c"].map(|name| RoomId::parse(name).unwrap());
        let begin = Instant::now();
        damage.found(&a, Seq::new(7), "it does not fit");
        damage.found(&b, Seq::new(1), "it is missing");
        damage.is_shown(&b);
        damage.found(&c, Seq::new(2), "it does not fit");
        assert_eq!(damage.count(), 3);
        damage.is_over(&c, &damage.of(&c).unwrap());
        assert_eq!((damage.count(), damage.count_at(begin + REMEMBERED * 2)), (2, 1), "b is shown");
        damage.is_hidden(&b);
        assert_eq!((damage.count(), damage.count_at(begin + REMEMBERED * 2)), (1, 0));
    }

    #[test]
    fn the_first_and_the_last_damaged_entry_are_kept_and_are_news_once() {
        let damage = Damage::default();
        let (room, now) = (RoomId::parse("a").unwrap(), Instant::now());
        let note = |entry, now| damage.note(&room, Seq::new(entry), "it does not fit", now);
        let found = || damage.of(&room).map(|found| (found.entry.get(), found.last.get()));
        assert_eq!([7, 7, 9, 3, 7].map(|entry| note(entry, now)), [true, false, true, true, false]);
        assert_eq!(found(), Some((3, 9)));
        let looked_at = damage.of(&room).unwrap();
        assert!(note(12, now));
        damage.is_over(&room, &looked_at);
        assert_eq!(found(), Some((3, 12)), "nobody has looked at the twelfth");
        assert!(note(9, now + REMEMBERED * 2), "after it was forgotten");
        assert_eq!(found(), Some((9, 9)));
        damage.is_shown(&room);
        assert!(!note(9, now));
        assert_eq!(damage.count_at(now + REMEMBERED * 9), 1, "a room that is shown stays, however often it is found");
    }
}
