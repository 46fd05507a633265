//! The session: what it is made of, and who takes which input.

use std::collections::BTreeMap;

use rollcall_protocol::{DeviceId, Incoming, RoomId, Seq, UserId};

use super::access::{Access, Credentials};
use super::effect::Effect;
use super::input::{Input, Moment};
use super::link::Link;
use super::outbox::Outbox;
use super::queries::Query;
use super::reader::Reader;
use super::requests::{Purpose, Requests};
use crate::cursor::Cursor;
use crate::storage::{Change, Saved};

/// What a session needs to know before it starts.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionConfig {
    /// How it proves who it is.
    pub credentials: Credentials,
    /// The name of this installation, where the storage has none.
    pub device: DeviceId,
    /// Drawn at random once in the life of the process: tells the server which connections are this client's own.
    pub session: String,
    /// Whether there is a storage, so that changes are worth telling.
    pub has_storage: bool,
    /// Writes to one room that may be unanswered or wait, sent and not sent.
    pub queue_writes_max: usize,
    /// The size of their bodies, in bytes.
    pub queue_bytes_max: usize,
}

/// A client's side of the protocol, without a socket, a clock or a source of randomness: it is told what happens and says
/// what is to be done.
#[derive(Debug)]
pub struct Session {
    pub(super) config: SessionConfig,
    pub(super) device: DeviceId,
    /// Whether the storage does not know the device yet.
    pub(super) is_new_device: bool,
    pub(super) user: Option<UserId>,
    pub(super) access: Access,
    pub(super) link: Link,
    /// Connections that were asked for.
    pub(super) attempt: u64,
    /// Connections that failed since one last held.
    pub(super) failures: u32,
    pub(super) requests: Requests,
    /// Boxed, as the next ones: a node of the map has room for eleven, and most clients have one.
    pub(super) readers: BTreeMap<RoomId, Box<Reader>>,
    /// Of every room that was ever written to: they outlive the subscription, since numbers go on growing.
    pub(super) outboxes: BTreeMap<RoomId, Box<Outbox>>,
    pub(super) queries: BTreeMap<u64, Query>,
    /// How far the program has read each room.
    pub(super) cursors: BTreeMap<RoomId, Cursor>,
    /// Until when a change of device waits for writes that are still to be answered under the old name.
    pub(super) new_device_by_ms: Option<u64>,
    /// Whether the caller does not read the socket, so that silence means nothing.
    pub(super) is_paused: bool,
    /// When the caller last went on reading.
    pub(super) resumed_ms: u64,
    pub(super) due: Due,
}

/// When something is due: never later than that, at times earlier.
#[derive(Debug)]
pub(super) struct Due(Option<u64>);

impl Due {
    /// Makes something due at a time.
    pub(super) fn at(&mut self, at_ms: u64) {
        self.0 = Some(self.0.map_or(at_ms, |due_ms| due_ms.min(at_ms)));
    }

    /// Makes something due at a time, if there is one.
    pub(super) fn at_some(&mut self, at_ms: Option<u64>) {
        if let Some(at_ms) = at_ms {
            self.at(at_ms);
        }
    }
}

/// The handling of one input.
pub(super) struct Turn<'a> {
    pub(super) moment: Moment,
    pub(super) effects: &'a mut Vec<Effect>,
}

impl Turn<'_> {
    pub(super) fn now_ms(&self) -> u64 {
        self.moment.now_ms
    }
}

impl Session {
    /// Makes a session that goes on from what was kept.
    pub fn new(config: SessionConfig, saved: Saved) -> Self {
        let cursors = saved.rooms.iter().filter_map(|(room, kept)| Some((room.clone(), kept.cursor?))).collect();
        let outboxes = saved.rooms.into_iter().map(|(room, kept)| (room, Box::new(Outbox::restore(kept)))).collect();
        Self {
            is_new_device: saved.device.is_none(),
            device: saved.device.unwrap_or_else(|| config.device.clone()),
            user: saved.user,
            access: Access::new(config.credentials.clone(), saved.guest_token),
            config,
            link: Link::Idle,
            attempt: 0,
            failures: 0,
            requests: Requests::default(),
            readers: BTreeMap::new(),
            outboxes,
            queries: BTreeMap::new(),
            cursors,
            new_device_by_ms: None,
            is_paused: false,
            resumed_ms: 0,
            due: Due(None),
        }
    }

    /// Takes an input and adds what is to be done because of it.
    pub fn handle(&mut self, moment: Moment, input: Input, effects: &mut Vec<Effect>) {
        let turn = &mut Turn { moment, effects };
        match input {
            Input::Start => self.start(turn),
            Input::Connected => self.connected(turn),
            Input::ConnectFailed => self.connection_lost(turn, None),
            Input::Frame(frame) => self.frame(turn, frame),
            Input::Garbled => self.give_up_connection(turn),
            Input::Closed { code } => self.connection_lost(turn, code),
            Input::ReadingPaused => self.is_paused = true,
            Input::ReadingResumed => self.reading_resumed(turn),
            Input::Token(token) => self.token(turn, token),
            Input::Join { room, from } => self.join(turn, room, from),
            Input::Leave { room } => self.leave(turn, &room),
            Input::Submit { room, ticket, write } => self.submit(turn, &room, ticket, write),
            Input::Query { query, history } => self.query(turn, query, history),
            Input::Typing { room } => self.typing(turn, room),
            Input::Processed { room, cursor } => self.processed(turn, room, cursor),
            Input::Stop(error) => self.stop(turn, error),
            Input::Tick => self.tick(turn),
        }
    }

    /// Returns when `Tick` is due, in milliseconds of the same clock; none while nothing is.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.due.0
    }

    /// Returns the name of this installation.
    pub fn device(&self) -> &DeviceId {
        &self.device
    }

    /// Returns the rooms that have writes without an answer.
    pub fn unanswered_rooms(&self) -> impl Iterator<Item = &RoomId> {
        self.outboxes.iter().filter(|(_, outbox)| !outbox.is_empty()).map(|(room, _)| room)
    }

    fn frame(&mut self, turn: &mut Turn<'_>, frame: Incoming) {
        self.heard(turn);
        match frame {
            Incoming::Entries(frame) => {
                if let Some(reader) = self.readers.get_mut(&frame.room) {
                    reader.entries(turn.now_ms(), frame, turn.effects);
                    self.due.at_some(reader.due_ms(self.resumed_ms));
                }
            }
            Incoming::Ok(id, fields) => match self.requests.answered(id) {
                Some(Purpose::Hello) => self.welcomed(turn, fields.welcome()),
                Some(Purpose::Refresh) => self.refreshed(turn, Ok(fields.expires_at_ms)),
                Some(Purpose::Join(room)) => self.join_answered(turn, id, &room, Ok(fields.joined())),
                Some(Purpose::Write(room, n)) => self.write_answered(turn, &room, n, Ok(fields.ack())),
                Some(Purpose::Repair(room)) => self.repair_answered(turn, id, &room, Ok(fields.history())),
                Some(Purpose::Query(query)) => self.query_answered(turn, query, Ok(fields.history())),
                Some(Purpose::Courtesy) | None => {}
            },
            Incoming::Error(Some(id), error) => match self.requests.answered(id) {
                Some(Purpose::Hello) => self.hello_refused(turn, error),
                Some(Purpose::Refresh) => self.refreshed(turn, Err(error)),
                Some(Purpose::Join(room)) => self.join_answered(turn, id, &room, Err(error)),
                Some(Purpose::Write(room, n)) => self.write_answered(turn, &room, n, Err(error)),
                Some(Purpose::Repair(room)) => self.repair_answered(turn, id, &room, Err(error)),
                Some(Purpose::Query(query)) => self.query_answered(turn, query, Err(error)),
                Some(Purpose::Courtesy) | None => {}
            },
            Incoming::Signal(signal) => self.signal(turn, signal),
            Incoming::Ping(ping) => self.pinged(turn, ping),
            Incoming::Left(left) => self.left(turn, left),
            Incoming::GoingAway(going_away) => self.going_away(turn, going_away),
            // An error without an id answers nothing that we could name; a close follows if it matters.
            Incoming::Error(None, _) | Incoming::Unknown => {}
        }
    }

    /// Does what the time has come for, and finds out what is due next.
    fn tick(&mut self, turn: &mut Turn<'_>) {
        self.due = Due(None);
        self.tick_link(turn);
        if !self.is_up() {
            return;
        }
        self.send_queries(turn);
        let rooms: Vec<RoomId> = self.readers.keys().cloned().collect();
        for room in rooms {
            self.drive_room(turn, &room);
        }
        if self.new_device_by_ms.is_some() {
            self.change_device(turn);
        }
    }

    /// Sends all that a room may send now: its join, the page that it misses, its writes.
    pub(super) fn drive_room(&mut self, turn: &mut Turn<'_>, room: &RoomId) {
        if !self.is_up() {
            return;
        }
        self.drive_reader(turn, room);
        self.drive_outbox(turn, room);
    }

    /// Says what must outlive a restart, where there is a storage.
    pub(super) fn remember(&self, turn: &mut Turn<'_>, change: impl FnOnce() -> Change) {
        if self.config.has_storage {
            turn.effects.push(Effect::Remember(change()));
        }
    }

    /// Returns the greatest number of a room that is known to exist.
    pub(super) fn known_head(&self, room: &RoomId) -> Seq {
        self.readers.get(room).map_or(Seq::ZERO, |reader| reader.head())
    }
}
