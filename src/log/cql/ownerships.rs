//! The ownerships of this node: at most one a room, and no more than so many.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rollcall_actors::ports::Fence;
use rollcall_protocol::RoomId;

use super::ownership::Ownership;

/// Finds a room's ownership by its fence.
pub(super) struct Ownerships {
    rooms: Mutex<HashMap<RoomId, Arc<Ownership>>>,
    max: usize,
}

impl Ownerships {
    /// Keeps no more than so many.
    pub fn new(max: usize) -> Self {
        Self { rooms: Mutex::new(HashMap::new()), max: max.max(1) }
    }

    /// Puts an ownership in the place of an earlier one of its room. An activation that was overtaken by another one comes too
    /// late for a place. Which of two was the later one their epochs tell, but for a room that nobody has written to: there
    /// nobody is fenced, and who may write first is found out by writing.
    pub fn insert(&self, room: &RoomId, ownership: Ownership) {
        let mut rooms = self.lock();
        let is_overtaken = |there: &Arc<Ownership>| {
            there.fence().epoch > ownership.fence().epoch && (ownership.was_stored() || there.was_used())
        };
        if rooms.get(room).is_some_and(is_overtaken) {
            return;
        }
        rooms.insert(room.clone(), Arc::new(ownership));
        if rooms.len() > self.max {
            shrink(&mut rooms, self.max);
        }
    }

    /// Returns the ownership of a room under this fence.
    pub fn get(&self, room: &RoomId, fence: Fence) -> Option<Arc<Ownership>> {
        let mut rooms = self.lock();
        let ownership = rooms.get(room).filter(|ownership| ownership.fence() == fence)?;
        if ownership.is_stopped() {
            rooms.remove(room);
            return None;
        }
        Some(Arc::clone(ownership))
    }

    /// Forgets the ownership of a room under this fence. What is under way goes on.
    pub fn release(&self, room: &RoomId, fence: Fence) {
        let mut rooms = self.lock();
        if rooms.get(room).is_some_and(|ownership| ownership.fence() == fence) {
            rooms.remove(room);
        }
    }

    /// Forgets all of them. What is under way goes on.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RoomId, Arc<Ownership>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives up those that are over, and of the idle ones those that were used least recently, until a quarter of the places is free:
/// so the walk over all of them is rare.
fn shrink(rooms: &mut HashMap<RoomId, Arc<Ownership>>, max: usize) {
    rooms.retain(|_, ownership| !ownership.is_stopped());
    let mut idle: Vec<_> =
        rooms.iter().filter_map(|(room, ownership)| Some((ownership.idle_since()?, room.clone()))).collect();
    idle.sort_unstable_by_key(|(since, _)| *since);
    let excess = rooms.len().saturating_sub(max - max / 4);
    for (_, room) in idle.into_iter().take(excess) {
        rooms.remove(&room);
    }
}
