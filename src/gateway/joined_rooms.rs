//! The rooms of a connection, and its place in each.

use std::time::Instant;

use rollcall_actors::shell::Subscribed;
use rollcall_protocol::{Hash, RoomId, Seq};

/// The rooms that a connection joined, by name. One or two as a rule, so they lie in a sorted row, not in a tree.
#[derive(Debug, Default)]
pub struct JoinedRooms {
    rooms: Vec<JoinedRoom>,
}

/// A room and the connection's place in it.
#[derive(Debug)]
pub struct JoinedRoom {
    /// The room's name.
    pub room: RoomId,
    /// The last entry that the connection was given.
    pub cursor: Seq,
    /// The hash of that entry, where it was given or told.
    pub hash: Option<Hash>,
    /// What was given is perhaps not what the log has: to be shown when the room is joined again. Where rooms only move it is not, since
    /// comparing it may cost a read of the log for each reader.
    pub has_diverged: bool,
    /// How it hangs on the room.
    pub link: Link,
}

/// How a connection hangs on a room.
#[derive(Debug)]
pub enum Link {
    /// It is subscribed.
    Live(Subscribed),
    /// The room's actor ended, and its next one was asked; counts the tries.
    Asked(u32),
    /// The room could not be had; to be asked again at this time.
    Waiting(u32, Instant),
}

impl JoinedRoom {
    /// Returns the room's name and head, while it is subscribed.
    pub fn head(&self) -> Option<(RoomId, Seq)> {
        match &self.link {
            Link::Live(subscribed) => Some((self.room.clone(), subscribed.room.tail().head())),
            Link::Asked(_) | Link::Waiting(..) => None,
        }
    }
}

impl JoinedRooms {
    /// Finds a room.
    pub fn get_mut(&mut self, room: &RoomId) -> Option<&mut JoinedRoom> {
        let at = self.find(room).ok()?;
        self.rooms.get_mut(at)
    }

    /// Tells whether a room is joined.
    pub fn contains(&self, room: &RoomId) -> bool {
        self.find(room).is_ok()
    }

    /// Adds a room, or replaces the subscription to it.
    pub fn insert(&mut self, room: JoinedRoom) {
        match self.find(&room.room) {
            Ok(at) => self.rooms[at] = room,
            Err(at) => {
                // One room is the rule, and a row that is grown makes space for four.
                if self.rooms.is_empty() {
                    self.rooms.reserve_exact(1);
                }
                self.rooms.insert(at, room);
            }
        }
    }

    /// Takes a room out.
    pub fn remove(&mut self, room: &RoomId) -> Option<JoinedRoom> {
        let at = self.find(room).ok()?;
        let removed = self.rooms.remove(at);
        if self.rooms.is_empty() {
            self.rooms = Vec::new();
        }
        Some(removed)
    }

    /// Returns all rooms, by name.
    pub fn iter(&self) -> impl Iterator<Item = &JoinedRoom> {
        self.rooms.iter()
    }

    /// Returns how many rooms are joined.
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Returns the earliest time at which a room is to be asked again.
    pub fn next_retry(&self) -> Option<Instant> {
        let times = self.rooms.iter().filter_map(|room| match room.link {
            Link::Waiting(_, at) => Some(at),
            Link::Live(_) | Link::Asked(_) => None,
        });
        times.min()
    }

    /// Returns the rooms that are to be asked again by now.
    pub fn due(&self, now: Instant) -> Vec<RoomId> {
        let is_due = |room: &&JoinedRoom| matches!(room.link, Link::Waiting(_, at) if at <= now);
        self.rooms.iter().filter(is_due).map(|room| room.room.clone()).collect()
    }

    fn find(&self, room: &RoomId) -> Result<usize, usize> {
        self.rooms.binary_search_by(|joined| joined.room.cmp(room))
    }
}
