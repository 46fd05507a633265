//! The servers' ends of connections: commands, subscriptions with a cursor each, and what is pushed past it.

mod log_reads;

use std::collections::BTreeMap;

use rollcall_actors::cluster::forwarding::ToForward;
use rollcall_actors::cluster::node_core::{AskOwner, Life, NodeInput};
use rollcall_actors::cluster::{ForwardedWrite, JoinFrom};
use rollcall_actors::room::{Rights, SenderKey};
use rollcall_actors::shell::expired;
use rollcall_client::session::Input;
use rollcall_protocol::{
    Ack, Body, DeviceId, EntriesFrame, Entry, EntryFrame, ErrorCode, ErrorFrame, GoingAway, Incoming, Join, OkFields,
    Op, OutgoingCommand, Ping, RoomId, Seq, UserId, Write, WriteOp,
};

use crate::event::{Asked, ConnId, Event, NodeLife, Read, Token};
use crate::sabotage::Sabotage;
use crate::store::RoomStore;
use crate::tail::Pulled;
use crate::world::World;

/// How often a server pings, in milliseconds: more often than a real one, so that a run may be short.
const PING_EVERY_MS: u64 = 2_000;
/// How long an answer to a ping may take, in milliseconds.
const PONG_TIMEOUT_MS: u64 = 1_500;
/// Entries in a page.
const PAGE_ENTRIES_MAX: usize = 20;

/// All connections, by their names.
#[derive(Debug, Default)]
pub struct Connections {
    last: ConnId,
    open: BTreeMap<ConnId, Connection>,
}

/// The server's end of a connection.
#[derive(Debug)]
pub struct Connection {
    client: usize,
    client_life: u64,
    /// The node at the other end.
    pub node: NodeLife,
    user: UserId,
    device: Option<DeviceId>,
    subscriptions: BTreeMap<RoomId, Subscription>,
    /// Nothing passes before this time.
    pub stalled_until_ms: u64,
    to_client_at_ms: u64,
    to_server_at_ms: u64,
}

#[derive(Debug)]
struct Subscription {
    /// A join that was not answered, and its id.
    joining: Option<(u64, Join)>,
    /// Whether somebody who knows has said that the join is good.
    is_admitted: bool,
    /// What the owner elsewhere said of the device.
    last_n: Option<u64>,
    cursor: Seq,
    is_paging: bool,
}

/// What a sender is told falsely, where that is what is spoilt.
pub fn told_as_failed() -> ErrorFrame {
    ErrorFrame::new(ErrorCode::Forbidden, "it failed").finally()
}

impl Connections {
    /// Returns a connection that the server has not closed.
    pub fn get_mut(&mut self, conn: ConnId) -> Option<&mut Connection> {
        self.open.get_mut(&conn)
    }

    /// Returns the connections of a node, in one of its lives.
    pub fn of(&self, node: NodeLife) -> Vec<ConnId> {
        self.open.iter().filter(|(_, conn)| conn.node == node).map(|(&name, _)| name).collect()
    }
}

impl World {
    /// Opens a connection of a client to a node, or finds that it cannot be.
    pub fn connect(&mut self, client: usize, client_life: u64, user: UserId) -> ConnId {
        self.connections.last += 1;
        let name = self.connections.last;
        // Who names the nodes to clients knows most of the dead ones.
        let (first, second) = (self.dice.place(self.nodes.len()), self.dice.place(self.nodes.len()));
        let at = if self.life_of(first).is_some() { first } else { second };
        let now_ms = self.now_ms;
        let Some(node) = self.life_of(at) else {
            let input = Box::new(Input::ConnectFailed);
            self.after(5, Event::ToClient(client, client_life, Some(name), input));
            return name;
        };
        // A node that stands still greets when it goes on.
        let ready_ms = self.nodes[at].paused_until_ms.unwrap_or(0).max(now_ms) + self.dice.range(1, 10);
        let connection = Connection {
            client,
            client_life,
            node,
            user,
            device: None,
            subscriptions: BTreeMap::new(),
            stalled_until_ms: 0,
            to_client_at_ms: ready_ms,
            to_server_at_ms: ready_ms,
        };
        self.connections.open.insert(name, connection);
        self.at(ready_ms, Event::ToClient(client, client_life, Some(name), Box::new(Input::Connected)));
        self.at(ready_ms + PING_EVERY_MS, Event::Ping(name));
        name
    }

    /// Sends a command from a client.
    pub fn send_command(&mut self, conn: ConnId, command: OutgoingCommand) {
        let delay_ms = self.dice.range(1, 6);
        let now_ms = self.now_ms;
        if let Some(connection) = self.connections.get_mut(conn) {
            let at_ms = connection.to_server_at_ms.max(now_ms + delay_ms).max(connection.stalled_until_ms);
            connection.to_server_at_ms = at_ms;
            self.at(at_ms, Event::Command(conn, Box::new(command)));
        }
    }

    fn send_frame(&mut self, conn: ConnId, frame: Incoming) {
        let delay_ms = self.dice.range(1, 6);
        let now_ms = self.now_ms;
        if let Some(connection) = self.connections.get_mut(conn) {
            let at_ms = connection.to_client_at_ms.max(now_ms + delay_ms).max(connection.stalled_until_ms);
            connection.to_client_at_ms = at_ms;
            let (client, life) = (connection.client, connection.client_life);
            self.at(at_ms, Event::ToClient(client, life, Some(conn), Box::new(Input::Frame(frame))));
        }
    }

    /// A command arrives.
    pub fn command_arrives(&mut self, conn: ConnId, command: OutgoingCommand) {
        let Some(connection) = self.connections.open.get(&conn) else { return };
        let node = connection.node;
        if !self.lives(node) {
            return;
        }
        if let Some(until_ms) = self.nodes[node.node].paused_until_ms.filter(|&until_ms| until_ms > self.now_ms) {
            return self.at(until_ms, Event::Command(conn, Box::new(command)));
        }
        let Some(id) = command.id else { return };
        match command.op {
            Op::Hello(hello) => self.greet(conn, id, hello.device),
            Op::Join(join) => self.join(conn, id, join),
            Op::Leave(leave) => {
                if let Some(connection) = self.connections.get_mut(conn) {
                    connection.subscriptions.remove(&leave.room);
                }
                self.history.wire_left(self.now_ms, conn, Some(&leave.room));
                self.count_readers(node, &leave.room);
                self.send_frame(conn, Incoming::Ok(id, Box::default()));
            }
            Op::Write(op, write) => self.write(conn, id, op, write),
            Op::History(history) => self.page_of_history(conn, id, history),
            other => unreachable!("no client sends {other:?} here"),
        }
    }

    fn greet(&mut self, conn: ConnId, id: u64, device: Option<DeviceId>) {
        let wall_ms = self.wall_ms();
        let Some(connection) = self.connections.get_mut(conn) else { return };
        connection.device.clone_from(&device);
        let fields = OkFields {
            connection: Some(format!("c{conn}")),
            user: Some(connection.user.clone()),
            device,
            server_time_ms: Some(wall_ms),
            ping_interval_ms: Some(PING_EVERY_MS),
            pong_timeout_ms: Some(PONG_TIMEOUT_MS),
            ..OkFields::default()
        };
        self.send_frame(conn, Incoming::Ok(id, Box::new(fields)));
    }

    fn write(&mut self, conn: ConnId, id: u64, op: WriteOp, write: Write<Body>) {
        let Some(connection) = self.connections.open.get(&conn) else { return };
        let is_joined = connection.subscriptions.get(&write.room).is_some_and(|it| it.joining.is_none());
        let (node, user, device) = (connection.node, connection.user.clone(), connection.device.clone());
        let Some(device) = device.filter(|_| is_joined) else {
            let error = ErrorFrame::new(ErrorCode::NotJoined, "join first");
            return self.send_frame(conn, Incoming::Error(Some(id), error));
        };
        let Write { room, n, prev, since, target, body } = write;
        let prev = prev.unwrap_or(n.saturating_sub(1));
        let write = ForwardedWrite { n, prev, since: since.unwrap_or(Seq::ZERO), op, target, body };
        let rights = Rights { read: true, write: true, moderate: false };
        let write = ToForward { reply: Token { conn, id }, user, device, rights, write };
        self.tell_node(node, NodeInput::Write { room, write });
    }

    /// Answers a write.
    pub fn answer_write(&mut self, token: Token, answer: Result<Ack, ErrorFrame>) {
        let frame = match answer {
            Ok(ack) => {
                let fields = OkFields { seq: Some(ack.seq), duplicate: Some(ack.duplicate), ..OkFields::default() };
                Incoming::Ok(token.id, Box::new(fields))
            }
            Err(error) => Incoming::Error(Some(token.id), error),
        };
        self.send_frame(token.conn, frame);
    }

    fn join(&mut self, conn: ConnId, id: u64, join: Join) {
        let room = join.room.clone();
        let Some(connection) = self.connections.get_mut(conn) else { return };
        let node = connection.node;
        let from = connection.device.clone().map(|device| JoinFrom { device, after: join.after, hash: join.hash });
        let subscription = Subscription {
            joining: Some((id, join)),
            is_admitted: false,
            last_n: None,
            cursor: Seq::ZERO,
            is_paging: false,
        };
        if connection.subscriptions.insert(room.clone(), subscription).is_some() {
            self.history.wire_left(self.now_ms, conn, Some(&room));
        }
        let user = connection.user.clone();
        self.count_readers(node, &room);
        let reply = Token { conn, id };
        let alive = self.nodes[node.node].alive.as_ref();
        if alive.and_then(|alive| alive.core.view(&room)).is_some_and(|(view, _)| view.is_owned) {
            return self.admit(reply, &room, None);
        }
        let ask = AskOwner { user, rights: Rights { read: true, write: true, moderate: false }, join: from };
        self.tell_node(node, NodeInput::Ask { room, ask, reply });
    }

    /// Somebody who knows has said that a join is good.
    pub fn admit(&mut self, token: Token, room: &RoomId, last_n: Option<u64>) {
        let connection = self.connections.get_mut(token.conn);
        let subscription = connection.and_then(|connection| connection.subscriptions.get_mut(room));
        // It may have been left, and joined anew.
        let Some(subscription) =
            subscription.filter(|subscription| subscription.joining.as_ref().is_some_and(|(id, _)| *id == token.id))
        else {
            return;
        };
        subscription.is_admitted = true;
        subscription.last_n = last_n;
        self.try_join(token.conn, room, true);
    }

    /// A join is refused: by its owner, who asks to come again, or since what it wants has expired.
    pub fn refuse_join(&mut self, token: Token, room: &RoomId, error: ErrorFrame) {
        if let Some(connection) = self.connections.get_mut(token.conn)
            && let Some(subscription) = connection.subscriptions.get(room)
            && subscription.joining.as_ref().is_some_and(|(id, _)| *id == token.id)
        {
            let node = connection.node;
            connection.subscriptions.remove(room);
            self.count_readers(node, room);
            self.send_frame(token.conn, Incoming::Error(Some(token.id), error));
        }
    }

    /// Answers a join, if the room is shown on its node as far as the cursor says.
    fn try_join(&mut self, conn: ConnId, room: &RoomId, is_first: bool) {
        let Some(connection) = self.connections.open.get_mut(&conn) else { return };
        let (node, user, device) = (connection.node, connection.user.clone(), connection.device.clone());
        let Some(subscription) = connection.subscriptions.get_mut(room) else { return };
        let Some((id, join)) = subscription.joining.clone().filter(|_| subscription.is_admitted) else { return };
        let Some(alive) = self.nodes[node.node].alive.as_ref() else { return };
        let Some((view, hash)) = alive.core.view(room) else { return };
        let standing = view.standing;
        if join.after.is_some_and(|after| after > standing.head) {
            if is_first {
                self.totals.count("joins above the head");
            }
            let seq = join.after.unwrap_or_default();
            if self.store.get(room).is_none_or(|rows| rows.head() < seq) {
                self.history.damage(format!("a client has seen {seq} of {room}, which the log does not have"));
            }
            self.after(0, Event::ToNode(node, Box::new(NodeInput::Expect { room: room.clone(), seq })));
            return;
        }
        let rows = self.store.get(room);
        // The owner knows its floor; a replica may hear of it from the log.
        let floor = standing.floor.max(rows.map_or(Seq::FIRST, RoomStore::floor));
        if let Some(after) = join.after.filter(|after| after.next() < floor) {
            self.totals.count("joins below the floor");
            return self.refuse_join(Token { conn, id }, room, expired(after, floor));
        }
        let hash_at = |seq: Seq| rows.and_then(|rows| rows.hash_at(seq));
        let genesis = rollcall_protocol::hash::genesis(room);
        let hash = hash.or_else(|| hash_at(standing.head)).unwrap_or(genesis);
        let theirs = join.after.zip(join.hash);
        if let Some((after, theirs)) = theirs.filter(|(after, _)| *after > Seq::ZERO)
            && hash_at(after) != Some(theirs)
        {
            self.history.damage(format!("a client's history of {room} has diverged at {after}"));
        }
        let here = || {
            device
                .map_or(0, |device| alive.owners.get(room).map_or(0, |owner| owner.last_n(&SenderKey { user, device })))
        };
        let last_n = subscription.last_n.unwrap_or_else(here);
        let cursor = match join.after {
            Some(_) if self.sabotage == Some(Sabotage::ResumeAtHead) => standing.head,
            after => after.unwrap_or(standing.head),
        };
        subscription.joining = None;
        subscription.cursor = cursor;
        let after = join.after.unwrap_or(standing.head);
        self.history.wire_joined(self.now_ms, conn, room, after, standing.head);
        let fields = OkFields {
            room: Some(room.clone()),
            epoch: Some(standing.epoch),
            head: Some(standing.head),
            floor: Some(standing.floor),
            hash: Some(hash),
            last_n: Some(last_n),
            ..OkFields::default()
        };
        self.send_frame(conn, Incoming::Ok(id, Box::new(fields)));
        self.pump(conn, room);
    }

    /// A node's tail of a room begins after a number: where its connections are behind, they read the log.
    pub fn tail_begins(&mut self, life: NodeLife, room: &RoomId, head: Seq, owner: Option<Life>) {
        if let Some(alive) = &mut self.nodes[life.node].alive {
            let tail = alive.tails.entry(room.clone()).or_default();
            if owner.is_some() && tail.head() > head {
                self.totals.count("owners opened that were fenced already");
            }
            tail.begin(head);
            tail.owner = owner;
            self.pump_room(life, room);
        }
    }

    /// Lets every connection of a node that is in a room take what lies past its cursor.
    pub fn pump_room(&mut self, life: NodeLife, room: &RoomId) {
        for conn in self.connections.of(life) {
            self.try_join(conn, room, false);
            self.pump(conn, room);
        }
    }

    fn pump(&mut self, conn: ConnId, room: &RoomId) {
        let Some(connection) = self.connections.open.get_mut(&conn) else { return };
        let node = connection.node;
        let Some(subscription) = connection.subscriptions.get_mut(room) else { return };
        if subscription.joining.is_some() || subscription.is_paging {
            return;
        }
        let Some(alive) = self.nodes[node.node].alive.as_ref().filter(|_| self.nodes[node.node].life == node.life)
        else {
            return;
        };
        match alive.tails.get(room).map_or(Pulled::Nothing, |tail| tail.pull(subscription.cursor)) {
            Pulled::Nothing => {}
            Pulled::Entries(entries) => self.push(conn, room, &entries),
            Pulled::Behind => {
                subscription.is_paging = true;
                self.totals.count("pages read by connections");
                self.ask_store(node, Asked::Read(Box::new(Read::Page(conn, room.clone()))), 0);
            }
        }
    }

    /// Pushes entries, one frame an epoch, and moves the cursor.
    fn push(&mut self, conn: ConnId, room: &RoomId, entries: &[Entry]) {
        for batch in entries.chunk_by(|one, next| one.epoch == next.epoch) {
            let last = batch.last().expect("a chunk has at least one entry");
            if let Some(subscription) = self.connections.get_mut(conn).and_then(|it| it.subscriptions.get_mut(room)) {
                subscription.cursor = last.seq;
            }
            let frame = EntriesFrame {
                room: room.clone(),
                epoch: last.epoch,
                list: batch.iter().map(entry_frame).collect(),
                hash: last.hash,
            };
            let times = if self.sabotage == Some(Sabotage::PushedTwice) { 2 } else { 1 };
            for _ in 0..times {
                self.history.wire_pushed(self.now_ms, conn, room, batch);
                self.send_frame(conn, Incoming::Entries(frame.clone()));
            }
        }
    }

    /// A server's ping is due.
    pub fn ping(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.open.get(&conn) else { return };
        let slot = &self.nodes[connection.node.node];
        if let Some(until_ms) = slot.paused_until_ms.filter(|&until_ms| until_ms > self.now_ms) {
            return self.at(until_ms, Event::Ping(conn));
        }
        let Some(alive) = &slot.alive else { return };
        let joined = connection.subscriptions.iter().filter(|(_, it)| it.joining.is_none());
        let head = |room: &RoomId| Some((room.clone(), alive.core.view(room)?.0.standing.head));
        let heads = joined.filter_map(|(room, _)| head(room)).collect();
        self.send_frame(conn, Incoming::Ping(Ping { heads }));
        self.after(PING_EVERY_MS, Event::Ping(conn));
    }

    /// Tells the connections of a node that it will go.
    pub fn going_away(&mut self, node: NodeLife) {
        for conn in self.connections.of(node) {
            let retry_after_ms = self.dice.range(1, 1_500);
            self.send_frame(conn, Incoming::GoingAway(GoingAway { retry_after_ms }));
        }
    }

    /// A room is not shown on a node any more: whoever reads it there joins again.
    pub fn readers_ended(&mut self, life: NodeLife, room: &RoomId) {
        for conn in self.connections.of(life) {
            let Some(connection) = self.connections.get_mut(conn) else { continue };
            if connection.subscriptions.remove(room).is_some() {
                self.history.wire_left(self.now_ms, conn, Some(room));
                let error = ErrorFrame::new(ErrorCode::Unavailable, "join again");
                let left = rollcall_protocol::Left { room: room.clone(), error };
                self.send_frame(conn, Incoming::Left(left));
            }
        }
    }

    /// The server learns that a connection is gone.
    pub fn connection_gone(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.open.remove(&conn) else { return };
        self.history.wire_left(self.now_ms, conn, None);
        for room in connection.subscriptions.keys() {
            self.count_readers(connection.node, room);
        }
    }

    /// A node has died: its connections break.
    pub fn connections_of_dead_node(&mut self, life: NodeLife) {
        for conn in self.connections.of(life) {
            let Some(connection) = self.connections.open.remove(&conn) else { continue };
            self.history.wire_left(self.now_ms, conn, None);
            let delay_ms = self.dice.range(1, 60);
            let input = Box::new(Input::Closed { code: None });
            self.after(delay_ms, Event::ToClient(connection.client, connection.client_life, Some(conn), input));
        }
    }

    fn count_readers(&mut self, life: NodeLife, room: &RoomId) {
        let is_here = |it: &&Connection| it.node == life && it.subscriptions.contains_key(room);
        let count = self.connections.open.values().filter(is_here).count();
        self.after(0, Event::ToNode(life, Box::new(NodeInput::Readers { room: room.clone(), count })));
    }
}

fn entry_frame(entry: &Entry) -> EntryFrame {
    EntryFrame {
        seq: entry.seq,
        kind: entry.kind,
        created_at_ms: entry.created_at_ms,
        sender: entry.sender.clone(),
        device: entry.device.clone(),
        n: entry.n,
        target: entry.target,
        body: entry.body.clone(),
        redacted: entry.is_redacted(),
        epoch: None,
        owner: None,
        salt: None,
        content_hash: None,
        hash: None,
    }
}
