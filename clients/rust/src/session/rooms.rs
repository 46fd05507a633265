//! Rooms of a session: joining, resuming, reading, repairing, leaving.

use rollcall_protocol::{ErrorFrame, HistoryPage, Joined, Leave, Left, Op, RoomId, Signal, Typing};

use super::effect::Effect;
use super::reader::{Ending, Reader};
use super::requests::Purpose;
use super::session::{Session, Turn};
use crate::cursor::{Cursor, JoinFrom};
use crate::error::JoinError;
use crate::event::RoomEvent;
use crate::storage::Change;

impl Session {
    pub(super) fn join(&mut self, turn: &mut Turn<'_>, room: RoomId, from: JoinFrom) {
        let refusal = match self.stopped() {
            Some(error) => Some(JoinError::Stopped(error)),
            None => self.readers.contains_key(&room).then_some(JoinError::AlreadyJoined),
        };
        if let Some(error) = refusal {
            turn.effects.push(Effect::JoinEnded { room, outcome: Err(error) });
            return;
        }
        let from = match (from, self.cursors.get(&room)) {
            (JoinFrom::Saved, Some(&cursor)) => JoinFrom::Cursor(cursor),
            _ => from,
        };
        self.readers.insert(room.clone(), Box::new(Reader::new(from)));
        self.drive_room(turn, &room);
    }

    /// Sends the join or the repair that a room is due to send.
    pub(super) fn drive_reader(&mut self, turn: &mut Turn<'_>, room: &RoomId) {
        let Some(reader) = self.readers.get_mut(room) else { return };
        let now_ms = turn.now_ms();
        let id = self.requests.next_id();
        if let Some(join) = reader.join(now_ms, room, id) {
            self.requests.send(now_ms, Purpose::Join(room.clone()), Op::Join(join), turn.effects);
        } else if !self.is_paused
            && let Some(history) = reader.repair(now_ms, self.resumed_ms, room, id)
        {
            self.requests.send(now_ms, Purpose::Repair(room.clone()), Op::History(history), turn.effects);
        }
        let is_moot = self.is_paused && reader.is_joined();
        self.due.at_some(reader.due_ms(self.resumed_ms).filter(|_| !is_moot));
    }

    pub(super) fn join_answered(
        &mut self,
        turn: &mut Turn<'_>,
        id: u64,
        room: &RoomId,
        answer: Result<Option<Joined>, ErrorFrame>,
    ) {
        let Some(reader) = self.readers.get_mut(room) else { return };
        let result = match answer {
            Ok(Some(joined)) => reader.joined(turn.now_ms(), id, &joined, turn.effects).map(|()| joined),
            Ok(None) => return self.give_up_connection(turn),
            Err(error) => Err(reader.join_refused(turn.moment, id, room, error, turn.effects)),
        };
        match result {
            Ok(joined) => {
                if joined.last_n > 0 || self.outboxes.contains_key(room) {
                    self.outboxes.entry(room.clone()).or_default().joined(joined.last_n);
                }
                if !std::mem::replace(&mut reader.is_announced, true) {
                    turn.effects.push(Effect::JoinEnded { room: room.clone(), outcome: Ok(joined) });
                }
                self.drive_room(turn, room);
                self.check_device(turn, room);
            }
            Err(ending) => self.subscription_ended(turn, room, ending),
        }
    }

    /// Learns that the server ended a subscription by itself.
    pub(super) fn left(&mut self, turn: &mut Turn<'_>, left: Left) {
        let Some(reader) = self.readers.get_mut(&left.room).filter(|reader| reader.is_joined()) else { return };
        let ending = reader.ended(turn.moment, &left.room, left.error, turn.effects);
        self.subscription_ended(turn, &left.room, ending);
    }

    fn subscription_ended(&mut self, turn: &mut Turn<'_>, room: &RoomId, ending: Ending) {
        let Some(reader) = self.readers.get(room) else { return };
        let (is_first, anchor) = (!reader.is_announced, reader.anchor());
        let (event, error) = match ending {
            Ending::Again => return self.drive_reader(turn, room),
            Ending::Diverged => (RoomEvent::Diverged { at: anchor }, JoinError::Diverged { after: anchor.seq }),
            Ending::Refused(error) => {
                let error = Box::new(error);
                (RoomEvent::Refused(error.clone()), JoinError::Refused(error))
            }
        };
        if is_first || matches!(error, JoinError::Refused(_)) {
            self.readers.remove(room);
            self.abandon_writes(turn, room);
        }
        let room = room.clone();
        turn.effects.push(if is_first {
            Effect::JoinEnded { room, outcome: Err(error) }
        } else {
            Effect::Deliver { room, event }
        });
    }

    pub(super) fn repair_answered(
        &mut self,
        turn: &mut Turn<'_>,
        id: u64,
        room: &RoomId,
        answer: Result<Option<HistoryPage>, ErrorFrame>,
    ) {
        let Some(reader) = self.readers.get_mut(room) else { return };
        match answer {
            Ok(Some(page)) => reader.repaired(turn.moment, id, page, turn.effects),
            Ok(None) => return self.give_up_connection(turn),
            Err(error) => reader.repair_refused(turn.moment, id, room, &error, turn.effects),
        }
        self.drive_reader(turn, room);
    }

    pub(super) fn leave(&mut self, turn: &mut Turn<'_>, room: &RoomId) {
        let Some(reader) = self.readers.remove(room) else { return };
        self.abandon_writes(turn, room);
        if self.is_up() && reader.is_subscribed() {
            let op = Op::Leave(Leave { room: room.clone() });
            self.requests.send(turn.now_ms(), Purpose::Courtesy, op, turn.effects);
        }
    }

    pub(super) fn typing(&mut self, turn: &mut Turn<'_>, room: RoomId) {
        if self.is_up() && self.readers.get(&room).is_some_and(|reader| reader.is_joined()) {
            self.requests.send(turn.now_ms(), Purpose::Courtesy, Op::Typing(Typing { room }), turn.effects);
        }
    }

    pub(super) fn signal(&mut self, turn: &mut Turn<'_>, signal: Signal) {
        if self.readers.contains_key(&signal.room) {
            let room = signal.room.clone();
            turn.effects.push(Effect::Deliver { room, event: RoomEvent::Signal(signal) });
        }
    }

    pub(super) fn processed(&mut self, turn: &mut Turn<'_>, room: RoomId, cursor: Cursor) {
        self.cursors.insert(room.clone(), cursor);
        self.remember(turn, || Change::Read { room, cursor });
    }
}
