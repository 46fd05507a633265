//! A server that is plain to see through: one room, the rules of `docs/protocol.md` in their order, nothing fast.

use std::collections::BTreeMap;

use rollcall_protocol::{
    Ack, Body, DeviceId, EntriesFrame, EntryFrame, Epoch, ErrorCode, ErrorFrame, Incoming, Kind, OkFields, Op,
    OutgoingCommand, Seq, UserId, Write, limits,
};

use super::{hash, room};

/// How the server treats the next write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Fair,
    Busy,
    /// The write is stored, or not, and the server does not know.
    Unknown {
        is_stored: bool,
    },
    /// The sender may not write.
    Forbidding,
}

/// The server: one room, and one connection at a time.
#[derive(Debug, Default)]
pub(super) struct Server {
    /// The texts of the room's entries; the first is entry 1.
    pub(super) log: Vec<String>,
    devices: BTreeMap<DeviceId, Device>,
    /// The highest last seq of a device that was forgotten.
    forgotten: u64,
    /// Who is at the other end.
    pub(super) device: Option<DeviceId>,
    /// The subscription's cursor.
    cursor: Option<u64>,
}

#[derive(Debug, Default)]
struct Device {
    last_n: u64,
    /// What is known of each accepted n.
    writes: BTreeMap<u64, (u64, String)>,
}

impl Server {
    /// Ends the connection.
    pub(super) fn cut(&mut self) {
        (self.device, self.cursor) = (None, None);
    }

    /// Forgets all devices, as if 10,000 others had written.
    pub(super) fn forget_devices(&mut self) {
        self.devices.clear();
        self.forgotten = self.log.len() as u64;
    }

    /// Has another user say something.
    pub(super) fn others_write(&mut self) {
        let place = self.log.len() + 1;
        self.log.push(format!("other {place}"));
    }

    /// Takes a command of the connection and answers it.
    pub(super) fn take(&mut self, command: &OutgoingCommand, mood: Mood) -> Vec<Incoming> {
        let Some(id) = command.id else { return Vec::new() };
        let ok = |fields| vec![Incoming::Ok(id, Box::new(fields))];
        let head = self.head();
        let at_head =
            || OkFields { room: Some(room()), head: Some(head), floor: Some(Seq::FIRST), ..OkFields::default() };
        match &command.op {
            Op::Hello(hello) => {
                self.device = hello.device.clone();
                ok(OkFields {
                    connection: Some("c".into()),
                    user: UserId::parse("alice").ok(),
                    device: hello.device.clone(),
                    server_time_ms: Some(0),
                    ping_interval_ms: Some(limits::PING_INTERVAL_MS),
                    pong_timeout_ms: Some(limits::PONG_TIMEOUT_MS),
                    ..OkFields::default()
                })
            }
            Op::Join(join) => {
                self.cursor = Some(join.after.map_or(head.get(), Seq::get));
                let device = self.device.as_ref().and_then(|device| self.devices.get(device));
                let last_n = Some(device.map_or(0, |device| device.last_n));
                ok(OkFields { epoch: Some(Epoch::new(1)), hash: Some(hash(head.get())), last_n, ..at_head() })
            }
            Op::Leave(_) => {
                self.cursor = None;
                ok(OkFields::default())
            }
            Op::Write(_, write) => {
                let device = self.device.clone().expect("hello comes before a write");
                match self.write(&device, write, mood) {
                    Ok(ack) => {
                        ok(OkFields { seq: Some(ack.seq), duplicate: Some(ack.duplicate), ..OkFields::default() })
                    }
                    Err(error) => vec![Incoming::Error(Some(id), error)],
                }
            }
            Op::History(history) => {
                let after = history.after.expect("the client repairs forward").get();
                let last = (after + history.limit.unwrap_or(50)).min(head.get());
                let list = self.entries(after, last);
                ok(OkFields { list: Some(list), hash: Some(hash(last)), ..at_head() })
            }
            other => panic!("the client has no reason to send {other:?}"),
        }
    }

    /// Pushes what lies past the subscription's cursor, a few entries a frame.
    pub(super) fn push(&mut self) -> Option<Incoming> {
        let after = self.cursor.filter(|&after| after < self.log.len() as u64)?;
        let last = (after + 3).min(self.log.len() as u64);
        self.cursor = Some(last);
        let list = self.entries(after, last);
        Some(Incoming::Entries(EntriesFrame { room: room(), epoch: Epoch::new(1), list, hash: hash(last) }))
    }

    /// Takes one copy of a write.
    pub(super) fn write(&mut self, from: &DeviceId, write: &Write<Body>, mood: Mood) -> Result<Ack, ErrorFrame> {
        let error = |code| ErrorFrame::new(code, "m");
        if mood == Mood::Busy {
            return Err(error(ErrorCode::Busy));
        }
        let text = write.body.as_ref().expect("the client sends messages").as_str().to_owned();
        let is_new = !self.devices.contains_key(from);
        if is_new && write.since.map_or(0, Seq::get) < self.forgotten {
            return Err(error(ErrorCode::UnknownDevice).finally());
        }
        let device = self.devices.entry(from.clone()).or_default();
        if let Some((seq, known)) = device.writes.get(&write.n) {
            if *known == text {
                return Ok(Ack { seq: Seq::new(*seq), duplicate: true });
            }
            return Err(error(ErrorCode::Conflict).finally());
        }
        if write.n <= device.last_n {
            return Err(error(ErrorCode::Skipped).finally());
        }
        if mood == Mood::Forbidding {
            return Err(error(ErrorCode::Forbidden).finally());
        }
        let last_n = device.last_n;
        if write.prev.unwrap_or(write.n - 1) != last_n {
            return Err(error(ErrorCode::OutOfOrder).detail("last", last_n).finally());
        }
        if mood == (Mood::Unknown { is_stored: false }) {
            return Err(error(ErrorCode::OutcomeUnknown));
        }
        self.log.push(text.clone());
        let seq = self.log.len() as u64;
        device.last_n = write.n;
        device.writes.insert(write.n, (seq, text));
        if matches!(mood, Mood::Unknown { .. }) {
            return Err(error(ErrorCode::OutcomeUnknown));
        }
        Ok(Ack { seq: Seq::new(seq), duplicate: false })
    }

    pub(super) fn head(&self) -> Seq {
        Seq::new(self.log.len() as u64)
    }

    fn entries(&self, after: u64, last: u64) -> Vec<EntryFrame> {
        (after + 1..=last).map(|seq| self.entry(seq)).collect()
    }

    fn entry(&self, seq: u64) -> EntryFrame {
        EntryFrame {
            seq: Seq::new(seq),
            kind: Kind::Message,
            created_at_ms: 0,
            sender: UserId::parse("alice").expect("a name"),
            device: None,
            n: 0,
            target: None,
            body: Body::text(&self.log[usize::try_from(seq).expect("small") - 1]).ok(),
            redacted: false,
            epoch: None,
            owner: None,
            salt: None,
            content_hash: None,
            hash: None,
        }
    }
}
