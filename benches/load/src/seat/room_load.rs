//! A room under load: who writes next.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use super::board::{Board, Order};

/// A room's members, who take turns in writing.
#[derive(Debug, Default)]
pub struct RoomLoad {
    members: OnceCell<Vec<Rc<Board>>>,
    next: Cell<usize>,
    /// Each ack orders the next write.
    is_closed_loop: Cell<bool>,
    /// The highest number that anybody was told or shown.
    head: Cell<u64>,
}

impl RoomLoad {
    /// Seats the members.
    ///
    /// # Panics
    /// The second time, or without a member.
    pub fn seat(&self, members: Vec<Rc<Board>>) {
        assert!(!members.is_empty(), "a room under load has a member");
        self.members.set(members).expect("members are seated once");
    }

    /// Orders a write from the member whose turn it is.
    pub fn order(&self, order: Order) {
        let members = self.members();
        // Those who have lost their connection are passed over; if that is everybody, nobody writes.
        for _ in 0..members.len() {
            let turn = self.next.get();
            self.next.set((turn + 1) % members.len());
            if !members[turn].is_lost.get() {
                members[turn].order(order);
                return;
            }
        }
    }

    /// Begins a closed loop with so many writes unanswered at once.
    pub fn close_loop(&self, unanswered: usize) {
        self.is_closed_loop.set(true);
        for _ in 0..unanswered {
            self.order(Order::Now);
        }
    }

    /// Ends the closed loop: what is unanswered is waited for, and nothing follows.
    pub fn end_loop(&self) {
        self.is_closed_loop.set(false);
    }

    /// Learns that a write of a member has its final answer.
    pub fn answered(&self) {
        if self.is_closed_loop.get() {
            self.order(Order::Now);
        }
    }

    /// Learns of an entry.
    pub fn learn_head(&self, seq: u64) {
        self.head.set(self.head.get().max(seq));
    }

    /// Returns the highest number that anybody was told or shown.
    pub fn head(&self) -> u64 {
        self.head.get()
    }

    /// Tells whether every write was answered and, where `readers` is set, every member was shown the head.
    pub fn is_settled(&self, readers: bool) -> bool {
        let head = self.head.get();
        self.members()
            .iter()
            .all(|member| member.is_settled() && (!readers || member.is_lost.get() || member.cursor.get() >= head))
    }

    fn members(&self) -> &[Rc<Board>] {
        self.members.get().map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(members: usize) -> (RoomLoad, Vec<Rc<Board>>) {
        let boards: Vec<Rc<Board>> = (0..members).map(|_| Rc::default()).collect();
        let room = RoomLoad::default();
        room.seat(boards.clone());
        (room, boards)
    }

    fn taken(boards: &[Rc<Board>]) -> Vec<usize> {
        boards.iter().map(|board| std::iter::from_fn(|| board.take()).count()).collect()
    }

    #[test]
    fn members_take_turns_and_the_lost_are_passed_over() {
        let (room, boards) = room(3);
        room.close_loop(6);
        assert_eq!(taken(&boards), [2, 2, 2]);
        boards[1].is_lost.set(true);
        for _ in 0..4 {
            room.answered();
        }
        assert_eq!(taken(&boards), [2, 0, 2]);
        room.end_loop();
        room.answered();
        assert_eq!(taken(&boards), [0, 0, 0]);
    }

    #[test]
    fn a_room_is_settled_when_all_is_answered_and_shown() {
        let (room, boards) = room(2);
        room.learn_head(5);
        assert!(room.is_settled(false) && !room.is_settled(true));
        boards[0].cursor.set(5);
        boards[1].cursor.set(5);
        assert!(room.is_settled(true));
        boards[1].unanswered.set(1);
        assert!(!room.is_settled(true));
        boards[1].is_lost.set(true);
        assert!(room.is_settled(true));
    }
}
