//! A tiny rollcall: one room, three devices, three connections, in one piece. Its histories are clean by construction.

use proptest::prelude::*;
use rollcall_checker::{
    DumpEvent, Event, FaultsEndEvent, JoinedEvent, Kind, LeftEvent, NO_BODY, Op, Outcome, PushEvent, WriteEvent, chain,
};

pub const ROOM: &str = "general";
pub const WITHIN_US: u64 = 100;

/// What happens next.
#[derive(Debug, Clone)]
pub enum Step {
    /// A device writes; `before_us` and `after_us` are the way to the log and back.
    Write { device: usize, op: Op, fate: Fate, target: usize, before_us: u64, after_us: u64 },
    /// Another owner takes the room over.
    NewOwner,
    /// A connection joins so many entries behind the head.
    Join { conn: usize, behind: u64 },
    /// A connection gets at most so many entries.
    Deliver { conn: usize, count: u64 },
    /// A connection ends.
    Leave { conn: usize },
}

/// What becomes of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Acked,
    StoredUnknown,
    LostUnknown,
    Refused,
}

pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let op = prop_oneof![4 => Just(Op::Send), 1 => Just(Op::Edit), 1 => Just(Op::Redact), 1 => Just(Op::React)];
    let fate = prop_oneof![
        6 => Just(Fate::Acked), 1 => Just(Fate::StoredUnknown), 1 => Just(Fate::LostUnknown), 1 => Just(Fate::Refused)
    ];
    let write = (0..3_usize, op, fate, 0..8_usize, 0..40_u64, 0..40_u64).prop_map(
        |(device, op, fate, target, before_us, after_us)| Step::Write { device, op, fate, target, before_us, after_us },
    );
    let step = prop_oneof![
        8 => write,
        1 => Just(Step::NewOwner),
        2 => (0..3_usize, 0..5_u64).prop_map(|(conn, behind)| Step::Join { conn, behind }),
        4 => (0..3_usize, 1..4_u64).prop_map(|(conn, count)| Step::Deliver { conn, count }),
        1 => (0..3_usize).prop_map(|conn| Step::Leave { conn }),
    ];
    proptest::collection::vec(step, 0..60)
}

/// Runs the steps, lets everyone reach the head, and gives the history in an order that `seed` picks.
pub fn history(steps: &[Step], seed: u64) -> Vec<Event> {
    let mut model = Model::new();
    for step in steps {
        model.now += 10;
        model.run(step);
    }
    model.now += 10;
    for conn in 0..3 {
        model.deliver(conn, u64::MAX);
    }
    let faults_end = Event::FaultsEnd(FaultsEndEvent { t: model.now, within_us: WITHIN_US });
    let mut streams = model.streams;
    streams.extend(model.writes.into_iter().map(|write| vec![write]));
    streams.push(vec![faults_end]);
    streams.push(model.log.into_iter().map(|entry| Event::Dump(Box::new(entry))).collect());
    interleave(streams, seed)
}

/// Recomputes the hashes of the dump in a history that was changed.
pub fn chain_again(history: &mut [Event]) {
    let mut before = chain::start(ROOM);
    for event in history {
        if let Event::Dump(entry) = event {
            entry.hash = chain::next(&before, entry);
            before = entry.hash;
        }
    }
}

struct Model {
    now: u64,
    epoch: u64,
    last_n: [u64; 3],
    /// As it will be dumped, but for the bodies that redactions take.
    log: Vec<DumpEvent>,
    /// By connection; `None` while it is not joined.
    cursors: [Option<u64>; 3],
    streams: Vec<Vec<Event>>,
    writes: Vec<Event>,
}

impl Model {
    fn new() -> Self {
        let mut model = Self {
            now: 1_000,
            epoch: 5,
            last_n: [0; 3],
            log: Vec::new(),
            cursors: [None; 3],
            streams: vec![Vec::new(); 3],
            writes: Vec::new(),
        };
        model.append(Kind::Room, Some("user-0"), None, 0, None);
        model
    }

    fn head(&self) -> u64 {
        self.log.len() as u64
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Write { device, op, fate, target, before_us, after_us } => {
                self.write(device, op, fate, target, (self.now - before_us, self.now + after_us));
            }
            Step::NewOwner => self.epoch += 1,
            Step::Join { conn, behind } => {
                let (after, head) = (self.head().saturating_sub(behind), self.head());
                self.cursors[conn] = Some(after);
                let joined = JoinedEvent { t: self.now, conn: format!("conn-{conn}"), room: ROOM.into(), after, head };
                self.streams[conn].push(Event::Joined(joined));
            }
            Step::Deliver { conn, count } => self.deliver(conn, count),
            Step::Leave { conn } => {
                self.cursors[conn] = None;
                let left = LeftEvent { t: self.now, conn: format!("conn-{conn}"), room: None };
                self.streams[conn].push(Event::Left(left));
            }
        }
    }

    fn write(&mut self, device: usize, op: Op, fate: Fate, target: usize, (t_invoke, t_return): (u64, u64)) {
        let messages: Vec<u64> =
            self.log.iter().filter(|entry| entry.kind == Kind::Message).map(|entry| entry.seq).collect();
        let (op, target) = match messages.get(target % messages.len().max(1)) {
            Some(&message) if op != Op::Send => (op, Some(message)),
            _ => (Op::Send, None),
        };
        self.last_n[device] += 1;
        let n = self.last_n[device];
        let (user, device) = (format!("user-{}", device % 2), format!("device-{device}"));
        let body = body_of(op.kind(), &device, n);
        if matches!(fate, Fate::Acked | Fate::StoredUnknown) {
            self.append(op.kind(), Some(&user), Some(&device), n, target);
        }
        self.writes.push(Event::Write(WriteEvent {
            op,
            t_invoke,
            t_return,
            conn: "conn-0".into(),
            node: "node-a".into(),
            room: ROOM.into(),
            user,
            device,
            n,
            target,
            body_hash: (op != Op::Redact).then(|| chain::body_hash(&body)),
            outcome: match fate {
                Fate::Acked => Outcome::Ok,
                Fate::StoredUnknown | Fate::LostUnknown => Outcome::Unknown,
                Fate::Refused => Outcome::Failed,
            },
            seq: (fate == Fate::Acked).then(|| self.head()),
            epoch: (fate == Fate::Acked).then_some(self.epoch),
        }));
    }

    fn append(&mut self, kind: Kind, user: Option<&str>, device: Option<&str>, n: u64, target: Option<u64>) {
        let body = body_of(kind, device.unwrap_or(""), n);
        let seq = self.head() + 1;
        let salt = [seq as u8; 16];
        let mut entry = DumpEvent {
            room: ROOM.into(),
            seq,
            epoch: self.epoch,
            owner: format!("owner-{}", self.epoch),
            kind,
            user: user.map(Into::into),
            device: device.map(Into::into),
            n,
            target,
            created_at: self.now as i64,
            salt: Some(salt),
            content_hash: chain::content_hash(&salt, &body),
            hash: NO_BODY,
            body_hash: (kind != Kind::Redact).then(|| chain::body_hash(&body)),
            body: (kind != Kind::Redact && n.is_multiple_of(2)).then_some(body),
        };
        entry.hash = chain::next(&self.log.last().map_or(chain::start(ROOM), |last| last.hash), &entry);
        self.log.push(entry);
        self.erase_redacted();
    }

    fn erase_redacted(&mut self) {
        let redacted: Vec<Option<u64>> =
            self.log.iter().filter(|entry| entry.kind == Kind::Redact).map(|entry| entry.target).collect();
        for entry in &mut self.log {
            if redacted.contains(&Some(entry.seq)) || entry.kind == Kind::Edit && redacted.contains(&entry.target) {
                (entry.salt, entry.body_hash, entry.body) = (None, None, None);
            }
        }
    }

    fn deliver(&mut self, conn: usize, count: u64) {
        let Some(cursor) = self.cursors[conn] else { return };
        let last = cursor.saturating_add(count).min(self.head()).max(cursor);
        self.cursors[conn] = Some(last);
        for entry in &self.log[cursor as usize..last as usize] {
            self.streams[conn].push(Event::Push(PushEvent {
                t: self.now,
                conn: format!("conn-{conn}"),
                room: ROOM.into(),
                seq: entry.seq,
                epoch: entry.epoch,
                body_hash: entry.body_hash,
            }));
        }
    }
}

fn body_of(kind: Kind, device: &str, n: u64) -> String {
    if kind == Kind::Redact { String::new() } else { format!("{{\"text\":\"{kind:?} {n} of {device}\"}}") }
}

/// Merges streams in a random order that keeps the order of each.
fn interleave(streams: Vec<Vec<Event>>, mut seed: u64) -> Vec<Event> {
    let mut streams: Vec<_> = streams.into_iter().map(|stream| stream.into_iter().peekable()).collect();
    let mut events = Vec::new();
    while !streams.is_empty() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let place = (seed >> 33) as usize % streams.len();
        match streams[place].next() {
            Some(event) => events.push(event),
            None => drop(streams.swap_remove(place)),
        }
    }
    events
}
