//! The rooms whose logs are damaged, for whoever runs the node.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rollcall_protocol::{RoomId, Seq};

use crate::limits::FAILED_ROOMS_MAX;

/// For how long a room that was found damaged is remembered when it is not shown any more: in a cluster another node may find it
/// whole. Where clients go on writing it is found again long before that.
const REMEMBERED: Duration = Duration::from_secs(600);

/// What is wrong with a room's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamageFound {
    /// The first entry that is not what was written, as far as anybody has looked.
    pub entry: Seq,
    /// What is wrong with it; for whoever runs the node.
    pub reason: String,
}

/// The damaged rooms that were found here.
#[derive(Debug, Default)]
pub struct Damage {
    rooms: Mutex<HashMap<RoomId, Known>>,
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
                "the log of a room is damaged: what comes before that entry is shown, and its owner writes nothing more; see what \
                 is wrong with `rollcall audit`, and restore the entries from a backup"
            );
        }
    }

    /// Notes that a damaged room is shown from here on.
    pub fn is_shown(&self, room: &RoomId) {
        self.remember(room, None);
    }

    /// Notes that a damaged room is not shown any more.
    pub fn is_hidden(&self, room: &RoomId) {
        self.remember(room, Some(Instant::now() + REMEMBERED));
    }

    /// Notes that a room is whole again.
    pub fn is_over(&self, room: &RoomId) {
        self.rooms().remove(room);
    }

    /// Returns what was found of a room; none where nothing was, or where it was forgotten.
    pub fn of(&self, room: &RoomId) -> Option<DamageFound> {
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
        rooms.len()
    }

    /// Tells whether that is news.
    fn note(&self, room: &RoomId, entry: Seq, reason: &str, now: Instant) -> bool {
        let found = DamageFound { entry, reason: reason.to_owned() };
        let mut rooms = self.rooms();
        let until = Some(now + REMEMBERED);
        let is_full = rooms.len() >= FAILED_ROOMS_MAX;
        match rooms.get_mut(room) {
            Some(known) => {
                let is_news = !known.is_remembered(now) || entry < known.found.entry;
                if is_news {
                    known.found = found;
                }
                // One that is shown stays as long as it is.
                known.until = known.until.and(until);
                is_news
            }
            // Too many to remember them all: each is said as often as it is found.
            None if is_full => true,
            None => {
                rooms.insert(room.clone(), Known { found, until });
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
        damage.is_over(&c);
        assert_eq!((damage.count(), damage.count_at(begin + REMEMBERED * 2)), (2, 1), "b is shown");
        damage.is_hidden(&b);
        assert_eq!((damage.count(), damage.count_at(begin + REMEMBERED * 2)), (1, 0));
    }

    #[test]
    fn the_first_damaged_entry_is_kept_and_each_is_news_once() {
        let damage = Damage::default();
        let (room, now) = (RoomId::parse("a").unwrap(), Instant::now());
        let note = |entry, now| damage.note(&room, Seq::new(entry), "it does not fit", now);
        assert_eq!([7, 7, 9, 3, 7].map(|entry| note(entry, now)), [true, false, false, true, false]);
        assert_eq!(damage.of(&room).map(|found| found.entry), Some(Seq::new(3)));
        assert!(note(9, now + REMEMBERED * 2), "after it was forgotten");
        assert_eq!(damage.of(&room).map(|found| found.entry), Some(Seq::new(9)));
        damage.is_shown(&room);
        assert!(!note(9, now));
        assert_eq!(damage.count_at(now + REMEMBERED * 9), 1, "a room that is shown stays, however often it is found");
    }
}
