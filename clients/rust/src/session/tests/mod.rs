//! Tests of the session: inputs in, effects out, compared as data.

mod connection;
mod devices;
mod random_faults;
mod reading;
mod reference_server;
mod storage;
mod tokens;
mod writing;

use rollcall_protocol::{Ack, Body, DeviceId, Format, Hash, RoomId, Seq, UserId};

use super::{Credentials, Effect, Input, Moment, NewWrite, Session, SessionConfig, Ticket};
use crate::cursor::{Cursor, JoinFrom};
use crate::event::{Batch, RoomEvent};
use crate::state::State;
use crate::storage::Saved;

/// A session under test, with its clock.
struct Client {
    session: Session,
    now_ms: u64,
    random: u64,
}

fn config() -> SessionConfig {
    SessionConfig {
        credentials: Credentials::Token("secret".into()),
        device: DeviceId::parse("phone").unwrap(),
        session: "s1".into(),
        has_storage: false,
        queue_writes_max: 100,
        queue_bytes_max: 1_000,
    }
}

impl Client {
    fn new(config: SessionConfig, saved: Saved) -> Self {
        Self { session: Session::new(config, saved), now_ms: 0, random: 0 }
    }

    /// Tells the session something.
    fn told(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        let moment = Moment { now_ms: self.now_ms, random: self.random };
        self.session.handle(moment, input, &mut effects);
        effects
    }

    /// Lets the session hear a frame of the server.
    fn hears(&mut self, frame: &str) -> Vec<Effect> {
        self.told(Input::Frame(Format::Json.decode(frame.as_bytes()).unwrap()))
    }

    /// Lets time pass, ticking whenever the session wants it.
    fn passes(&mut self, ms: u64) -> Vec<Effect> {
        let end_ms = self.now_ms + ms;
        let mut effects = Vec::new();
        while let Some(at_ms) = self.session.deadline_ms().filter(|&at_ms| at_ms <= end_ms) {
            self.now_ms = self.now_ms.max(at_ms);
            effects.extend(self.told(Input::Tick));
        }
        self.now_ms = end_ms;
        effects
    }

    /// Asks for a message to be written.
    fn submits(&mut self, ticket: u64, text: &str) -> Vec<Effect> {
        let write = NewWrite::text(text).unwrap();
        self.told(Input::Submit { room: room(), ticket: Ticket(ticket), write })
    }

    /// Answers a connection's hello.
    fn welcomed(&mut self, hello_id: u64) -> Vec<Effect> {
        self.told(Input::Connected);
        self.hears(&welcome(hello_id, ""))
    }
}

/// A client whose hello, command 1, was answered.
fn connected() -> Client {
    connected_with(config(), Saved::default())
}

fn connected_with(config: SessionConfig, saved: Saved) -> Client {
    let mut client = Client::new(config, saved);
    client.told(Input::Start);
    client.welcomed(1);
    client
}

/// A client that has joined the room, by command 2, at a head.
fn joined_at(head: u64) -> Client {
    let mut client = connected();
    client.told(Input::Join { room: room(), from: JoinFrom::Head });
    client.hears(&joined(2, head, 0));
    client
}

fn welcome(id: u64, more: &str) -> String {
    format!(
        r#"{{"id":{id},"ok":{{"connection":"c","user":"alice","device":"phone","server_time_ms":1000000,
        "ping_interval_ms":25000,"pong_timeout_ms":10000{more}}}}}"#
    )
}

fn joined(id: u64, head: u64, last_n: u64) -> String {
    joined_with_floor(id, head, last_n, 1)
}

fn joined_with_floor(id: u64, head: u64, last_n: u64, floor: u64) -> String {
    let hash = hash(head);
    format!(
        r#"{{"id":{id},"ok":{{"room":"general","epoch":1,"head":{head},"floor":{floor},"hash":"{hash}","last_n":{last_n}}}}}"#
    )
}

/// Entries of the room, of epoch 1, as a push.
fn entries(seqs: std::ops::RangeInclusive<u64>) -> String {
    let hash = hash(*seqs.end());
    format!(r#"{{"entries":{{"room":"general","epoch":1,"list":[{}],"hash":"{hash}"}}}}"#, list(seqs))
}

fn page(id: u64, seqs: std::ops::RangeInclusive<u64>, head: u64, floor: u64) -> String {
    let hash = hash(*seqs.end());
    let list = list(seqs);
    format!(r#"{{"id":{id},"ok":{{"room":"general","head":{head},"floor":{floor},"list":[{list}],"hash":"{hash}"}}}}"#)
}

fn list(seqs: std::ops::RangeInclusive<u64>) -> String {
    let entry =
        |seq| format!(r#"{{"seq":{seq},"kind":"message","created_at":5,"sender":"bob","body":{{"text":"{seq}"}}}}"#);
    seqs.map(entry).collect::<Vec<_>>().join(",")
}

/// What the program gets of these entries.
fn delivered(seqs: std::ops::RangeInclusive<u64>) -> Effect {
    batch(seqs.clone(), Some(1), Some(*seqs.end()))
}

fn batch(seqs: std::ops::RangeInclusive<u64>, epoch: Option<u64>, hashed: Option<u64>) -> Effect {
    let entries = serde_json::from_str(&format!("[{}]", list(seqs))).unwrap();
    let batch = Batch { epoch: epoch.map(rollcall_protocol::Epoch::new), entries, hash: hashed.map(hash) };
    event(RoomEvent::Entries(batch))
}

fn event(event: RoomEvent) -> Effect {
    Effect::Deliver { room: room(), event }
}

/// A command that leaves the session.
fn send(command: &str) -> Effect {
    Effect::Send(serde_json::from_str(command).unwrap())
}

fn reconnecting(in_ms: u64, code: Option<u16>) -> Effect {
    Effect::State(State::Reconnecting { in_ms, code })
}

fn connected_state() -> Effect {
    let (user, device) = (UserId::parse("alice").unwrap(), DeviceId::parse("phone").unwrap());
    Effect::State(State::Connected { user, device, connection: "c".into() })
}

fn error(id: u64, code: &str, more: &str) -> String {
    let retryable = rollcall_protocol::ERRORS.iter().find(|row| row.wire == code).unwrap().retryable;
    format!(r#"{{"id":{id},"error":{{"code":"{code}","message":"m","retryable":{retryable}{more}}}}}"#)
}

fn error_frame(code: &str, more: &str) -> rollcall_protocol::ErrorFrame {
    match Format::Json.decode(error(0, code, more).as_bytes()).unwrap() {
        rollcall_protocol::Incoming::Error(_, error) => error,
        other => panic!("{other:?} is not an error"),
    }
}

fn acked(ticket: u64, seq: u64) -> Effect {
    Effect::WriteEnded { ticket: Ticket(ticket), outcome: Ok(Ack { seq: Seq::new(seq), duplicate: false }) }
}

fn hello(id: u64, attempt: u64) -> Effect {
    send(&format!(r#"{{"id":{id},"hello":{{"token":"secret","device":"phone","session":"s1","attempt":{attempt}}}}}"#))
}

fn room() -> RoomId {
    RoomId::parse("general").unwrap()
}

fn hash(seq: u64) -> Hash {
    format!("{seq:064x}").parse().unwrap()
}

fn cursor(seq: u64) -> Cursor {
    Cursor { seq: Seq::new(seq), hash: Some(hash(seq)) }
}

fn body(text: &str) -> Body {
    Body::text(text).unwrap()
}
