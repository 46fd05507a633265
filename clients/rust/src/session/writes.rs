//! Writes of a session: taking them, sending them, learning what became of them, and changing the device's name where a
//! room does not know it any more.

use rollcall_protocol::{Ack, DeviceId, ErrorCode, ErrorFrame, Op, RoomId};

use super::effect::Effect;
use super::input::{NewWrite, Ticket};
use super::outbox::Settled;
use super::requests::Purpose;
use super::session::{Session, Turn};
use crate::error::WriteError;
use crate::event::RoomEvent;
use crate::storage::{Change, SavedWrite};

/// How long a change of device waits for writes to other rooms that are to be answered under the old name, in milliseconds.
pub const NEW_DEVICE_PATIENCE_MS: u64 = 5_000;

impl Session {
    pub(super) fn submit(&mut self, turn: &mut Turn<'_>, room: &RoomId, ticket: Ticket, write: NewWrite) {
        let Some(reader) = self.readers.get(room).filter(|_| self.stopped().is_none()) else {
            turn.effects.push(Effect::WriteEnded { ticket, outcome: Err(WriteError::Closed) });
            return;
        };
        let head = reader.head();
        let outbox = self.outboxes.entry(room.clone()).or_default();
        if !outbox.has_room(&write, self.config.queue_writes_max, self.config.queue_bytes_max) {
            turn.effects.push(Effect::WriteEnded { ticket, outcome: Err(WriteError::QueueFull) });
            return;
        }
        let kept = self.config.has_storage.then(|| write.clone());
        let n = outbox.push(head, ticket, write);
        let since = outbox.since();
        if let Some(kept) = kept {
            let change = Change::Submitted { room: room.clone(), since, write: SavedWrite::new(n, kept) };
            turn.effects.push(Effect::Remember(change));
        }
        self.drive_outbox(turn, room);
        self.check_device(turn, room);
    }

    /// Sends every write of a room that may be sent now.
    pub(super) fn drive_outbox(&mut self, turn: &mut Turn<'_>, room: &RoomId) {
        if !self.is_up() || !self.readers.get(room).is_some_and(|reader| reader.is_joined()) {
            return;
        }
        let Some(outbox) = self.outboxes.get_mut(room) else { return };
        let new_too = self.new_device_by_ms.is_none();
        while let Some((op, write)) = outbox.next(turn.now_ms(), room, new_too) {
            let purpose = Purpose::Write(room.clone(), write.n);
            self.requests.send(turn.now_ms(), purpose, Op::Write(op, write), turn.effects);
        }
        if let Some(at_ms) = outbox.due_ms().filter(|&at_ms| at_ms > turn.now_ms()) {
            self.due.at(at_ms);
        }
    }

    pub(super) fn write_answered(
        &mut self,
        turn: &mut Turn<'_>,
        room: &RoomId,
        n: u64,
        answer: Result<Option<Ack>, ErrorFrame>,
    ) {
        let Some(outbox) = self.outboxes.get_mut(room) else { return };
        let settled = match answer {
            Ok(Some(ack)) => outbox.acked(n, ack),
            Ok(None) => return self.give_up_connection(turn),
            Err(error) => {
                match error.code {
                    ErrorCode::TokenExpired => self.access.refresh_at(turn.now_ms()),
                    ErrorCode::NotJoined => {
                        if let Some(reader) = self.readers.get_mut(room) {
                            reader.cut();
                        }
                    }
                    _ => {}
                }
                if error.code == ErrorCode::TokenExpired {
                    self.due.at(turn.now_ms());
                }
                outbox.refused(turn.moment, n, error)
            }
        };
        if let Some(settled) = settled {
            self.settled(turn, room, settled);
        }
        self.drive_room(turn, room);
        self.check_device(turn, room);
    }

    /// Tells what became of a write.
    fn settled(&self, turn: &mut Turn<'_>, room: &RoomId, settled: Settled) {
        let Settled { ticket, write, outcome } = settled;
        let n = write.n;
        match ticket {
            Some(ticket) => turn.effects.push(Effect::WriteEnded { ticket, outcome }),
            None if self.readers.contains_key(room) => {
                turn.effects
                    .push(Effect::Deliver { room: room.clone(), event: RoomEvent::Recovered { write, outcome } });
            }
            None => {}
        }
        let accepted_n = self.outboxes.get(room).map_or(0, |outbox| outbox.accepted_n());
        self.remember(turn, || Change::Ended { room: room.clone(), n, accepted_n });
    }

    /// Tells those who wait for writes to a room that is left: what was sent may be stored, the rest never will be.
    pub(super) fn abandon_writes(&mut self, turn: &mut Turn<'_>, room: &RoomId) {
        let Some(outbox) = self.outboxes.get_mut(room) else { return };
        for settled in outbox.abandon() {
            if settled.outcome == Err(WriteError::Closed) {
                self.settled(turn, room, settled);
            } else if let Some(ticket) = settled.ticket {
                // It stays where it is kept, and is asked for again by a later join or a later life.
                turn.effects.push(Effect::WriteEnded { ticket, outcome: settled.outcome });
            }
        }
    }

    /// Gives all writes up that the user before wrote.
    pub(super) fn abandon_user(&mut self, turn: &mut Turn<'_>) {
        let cleared: Vec<_> = self.outboxes.iter_mut().map(|(room, outbox)| (room.clone(), outbox.clear())).collect();
        for (room, settled) in cleared {
            settled.into_iter().for_each(|settled| self.settled(turn, &room, settled));
        }
    }

    /// Starts a change of device where a room that is to be written to does not know this one.
    pub(super) fn check_device(&mut self, turn: &mut Turn<'_>, room: &RoomId) {
        let is_needed = self.outboxes.get(room).is_some_and(|outbox| outbox.is_lost() && !outbox.is_empty());
        if is_needed && self.new_device_by_ms.is_none() {
            self.new_device_by_ms = Some(turn.now_ms() + NEW_DEVICE_PATIENCE_MS);
            self.due.at(turn.now_ms() + NEW_DEVICE_PATIENCE_MS);
        }
        if self.new_device_by_ms.is_some() {
            self.change_device(turn);
        }
    }

    /// Takes a new device name, once nothing more is to be learnt under the old one or the patience is at its end.
    pub(super) fn change_device(&mut self, turn: &mut Turn<'_>) {
        let Some(by_ms) = self.new_device_by_ms else { return };
        if turn.now_ms() < by_ms && self.outboxes.values().any(|outbox| outbox.is_settling()) {
            self.due.at(by_ms);
            return;
        }
        self.new_device_by_ms = None;
        self.device = new_device(turn.moment.random);
        self.remember(turn, || Change::Device(self.device.clone()));
        let rooms: Vec<RoomId> = self.outboxes.keys().cloned().collect();
        for room in rooms {
            self.renumber(turn, &room);
        }
        self.connect_afresh(turn);
    }

    fn renumber(&mut self, turn: &mut Turn<'_>, room: &RoomId) {
        let head = self.known_head(room);
        let Some(outbox) = self.outboxes.get_mut(room) else { return };
        let unknown = outbox.renumber(head);
        let since = outbox.since();
        if self.config.has_storage {
            let kept = outbox.writes().map(|write| Change::Submitted { room: room.clone(), since, write });
            turn.effects.extend(kept.map(Effect::Remember));
        }
        for Settled { ticket, write, outcome } in unknown {
            match ticket {
                Some(ticket) => turn.effects.push(Effect::WriteEnded { ticket, outcome }),
                None if self.readers.contains_key(room) => {
                    let event = RoomEvent::Recovered { write, outcome };
                    turn.effects.push(Effect::Deliver { room: room.clone(), event });
                }
                None => {}
            }
        }
    }
}

/// Draws a device name: 64 random bits are unique enough among the devices of one user.
pub(crate) fn new_device(random: u64) -> DeviceId {
    DeviceId::parse(&format!("d-{random:016x}")).expect("letters, digits and a dash are a device name")
}
