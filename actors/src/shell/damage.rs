//! The rooms whose logs are damaged, for whoever runs the node.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rollcall_protocol::{RoomId, Seq};

use crate::limits::FAILED_ROOMS_MAX;

/// For how long a room that was found damaged is remembered when it is not shown any more: in a cluster another node may find it
/// whole. Where clients go on writing it is found again long before that.
const REMEMBERED: Duration = Duration::from_secs(600);

/// The damaged rooms that were found here.
#[derive(Debug, Default)]
pub struct Damage {
    /// Each with the time until which it is remembered; none while it is shown.
    rooms: Mutex<HashMap<RoomId, Option<Instant>>>,
}

impl Damage {
    /// Notes that a room's log is damaged from an entry on, and says what to do.
    pub fn found(&self, room: &RoomId, entry: Seq, reason: &str) {
        let entry = entry.get();
        tracing::error!(
            %room, entry, reason,
            "the log of a room is damaged: what comes before that entry is shown, and nothing is written; see what is wrong \
             with `rollcall audit`, and restore the entries from a backup"
        );
        self.note(room, Some(Instant::now() + REMEMBERED));
    }

    /// Notes that what is left of a damaged room is shown from here on.
    pub fn is_shown(&self, room: &RoomId) {
        self.note(room, None);
    }

    /// Notes that a damaged room is not shown any more.
    pub fn is_hidden(&self, room: &RoomId) {
        self.note(room, Some(Instant::now() + REMEMBERED));
    }

    /// Notes that a room is whole again.
    pub fn is_over(&self, room: &RoomId) {
        self.rooms().remove(room);
    }

    /// Returns how many are damaged.
    pub fn count(&self) -> usize {
        self.count_at(Instant::now())
    }

    fn count_at(&self, now: Instant) -> usize {
        let mut rooms = self.rooms();
        rooms.retain(|_, until| until.is_none_or(|until| now < until));
        rooms.len()
    }

    fn note(&self, room: &RoomId, until: Option<Instant>) {
        let mut rooms = self.rooms();
        if rooms.len() < FAILED_ROOMS_MAX || rooms.contains_key(room) {
            rooms.insert(room.clone(), until);
        }
    }

    // Nothing panics under this lock.
    fn rooms(&self) -> MutexGuard<'_, HashMap<RoomId, Option<Instant>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
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
}
