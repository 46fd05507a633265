//! The rooms that could not be activated a moment ago. Whoever asks for one of them is told to come again when it is tried anew:
//! not every request asks a log that has just said that it cannot be read.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use rollcall_protocol::RoomId;

use crate::limits::FAILED_ROOMS_MAX;

/// The rooms by their names, each with the time from which it is tried again.
#[derive(Debug, Default)]
pub struct FailedRooms {
    until: HashMap<RoomId, Instant>,
    /// The same in the order in which they failed.
    order: VecDeque<(Instant, RoomId)>,
}

impl FailedRooms {
    /// Notes that a room could not be activated.
    pub fn note(&mut self, room: &RoomId, now: Instant, pause: Duration) {
        self.forget_old(now);
        if self.order.len() >= FAILED_ROOMS_MAX {
            self.forget_oldest();
        }
        let until = now + pause;
        self.until.insert(room.clone(), until);
        self.order.push_back((until, room.clone()));
    }

    /// Returns for how long the room is not tried; none where it may be.
    pub fn wait(&mut self, room: &RoomId, now: Instant) -> Option<Duration> {
        self.forget_old(now);
        self.until.get(room).map(|until| until.saturating_duration_since(now))
    }

    fn forget_old(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(until, _)| *until <= now) {
            self.forget_oldest();
        }
        if self.order.is_empty() {
            (self.until, self.order) = (HashMap::new(), VecDeque::new());
        }
    }

    fn forget_oldest(&mut self) {
        // A room that was noted twice stays until its later time.
        if let Some((until, room)) = self.order.pop_front()
            && self.until.get(&room) == Some(&until)
        {
            self.until.remove(&room);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(1);

    fn room(number: usize) -> RoomId {
        RoomId::parse(&format!("room{number}")).unwrap()
    }

    #[test]
    fn a_room_waits_for_its_time_and_no_other_does() {
        let (mut failed, now) = (FailedRooms::default(), Instant::now());
        failed.note(&room(1), now, PAUSE);
        assert_eq!(failed.wait(&room(1), now + PAUSE / 4), Some(PAUSE * 3 / 4));
        assert_eq!(failed.wait(&room(2), now + PAUSE / 4), None);
        failed.note(&room(1), now + PAUSE / 2, PAUSE);
        assert_eq!(failed.wait(&room(1), now + PAUSE), Some(PAUSE / 2), "it failed again");
        assert_eq!(failed.wait(&room(1), now + PAUSE * 2), None);
        assert_eq!((failed.until.capacity(), failed.order.capacity()), (0, 0));
    }

    #[test]
    fn of_too_many_the_oldest_are_forgotten() {
        let (mut failed, now) = (FailedRooms::default(), Instant::now());
        (0..FAILED_ROOMS_MAX + 2).for_each(|number| failed.note(&room(number), now, PAUSE));
        assert_eq!((failed.until.len(), failed.order.len()), (FAILED_ROOMS_MAX, FAILED_ROOMS_MAX));
        assert_eq!((failed.wait(&room(1), now), failed.wait(&room(2), now)), (None, Some(PAUSE)));
    }
}
