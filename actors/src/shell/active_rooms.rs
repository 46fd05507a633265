//! The rooms that are active on a node, and which of them are idle for too long, or too many. An idle room owes nothing: nobody
//! joined it, and nobody waits for an answer of it. It is kept so that who comes back soon need not wait for the log.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rollcall_protocol::RoomId;

use super::handle::RoomHandle;

/// The rooms by their names.
pub struct ActiveRooms {
    rooms: HashMap<RoomId, Arc<RoomHandle>>,
    /// How long an idle room stays.
    idle: Duration,
    /// How many of them stay.
    idle_rooms_max: usize,
    /// How many rooms there are when idle ones are to be counted again.
    sweep_at: usize,
}

/// What is to be done after a room was added.
#[must_use]
pub struct Inserted {
    /// Whether idle rooms should be looked for soon: said once, until that is done.
    pub sweep_is_due: bool,
}

impl ActiveRooms {
    /// Begins without rooms.
    pub fn new(idle: Duration, idle_rooms_max: usize) -> Self {
        let mut rooms = Self { rooms: HashMap::new(), idle, idle_rooms_max, sweep_at: 0 };
        rooms.plan_sweep();
        rooms
    }

    /// Returns a room.
    pub fn get(&self, room: &RoomId) -> Option<&Arc<RoomHandle>> {
        self.rooms.get(room)
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Returns all of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<RoomHandle>> {
        self.rooms.values()
    }

    /// Adds a room, in the place of an older actor of it.
    pub fn insert(&mut self, handle: Arc<RoomHandle>) -> Inserted {
        self.rooms.insert(handle.tail.room().clone(), handle);
        let sweep_is_due = self.rooms.len() >= self.sweep_at;
        if sweep_is_due {
            self.sweep_at = usize::MAX;
        }
        Inserted { sweep_is_due }
    }

    /// Removes this very actor of a room, but no later one.
    pub fn remove(&mut self, handle: &Arc<RoomHandle>) {
        let room = handle.tail.room();
        if self.rooms.get(room).is_some_and(|current| Arc::ptr_eq(current, handle)) {
            self.rooms.remove(room);
        }
    }

    /// Closes and removes the rooms that are idle for too long, and of too many the longest idle. Looks at every room.
    pub fn sweep(&mut self, now: Instant, mut give_up: impl FnMut(&RoomHandle)) {
        let idle = self.idle.min(self.crowd_out_after(now));
        self.rooms.retain(|_, handle| {
            let closed = handle.admission.close_if_idle(now, idle);
            if closed {
                give_up(handle);
            }
            !closed
        });
        if self.rooms.capacity() > 4 * self.rooms.len().max(1_000) {
            self.rooms.shrink_to_fit();
        }
        self.plan_sweep();
    }

    /// Returns how long a room may be idle so that no more than the limit are.
    fn crowd_out_after(&self, now: Instant) -> Duration {
        if self.rooms.len() <= self.idle_rooms_max {
            return Duration::MAX;
        }
        let mut idle_since: Vec<Instant> = self.iter().filter_map(|handle| handle.admission.idle_since()).collect();
        let Some(surplus) = idle_since.len().checked_sub(self.idle_rooms_max).filter(|&surplus| surplus > 0) else {
            return Duration::MAX;
        };
        let (_, last_to_go, _) = idle_since.select_nth_unstable(surplus - 1);
        now.saturating_duration_since(*last_to_go)
    }

    /// A look at every room costs as much as there are: their number grows by a part of itself before the next one.
    fn plan_sweep(&mut self) {
        let rooms = self.rooms.len();
        self.sweep_at = rooms + (rooms.max(self.idle_rooms_max) / 8).max(1);
    }
}
