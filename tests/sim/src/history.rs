//! What clients did and saw, as the checker takes it.
//!
//! Two views are told apart: what servers put on each connection, and what each client's program was given by its session across all
//! of them. Both must be in order, without a gap, and equal to the log.

use std::fmt::Write as _;

use rollcall_checker::{
    Checker, DumpEvent, ExpiredEvent, FaultsEndEvent, FloorEvent, JoinedEvent, Kind, LeftEvent, Op, Outcome, PushRef,
    Verdict, WriteEvent,
};
use rollcall_client::{Batch, WriteError};
use rollcall_protocol::{Ack, Body, DeviceId, Entry, RoomId, Seq, UserId, WriteOp};
use sha2::{Digest, Sha256};

use crate::event::ConnId;
use crate::store::{RoomStore, Store};

/// A write, as its program sees it.
#[derive(Debug, Clone)]
pub struct WriteRecord {
    /// What it asked for.
    pub op: WriteOp,
    /// When it was given to the session.
    pub t_invoke_ms: u64,
    /// The program.
    pub conn: String,
    /// To which room.
    pub room: RoomId,
    /// By whom.
    pub user: UserId,
    /// From which installation.
    pub device: DeviceId,
    /// The device's counter.
    pub n: u64,
    /// What it is about.
    pub target: Option<Seq>,
    /// What is said.
    pub body: Option<Body>,
}

/// The history of a run.
#[derive(Debug)]
pub struct History {
    checker: Checker,
    damages: Vec<String>,
}

impl History {
    /// Begins.
    pub fn new() -> Self {
        Self { checker: Checker::new().keeping(3), damages: Vec::new() }
    }

    /// Notes what must never happen and is not the checker's to see.
    pub fn damage(&mut self, what: String) {
        self.damages.push(what);
    }

    /// Returns what must never happen and did.
    pub fn damages(&self) -> &[String] {
        &self.damages
    }

    /// A server has installed a cursor on a connection.
    pub fn wire_joined(&mut self, now_ms: u64, conn: ConnId, room: &RoomId, after: Seq, head: Seq) {
        self.joined(now_ms, format!("w{conn}"), room, after, head);
    }

    /// A server has pushed entries on a connection.
    pub fn wire_pushed(&mut self, now_ms: u64, conn: ConnId, room: &RoomId, entries: &[Entry]) {
        let (conn, room) = (self.checker.conn(&format!("w{conn}")), self.checker.room(room.as_str()));
        for entry in entries {
            let body_hash = hash_of(entry.body.as_ref());
            let (seq, epoch) = (entry.seq.get(), entry.epoch.get());
            self.checker.observe_push(&PushRef { conn, room, seq, epoch, body_hash, t: now_ms * 1_000 });
        }
    }

    /// A connection has left a room, or is gone.
    pub fn wire_left(&mut self, now_ms: u64, conn: ConnId, room: Option<&RoomId>) {
        self.left(now_ms, format!("w{conn}"), room);
    }

    /// A program's subscription goes on after a number.
    pub fn program_joined(&mut self, now_ms: u64, name: &str, room: &RoomId, after: Seq, head: Seq) {
        self.joined(now_ms, name.to_owned(), room, after, head);
    }

    /// A program was given entries.
    pub fn program_read(&mut self, now_ms: u64, name: &str, room: &RoomId, batch: &Batch, rows: Option<&RoomStore>) {
        let (conn, room) = (self.checker.conn(name), self.checker.room(room.as_str()));
        for entry in &batch.entries {
            // A page of history does not say under which ownership its entries were numbered.
            let stored = rows.and_then(|rows| rows.entry(entry.seq)).map(|entry| entry.epoch);
            let epoch = batch.epoch.or(stored).map_or(0, rollcall_protocol::Epoch::get);
            let body_hash = hash_of(entry.body.as_ref());
            self.checker.observe_push(&PushRef {
                conn,
                room,
                seq: entry.seq.get(),
                epoch,
                body_hash,
                t: now_ms * 1_000,
            });
        }
    }

    /// A program that reads a room was told that entries have expired.
    pub fn program_expired(&mut self, now_ms: u64, name: &str, room: &RoomId, from: Seq, to: Seq) {
        self.checker.observe_expired(&ExpiredEvent {
            t: now_ms * 1_000,
            conn: name.to_owned(),
            room: room.as_str().to_owned(),
            from: from.get(),
            to: to.get(),
        });
    }

    /// A program has died.
    pub fn program_left(&mut self, now_ms: u64, name: &str) {
        self.left(now_ms, name.to_owned(), None);
    }

    /// A write has ended, or nobody will learn how.
    pub fn write_ended(&mut self, now_ms: u64, write: &WriteRecord, outcome: Option<&Result<Ack, WriteError>>) {
        let (outcome, seq) = match outcome {
            Some(Ok(ack)) => (Outcome::Ok, Some(ack.seq.get())),
            Some(Err(WriteError::Refused(_))) => (Outcome::Failed, None),
            Some(Err(_)) | None => (Outcome::Unknown, None),
        };
        let op = match write.op {
            WriteOp::Send => Op::Send,
            WriteOp::Edit => Op::Edit,
            WriteOp::Redact => Op::Redact,
            WriteOp::React => Op::React,
        };
        self.checker.observe_write(&WriteEvent {
            op,
            t_invoke: write.t_invoke_ms * 1_000,
            t_return: now_ms * 1_000,
            conn: write.conn.clone(),
            node: String::new(),
            room: write.room.as_str().to_owned(),
            user: write.user.as_str().to_owned(),
            device: write.device.as_str().to_owned(),
            n: write.n,
            target: write.target.map(Seq::get),
            body_hash: write.body.as_ref().map(|body| hash_of(Some(body))),
            outcome,
            seq,
            epoch: None,
        });
    }

    /// The faults are over; whoever reads must reach the head within so many milliseconds.
    pub fn faults_end(&mut self, now_ms: u64, within_ms: u64) {
        self.checker.observe_faults_end(FaultsEndEvent { t: now_ms * 1_000, within_us: within_ms * 1_000 });
    }

    /// Judges the history against what the store holds in the end.
    pub fn judge(mut self, store: &Store) -> (Verdict, Vec<String>) {
        for (room, rows) in store.rooms() {
            let before = rows.floor_said().previous();
            self.floor(room, before, rows);
            rows.after(before).for_each(|entry| self.dump(room, entry));
        }
        let mut damages = self.damages;
        damages.extend(store.damages.iter().cloned());
        (self.checker.finish(), damages)
    }

    fn joined(&mut self, now_ms: u64, conn: String, room: &RoomId, after: Seq, head: Seq) {
        self.checker.observe_joined(&JoinedEvent {
            t: now_ms * 1_000,
            conn,
            room: room.as_str().to_owned(),
            after: after.get(),
            head: head.get(),
        });
    }

    fn left(&mut self, now_ms: u64, conn: String, room: Option<&RoomId>) {
        let room = room.map(|room| room.as_str().to_owned());
        self.checker.observe_left(&LeftEvent { t: now_ms * 1_000, conn, room });
    }

    fn floor(&mut self, room: &RoomId, before: Seq, rows: &RoomStore) {
        if let Some(hash) = rows.hash_at(before) {
            let floor = FloorEvent { room: room.as_str().to_owned(), floor: before.next().get(), hash_before: hash.0 };
            self.checker.observe_floor(&floor);
        }
    }

    fn dump(&mut self, room: &RoomId, entry: &Entry) {
        let mut owner = String::new();
        write!(owner, "{}", entry.owner).expect("a text takes what is written to it");
        self.checker.observe_dump(&DumpEvent {
            room: room.as_str().to_owned(),
            seq: entry.seq.get(),
            epoch: entry.epoch.get(),
            owner,
            kind: kind_of(entry.kind),
            user: Some(entry.sender.as_str().to_owned()),
            device: entry.device.as_ref().map(|device| device.as_str().to_owned()),
            n: entry.n,
            target: entry.target.map(Seq::get),
            created_at: entry.created_at_ms,
            salt: entry.salt.map(|salt| salt.0),
            content_hash: entry.content_hash.0,
            hash: entry.hash.0,
            body_hash: entry.body.as_ref().map(|body| hash_of(Some(body))),
            body: entry.body.as_ref().map(|body| body.as_str().to_owned()),
        });
    }
}

impl Default for History {
    fn default() -> Self {
        Self::new()
    }
}

fn hash_of(body: Option<&Body>) -> [u8; 32] {
    Sha256::digest(body.map_or("", |body| body.as_str())).into()
}

fn kind_of(kind: rollcall_protocol::Kind) -> Kind {
    match kind {
        rollcall_protocol::Kind::Message => Kind::Message,
        rollcall_protocol::Kind::Edit => Kind::Edit,
        rollcall_protocol::Kind::Redact => Kind::Redact,
        rollcall_protocol::Kind::React => Kind::React,
        rollcall_protocol::Kind::Member => Kind::Member,
        rollcall_protocol::Kind::Room => Kind::Room,
    }
}
