//! Whether nodes show what was committed within the time that is promised: two seconds, whatever the bus, Redis and other nodes do. Of
//! a node that stands still, or that the store gives trouble, nothing is expected until that lies two seconds back.

use rollcall_protocol::{RoomId, Seq};

use crate::world::World;

/// An entry that was stored this long ago is shown on every node where the room is read, in milliseconds: two seconds, and what a
/// look at the log takes.
const SHOWN_WITHIN_MS: u64 = 2_200;

/// The first entries of a room are shown within this time, in milliseconds: an owner that has stored nothing can be replaced without
/// a word in the log, and yields two seconds after it could last read that it was not.
const FIRST_SHOWN_WITHIN_MS: u64 = 4_000;

/// An owner that was fenced learns of it within this time, in milliseconds: its trust in its lease ends after two seconds, and then
/// it reads its fence within one.
const FENCE_SEEN_WITHIN_MS: u64 = 3_300;

impl World {
    /// Looks at every room on every node.
    pub fn look_at_freshness(&mut self) {
        let mut late = Vec::new();
        for at in 0..self.nodes.len() {
            let rooms = self.rooms.clone();
            for room in rooms {
                late.extend(self.lateness(at, &room));
            }
        }
        late.into_iter().for_each(|late| self.history.damage(late));
    }

    fn lateness(&mut self, at: usize, room: &RoomId) -> Option<String> {
        let now_ms = self.now_ms;
        let node = &mut self.nodes[at];
        let is_paused = node.paused_until_ms.is_some();
        let quiet_since_ms = node.awake_since_ms.max(node.store_was_bad_at_ms);
        let alive = node.alive.as_mut()?;
        let view = alive.core.view(room).filter(|_| !is_paused);
        // Who reads a room asks for it; one that nobody reads may be as late as it likes.
        let Some((view, _)) = view.filter(|_| alive.core.readers(room) > 0) else {
            alive.shown_since_ms.remove(room);
            return None;
        };
        let since_ms = (*alive.shown_since_ms.entry(room.clone()).or_insert(now_ms)).max(quiet_since_ms);
        let within_ms = match view.standing.head {
            _ if view.is_owned => FENCE_SEEN_WITHIN_MS,
            Seq::ZERO => FIRST_SHOWN_WITHIN_MS,
            _ => SHOWN_WITHIN_MS,
        };
        if now_ms < since_ms + within_ms {
            return None;
        }
        let due = self.store.get(room)?.head_at(now_ms - within_ms);
        let head = view.standing.head;
        let role = if view.is_owned { "owns" } else { "shows" };
        (head < due)
            .then(|| format!("at {now_ms} n{at} {role} {room} up to {head}, though {due} is {within_ms} ms old"))
    }
}
