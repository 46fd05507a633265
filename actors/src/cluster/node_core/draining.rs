//! A node that drains gives its rooms away in turns: a room is silent from its owner's end until another node has activated it, and
//! rooms that are activated together wait for one another.

use std::collections::{BTreeMap, VecDeque};

use rollcall_protocol::RoomId;

/// How many rooms are given away at once at least.
const AT_ONCE_MIN: usize = 2;

/// In how many turns all rooms are given away at most.
const TURNS_MAX: usize = 20;

/// How long the owner here is waited for until it is another room's turn, in milliseconds: one that waits for the log may take as long as
/// an append may, and keeps nobody else.
const ENDS_MS_MAX: u64 = 150;

/// How long the next owner is waited for until it is another room's turn, in milliseconds.
const HANDS_OVER_MS_MAX: u64 = 250;

/// The rooms that a node which drains still has to give away. All are asked to end within 20 turns, each as long as the room's owner here
/// takes to end and its next owner to answer, but 400 ms at most: 8 s of the ten that a drain has by default.
#[derive(Debug)]
pub(super) struct Draining {
    waiting: VecDeque<RoomId>,
    at_once: usize,
    /// Whose turn it is.
    turns: BTreeMap<RoomId, RoomTurn>,
}

/// The turn of one room.
#[derive(Debug, Clone, Copy)]
struct RoomTurn {
    /// Whether the owner here has ended.
    has_ended: bool,
    /// When the turn is over at the latest, in milliseconds.
    over_at_ms: u64,
}

impl Draining {
    pub fn new(rooms: impl Iterator<Item = RoomId>) -> Self {
        let waiting: VecDeque<RoomId> = rooms.collect();
        let at_once = waiting.len().div_ceil(TURNS_MAX).max(AT_ONCE_MIN);
        Self { waiting, at_once, turns: BTreeMap::new() }
    }

    /// Returns a room whose turn it is: its owner is to end, unless there is none any more.
    pub fn next(&mut self, now_ms: u64) -> Option<RoomId> {
        self.turns.retain(|_, turn| turn.over_at_ms > now_ms);
        if self.turns.len() >= self.at_once {
            return None;
        }
        let room = self.waiting.pop_front()?;
        self.turns.insert(room.clone(), RoomTurn { has_ended: false, over_at_ms: now_ms + ENDS_MS_MAX });
        Some(room)
    }

    /// The room's owner has ended, or there was none; with `is_handed_over` another node is about to activate it.
    pub fn ended(&mut self, room: &RoomId, now_ms: u64, is_handed_over: bool) {
        match self.turns.get_mut(room) {
            Some(turn) if is_handed_over => {
                *turn = RoomTurn { has_ended: true, over_at_ms: now_ms + HANDS_OVER_MS_MAX };
            }
            Some(_) => _ = self.turns.remove(room),
            None => {}
        }
    }

    /// The room's next owner answers for it, or says that it will not be that.
    pub fn answered(&mut self, room: &RoomId) {
        if self.turns.get(room).is_some_and(|turn| turn.has_ended) {
            self.turns.remove(room);
        }
    }

    /// Returns when it is another room's turn at the latest, in milliseconds; none where none is left.
    pub fn wakes_at_ms(&self) -> Option<u64> {
        if self.waiting.is_empty() {
            return None;
        }
        if self.turns.len() < self.at_once {
            return Some(0);
        }
        self.turns.values().map(|turn| turn.over_at_ms).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rooms(count: usize) -> impl Iterator<Item = RoomId> {
        (0..count).map(|number| RoomId::parse(&format!("room-{number:05}")).unwrap())
    }

    fn turn(draining: &mut Draining, now_ms: u64) -> Vec<RoomId> {
        std::iter::from_fn(|| draining.next(now_ms)).collect()
    }

    #[test]
    fn some_rooms_are_given_away_at_once_and_the_next_ones_when_those_were_taken() {
        let mut draining = Draining::new(rooms(20 * 8));
        let first = turn(&mut draining, 0);
        assert_eq!(first, rooms(8).collect::<Vec<_>>());
        assert_eq!(draining.wakes_at_ms(), Some(150), "their owners have not ended");
        for room in &first[..3] {
            draining.ended(room, 10, true);
        }
        assert_eq!((turn(&mut draining, 11).len(), draining.wakes_at_ms()), (0, Some(150)));
        draining.answered(&first[0]);
        draining.answered(&first[7]);
        assert_eq!(turn(&mut draining, 12).len(), 1, "the owner of the eighth has not ended");
        assert_eq!(turn(&mut draining, 150).len(), 5, "owners that take long keep nobody else");
        assert_eq!(turn(&mut draining, 260).len(), 3, "nobody has answered for those");
    }

    #[test]
    fn a_room_that_nobody_wants_costs_no_time() {
        let mut draining = Draining::new(rooms(1_000));
        let mut given = 0;
        while let Some(room) = draining.next(0) {
            draining.ended(&room, 0, false);
            given += 1;
        }
        assert_eq!((given, draining.wakes_at_ms()), (1_000, None));
    }

    #[test]
    fn owners_that_do_not_end_leave_time_for_all_the_others() {
        let mut draining = Draining::new(rooms(10_000));
        let (mut now_ms, mut given) = (0, 0);
        loop {
            given += turn(&mut draining, now_ms).len();
            let Some(at_ms) = draining.wakes_at_ms() else { break };
            now_ms = at_ms;
        }
        assert_eq!((given, now_ms), (10_000, 19 * ENDS_MS_MAX));
    }

    #[test]
    fn many_rooms_take_no_more_turns_than_some() {
        let mut draining = Draining::new(rooms(10_000));
        let (mut now_ms, mut given) = (0, 0);
        loop {
            let rooms = turn(&mut draining, now_ms);
            given += rooms.len();
            for room in rooms {
                draining.ended(&room, now_ms, true);
            }
            let Some(at_ms) = draining.wakes_at_ms() else { break };
            now_ms = at_ms;
        }
        assert_eq!((given, now_ms), (10_000, 19 * HANDS_OVER_MS_MAX));
    }
}
