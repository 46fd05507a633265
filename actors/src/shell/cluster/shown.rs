//! The rooms that are shown on this node while another one owns them: their tails, and those who wait to read them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use rollcall_protocol::{Entry, RoomId, Seq};

use super::handle::Cluster;
use crate::ports::Log;
use crate::shell::admission::{Admission, QueueLimits};
use crate::shell::damage::Damage;
use crate::shell::handle::{Keeper, RoomHandle};
use crate::shell::tail::{RingLimits, Tail, TailEnd};

/// Nothing is asked of such a room's handle.
const NOTHING: QueueLimits = QueueLimits { entries_max: 0, bytes_max: 0 };

/// The rooms that are shown here.
pub(super) struct Shown {
    cluster: Cluster,
    log: Arc<dyn Log>,
    damage: Arc<Damage>,
    ring: RingLimits,
    rooms: HashMap<RoomId, Room>,
}

struct Room {
    handle: Arc<RoomHandle>,
    /// Whether a head is known from which on it is shown.
    has_begun: bool,
}

impl Shown {
    pub fn new(cluster: Cluster, log: Arc<dyn Log>, damage: Arc<Damage>, ring: RingLimits) -> Self {
        Self { cluster, log, damage, ring, rooms: HashMap::new() }
    }

    /// Returns a room's handle, and makes it if there is none.
    pub fn handle(&mut self, room: &RoomId) -> Arc<RoomHandle> {
        if let Some(shown) = self.rooms.get(room) {
            return Arc::clone(&shown.handle);
        }
        let watch = self.cluster.readers_watch(room);
        let admission = Admission::watched(NOTHING, Instant::now(), Some(watch));
        let handle = self.make(room, admission);
        self.rooms.insert(room.clone(), Room { handle: Arc::clone(&handle), has_begun: false });
        handle
    }

    /// Returns a room's handle if it is shown.
    pub fn get(&self, room: &RoomId) -> Option<&Arc<RoomHandle>> {
        self.rooms.get(room).map(|shown| &shown.handle)
    }

    /// Returns a handle to read a room's history by: that of the room if it is shown, or one of its own.
    pub fn handle_to_look(&self, room: &RoomId) -> Arc<RoomHandle> {
        self.rooms
            .get(room)
            .map_or_else(|| self.make(room, Admission::new(NOTHING, Instant::now())), |shown| Arc::clone(&shown.handle))
    }

    fn make(&self, room: &RoomId, admission: Arc<Admission>) -> Arc<RoomHandle> {
        let tail = Tail::new(room.clone(), self.ring);
        let keeper = Keeper::Node(self.cluster.clone());
        RoomHandle::new(keeper, admission, tail, Arc::clone(&self.log), Arc::clone(&self.damage))
    }

    /// Begins to show a room from a head on; who read it before joins again.
    pub fn begin(&mut self, room: &RoomId, head: Seq) {
        if self.rooms.get(room).is_some_and(|shown| shown.has_begun) {
            self.end(room, TailEnd::Moved);
        }
        let handle = self.handle(room);
        handle.tail.begin(head);
        if let Some(shown) = self.rooms.get_mut(room) {
            shown.has_begun = true;
        }
        handle.tail.ring_all();
    }

    /// Shows what follows.
    pub fn deliver(&self, room: &RoomId, entries: Arc<[Entry]>) {
        if let Some(shown) = self.rooms.get(room) {
            shown.handle.tail.push(entries);
        }
    }

    /// Shows a room no more; who reads it joins again.
    pub fn end(&mut self, room: &RoomId, why: TailEnd) {
        if let Some(shown) = self.rooms.remove(room) {
            shown.handle.tail.end(why);
        }
    }
}
