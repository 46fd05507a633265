//! The rooms that are active on a node, and which of them are idle for too long, or too many. An idle room owes nothing: nobody
//! joined it, and nobody waits for an answer of it. It is kept so that who comes back soon need not wait for the log.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rollcall_protocol::RoomId;

use super::handle::RoomHandle;
use crate::limits::{ROOM_REST_MS, ROOM_SPACE_PAUSE_MS};

/// The rooms by their names.
pub struct ActiveRooms {
    rooms: HashMap<RoomId, Arc<RoomHandle>>,
    /// Of a cluster: those that are about to be, which nobody finds yet.
    starting: HashMap<RoomId, Arc<RoomHandle>>,
    /// How long an idle room stays.
    idle: Duration,
    /// How many of them stay.
    idle_rooms_max: usize,
    /// How many rooms there are at most, idle or not.
    active_rooms_max: usize,
    /// Before this time hardly a room was idle where one was needed, and none is looked for.
    crowded_until: Option<Instant>,
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
    pub fn new(idle: Duration, idle_rooms_max: usize, active_rooms_max: usize) -> Self {
        let mut rooms = Self {
            rooms: HashMap::new(),
            starting: HashMap::new(),
            idle,
            idle_rooms_max,
            active_rooms_max,
            crowded_until: None,
            sweep_at: 0,
        };
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

    /// Tells whether there is space for one room more, and makes some if there is none: closes and removes the rooms that are
    /// idle for longest, several at once, so that the look at every room is not for one alone. Where hardly any is idle, the
    /// next look waits a moment.
    pub fn make_space(&mut self, now: Instant, give_up: impl FnMut(&RoomHandle)) -> bool {
        if self.taken() < self.active_rooms_max {
            return true;
        }
        if self.crowded_until.is_some_and(|until| now < until) {
            return false;
        }
        let wanted = self.active_rooms_max / 16 + 1;
        let idle_since = self.idle_since();
        let is_crowded = idle_since.len() < wanted;
        self.crowded_until = is_crowded.then(|| now + Duration::from_millis(ROOM_SPACE_PAUSE_MS));
        let idle = longest_idle(idle_since, wanted, now);
        self.close_idle(now, idle, give_up);
        self.plan_sweep();
        self.taken() < self.active_rooms_max
    }

    /// Returns how many places are taken.
    fn taken(&self) -> usize {
        self.rooms.len() + self.starting.len()
    }

    /// Keeps a place for a room that is to be added, or removed, when the log has answered; unless that was already.
    pub fn keep_place(&mut self, handle: Arc<RoomHandle>) {
        if !handle.admission.is_closed() {
            self.starting.insert(handle.tail.room().clone(), handle);
        }
    }

    /// Adds a room, in the place of an older actor of it.
    pub fn insert(&mut self, handle: Arc<RoomHandle>) -> Inserted {
        remove_from(&mut self.starting, &handle);
        self.rooms.insert(handle.tail.room().clone(), handle);
        let sweep_is_due = self.rooms.len() >= self.sweep_at;
        if sweep_is_due {
            self.sweep_at = usize::MAX;
        }
        Inserted { sweep_is_due }
    }

    /// Removes this very actor of a room, but no later one.
    pub fn remove(&mut self, handle: &Arc<RoomHandle>) {
        remove_from(&mut self.starting, handle);
        remove_from(&mut self.rooms, handle);
    }

    /// Closes and removes the rooms that are idle for too long, and of too many the longest idle, and lets those rest of which
    /// nothing was asked for a while. Looks at every room.
    pub fn sweep(&mut self, now: Instant, give_up: impl FnMut(&RoomHandle), rest: impl Fn(&RoomHandle)) {
        let idle = self.idle.min(self.crowd_out_after(now));
        self.close_idle(now, idle, give_up);
        let after = Duration::from_millis(ROOM_REST_MS);
        self.iter().filter(|handle| handle.admission.comes_to_rest(now, after)).for_each(|handle| rest(handle));
        if self.rooms.capacity() > 4 * self.rooms.len().max(1_000) {
            self.rooms.shrink_to_fit();
        }
        self.plan_sweep();
    }

    fn close_idle(&mut self, now: Instant, idle: Duration, mut give_up: impl FnMut(&RoomHandle)) {
        self.rooms.retain(|_, handle| {
            let closed = handle.admission.close_if_idle(now, idle);
            if closed {
                give_up(handle);
            }
            !closed
        });
    }

    /// Returns how long a room may be idle so that no more than the limit are.
    fn crowd_out_after(&self, now: Instant) -> Duration {
        if self.rooms.len() <= self.idle_rooms_max {
            return Duration::MAX;
        }
        let idle_since = self.idle_since();
        let surplus = idle_since.len().saturating_sub(self.idle_rooms_max);
        longest_idle(idle_since, surplus, now)
    }

    /// Returns since when each idle room is idle.
    fn idle_since(&self) -> Vec<Instant> {
        self.iter().filter_map(|handle| handle.admission.idle_since()).collect()
    }

    /// A look at every room costs as much as there are: their number grows by a part of itself before the next one.
    fn plan_sweep(&mut self) {
        let rooms = self.rooms.len();
        self.sweep_at = rooms + (rooms.max(self.idle_rooms_max) / 8).max(1);
    }
}

/// Removes this very actor of a room, but no later one.
fn remove_from(rooms: &mut HashMap<RoomId, Arc<RoomHandle>>, handle: &Arc<RoomHandle>) {
    let room = handle.tail.room();
    if rooms.get(room).is_some_and(|current| Arc::ptr_eq(current, handle)) {
        rooms.remove(room);
    }
}

/// Returns for how long a room is idle at least if it is among the `count` that are idle for longest; of fewer, each is.
fn longest_idle(mut idle_since: Vec<Instant>, count: usize, now: Instant) -> Duration {
    let Some(last) = count.min(idle_since.len()).checked_sub(1) else { return Duration::MAX };
    let (_, last_to_go, _) = idle_since.select_nth_unstable(last);
    now.saturating_duration_since(*last_to_go)
}
