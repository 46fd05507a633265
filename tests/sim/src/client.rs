//! Clients: the shipped session, and a program that reads a few rooms and writes to them.

use std::collections::{BTreeMap, BTreeSet};

use rollcall_client::session::{Credentials, Effect, Input, Moment, NewWrite, Session, SessionConfig, Ticket};
use rollcall_client::storage::{Change, Saved};
use rollcall_client::{JoinFrom, RoomEvent, State, WriteError};
use rollcall_protocol::{Ack, Body, DeviceId, ErrorCode, RoomId, Seq, UserId, WriteOp};

use crate::event::{ConnId, Event};
use crate::history::WriteRecord;
use crate::world::World;

/// Messages of its own that a client keeps in mind, to write about them.
const OWN_MESSAGES_MAX: usize = 8;

/// A client.
#[derive(Debug)]
pub struct Client {
    at: usize,
    /// Which life of its program this is.
    pub life: u64,
    /// Which installation this is: a new one where the storage was lost.
    pub installation: u64,
    /// None while its program does not run.
    pub session: Option<Session>,
    /// What outlives the program.
    pub saved: Saved,
    /// Its present connection.
    pub conn: Option<ConnId>,
    rooms: Vec<RoomId>,
    tickets: u64,
    /// Writes without an answer, by room and number.
    pub writes: BTreeMap<(RoomId, u64), WriteRecord>,
    by_ticket: BTreeMap<Ticket, (RoomId, u64)>,
    own_messages: Vec<(RoomId, Seq)>,
    /// Rooms that this life of its program was told it has joined.
    joined: BTreeSet<RoomId>,
    /// How far the program has read.
    pub read: BTreeMap<RoomId, Seq>,
    wakes_at_ms: Option<u64>,
}

impl Client {
    /// Makes a client whose program does not run yet.
    pub fn new(at: usize, rooms: Vec<RoomId>) -> Self {
        Self {
            at,
            life: 0,
            installation: 0,
            session: None,
            saved: Saved::default(),
            conn: None,
            rooms,
            tickets: 0,
            writes: BTreeMap::new(),
            by_ticket: BTreeMap::new(),
            own_messages: Vec::new(),
            joined: BTreeSet::new(),
            read: BTreeMap::new(),
            wakes_at_ms: None,
        }
    }

    fn user(&self) -> UserId {
        UserId::parse(&format!("user-{}", self.at)).expect("a name")
    }

    fn device(&self) -> DeviceId {
        DeviceId::parse(&format!("d{}-{}", self.at, self.installation)).expect("a name")
    }

    /// Returns what the program's subscriptions are called in the history.
    pub fn name(&self) -> String {
        format!("p{}.{}", self.at, self.life)
    }

    /// Returns the rooms that it reads.
    pub fn rooms(&self) -> &[RoomId] {
        &self.rooms
    }
}

impl World {
    /// Starts a client's program, from its storage.
    pub fn start_client(&mut self, at: usize) {
        let client = &mut self.clients[at];
        client.life += 1;
        let life = client.life;
        let config = SessionConfig {
            credentials: Credentials::Token("secret".to_owned()),
            device: client.device(),
            session: format!("s{at}.{life}"),
            has_storage: true,
            queue_writes_max: 200,
            queue_bytes_max: 1 << 20,
        };
        client.session = Some(Session::new(config, client.saved.clone()));
        client.wakes_at_ms = None;
        client.by_ticket.clear();
        client.joined.clear();
        let rooms = client.rooms.clone();
        self.tell_client(at, life, None, Input::Start);
        for room in rooms {
            let is_known = self.clients[at].saved.rooms.get(&room).is_some_and(|kept| kept.cursor.is_some());
            let from = if is_known { JoinFrom::Saved } else { JoinFrom::Start };
            self.tell_client(at, life, None, Input::Join { room, from });
        }
    }

    /// Ends a client's program; with its storage, nobody will ask for its writes again.
    pub fn kill_client(&mut self, at: usize, with_storage: bool) {
        let now_ms = self.now_ms;
        let client = &mut self.clients[at];
        if client.session.take().is_none() {
            return;
        }
        self.history.program_left(now_ms, &client.name());
        if with_storage {
            for (_, write) in std::mem::take(&mut client.writes) {
                self.history.write_ended(now_ms, &write, None);
            }
            client.saved = Saved::default();
            client.installation += 1;
            client.read.clear();
            client.own_messages.clear();
        }
        self.break_connection(at, 2_000);
    }

    /// Breaks a client's connection; the server learns of it later.
    pub fn break_connection(&mut self, at: usize, server_learns_ms: u64) {
        if let Some(conn) = self.clients[at].conn.take() {
            let delay_ms = self.dice.range(1, server_learns_ms.max(2));
            self.after(delay_ms, Event::ConnectionGone(conn));
        }
    }

    /// Gives a client an input; what concerns an earlier life or connection is dropped.
    pub fn tell_client(&mut self, at: usize, life: u64, conn: Option<ConnId>, input: Input) {
        let random = self.dice.next();
        let now_ms = self.now_ms;
        let client = &mut self.clients[at];
        if client.life != life || conn.is_some() && conn != client.conn {
            return;
        }
        if matches!(input, Input::Tick) {
            client.wakes_at_ms = None;
        }
        if client.session.is_none() {
            return;
        }
        if matches!(input, Input::Closed { .. } | Input::ConnectFailed)
            && let Some(conn) = client.conn.take()
        {
            self.after(0, Event::ConnectionGone(conn));
        }
        let mut effects = Vec::new();
        if let Some(session) = &mut self.clients[at].session {
            session.handle(Moment { now_ms, random }, input, &mut effects);
        }
        for effect in effects {
            self.say(|| format!("  c{at} wants {effect:?}"));
            self.carry_out_client(at, effect);
        }
        self.wake_client(at);
    }

    fn wake_client(&mut self, at: usize) {
        let client = &mut self.clients[at];
        let due = client.session.as_ref().and_then(Session::deadline_ms);
        if let Some(at_ms) = due
            && client.wakes_at_ms.is_none_or(|wakes| at_ms < wakes)
        {
            client.wakes_at_ms = Some(at_ms);
            let life = client.life;
            self.at(at_ms, Event::ToClient(at, life, None, Box::new(Input::Tick)));
        }
    }

    fn carry_out_client(&mut self, at: usize, effect: Effect) {
        match effect {
            Effect::Connect => {
                let (life, user) = (self.clients[at].life, self.clients[at].user());
                let conn = self.connect(at, life, user);
                self.clients[at].conn = Some(conn);
            }
            // Each connection is to a node that is drawn.
            Effect::AvoidServer => {}
            Effect::Disconnect => self.break_connection(at, 20),
            Effect::Send(command) => {
                if let Some(conn) = self.clients[at].conn {
                    self.send_command(conn, command);
                }
            }
            Effect::FetchToken => unreachable!("the token is given"),
            Effect::State(State::Stopped { error }) => self.history.damage(format!("client {at} stopped: {error}")),
            Effect::State(_) => {}
            Effect::Remember(change) => {
                if matches!(change, Change::Device(_)) && self.clients[at].saved.device.is_some() {
                    self.history.damage(format!("client {at} had to take a new device name"));
                }
                self.clients[at].saved.apply(change);
            }
            Effect::Deliver { room, event } => self.delivered(at, room, event),
            Effect::JoinEnded { room, outcome } => {
                if let Err(error) = outcome {
                    self.history.damage(format!("client {at} cannot join {room}: {error}"));
                }
            }
            Effect::WriteEnded { ticket, outcome } => {
                if let Some(key) = self.clients[at].by_ticket.remove(&ticket) {
                    self.write_ended(at, &key, &outcome);
                }
            }
            Effect::QueryEnded { .. } => {}
        }
    }

    fn delivered(&mut self, at: usize, room: RoomId, event: RoomEvent) {
        let (now_ms, name, life) = (self.now_ms, self.clients[at].name(), self.clients[at].life);
        match event {
            RoomEvent::Joined { after, joined } => {
                self.history.program_joined(now_ms, &name, &room, after, joined.head);
                self.clients[at].joined.insert(room.clone());
                self.clients[at].read.insert(room, after);
            }
            RoomEvent::Entries(batch) => {
                let rows = self.store.get(&room);
                self.history.program_read(now_ms, &name, &room, &batch, rows);
                let cursor = batch.cursor();
                self.clients[at].read.insert(room.clone(), cursor.seq);
                self.tell_client(at, life, None, Input::Processed { room, cursor });
            }
            RoomEvent::Recovered { write, outcome } => self.write_ended(at, &(room, write.n), &outcome),
            RoomEvent::Signal(_) => {}
            RoomEvent::Expired { from, to } => {
                self.totals.count("programs told of expired entries");
                // Told so as it joins, its place is told next.
                if self.clients[at].joined.contains(&room) {
                    self.history.program_expired(now_ms, &name, &room, from, to);
                }
                self.clients[at].read.insert(room, to);
            }
            other => self.history.damage(format!("client {at} was told of {room}: {other:?}")),
        }
    }

    fn write_ended(&mut self, at: usize, key: &(RoomId, u64), outcome: &Result<Ack, WriteError>) {
        let now_ms = self.now_ms;
        let Some(write) = self.clients[at].writes.remove(key) else { return };
        match outcome {
            Ok(ack) if write.op == WriteOp::Send => {
                let own = &mut self.clients[at].own_messages;
                own.push((key.0.clone(), ack.seq));
                if own.len() > OWN_MESSAGES_MAX {
                    own.remove(0);
                }
            }
            Ok(_) => {}
            Err(WriteError::Refused(error)) => {
                self.totals.count("writes refused");
                // Whoever writes about an entry that was redacted or has expired meanwhile is refused; who asks once more, after the writes behind it
                // were sent without it, learns that it was passed over.
                let is_about_another = write.op != WriteOp::Send;
                if !(is_about_another
                    && matches!(error.code, ErrorCode::NotFound | ErrorCode::Skipped | ErrorCode::Expired))
                {
                    self.history.damage(format!("client {at} was refused without need: {error:?}"));
                }
            }
            Err(WriteError::Unknown { last }) => {
                self.totals.count("writes that the session gave up");
                if write.op == WriteOp::Send {
                    self.history.damage(format!("client {at} never learns what became of a message: {last:?}"));
                }
            }
            Err(other) => return self.history.damage(format!("client {at}'s write was not taken: {other}")),
        }
        self.history.write_ended(now_ms, &write, Some(outcome));
    }

    /// A client's program has something to write.
    pub fn client_writes(&mut self, at: usize) {
        let (chance, place, which) = (self.dice.range(0, 100), self.dice.next(), self.dice.next());
        let client = &mut self.clients[at];
        if client.session.is_none() {
            return;
        }
        client.tickets += 1;
        let ticket = Ticket(client.tickets << 8 | client.life & 0xff);
        let own = client.own_messages.get(usize::try_from(which % 8).unwrap_or(0)).cloned();
        let body = Body::text(&format!("{}/{}", client.name(), ticket.0)).expect("a short text");
        let (room, write) = match own {
            Some((room, seq)) if chance < 6 => (room, NewWrite::edit(seq, body)),
            Some((room, seq)) if chance < 10 => (room, NewWrite::redact(seq)),
            Some((room, seq)) if chance < 16 => (room, NewWrite::react(seq, body)),
            _ => {
                let place = usize::try_from(place % client.rooms.len() as u64).expect("a place in a list");
                (client.rooms[place].clone(), NewWrite::message(body))
            }
        };
        let (user, device, life) = (client.user(), client.device(), client.life);
        let conn = client.name();
        let n = client.saved.rooms.get(&room).map_or(0, |kept| kept.last_n) + 1;
        let record = WriteRecord {
            op: write.op,
            t_invoke_ms: self.now_ms,
            conn,
            room: room.clone(),
            user,
            device,
            n,
            target: write.target,
            body: write.body.clone(),
        };
        client.writes.insert((room.clone(), n), record);
        client.by_ticket.insert(ticket, (room.clone(), n));
        self.totals.count("writes");
        self.tell_client(at, life, None, Input::Submit { room, ticket, write });
    }
}
