//! Random loss, cuts, late copies, refusals and restarts against the reference server: each write ends with exactly one
//! truth, in order, and each reader gets each entry once.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;
use rollcall_protocol::{DeviceId, Incoming, Op, OutgoingCommand, Write};

use super::reference_server::{Mood, Server};
use super::*;
use crate::error::WriteError;

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    Submit,
    OthersWrite,
    /// The server takes the next commands.
    ServerTakes(usize, Mood),
    /// The client takes the next frames.
    ClientTakes(usize),
    /// The next push is lost, as no server may lose one.
    LosePush,
    /// The connection breaks; of the commands under way those with a set bit arrive later, the others never.
    Cut(u64),
    /// A copy that was under way arrives.
    LateCopy(Mood),
    Pass(u64),
    /// The program dies and starts again from its storage.
    Restart,
    ForgetDevices,
}

fn step() -> impl Strategy<Value = Step> {
    let mood = || {
        prop_oneof![
            6 => Just(Mood::Fair),
            1 => Just(Mood::Busy),
            1 => any::<bool>().prop_map(|is_stored| Mood::Unknown { is_stored }),
            1 => Just(Mood::Forbidding),
        ]
    };
    prop_oneof![
        12 => Just(Step::Submit),
        2 => Just(Step::OthersWrite),
        12 => (1..8usize, mood()).prop_map(|(count, mood)| Step::ServerTakes(count, mood)),
        12 => (1..8usize).prop_map(Step::ClientTakes),
        1 => Just(Step::LosePush),
        2 => any::<u64>().prop_map(Step::Cut),
        3 => mood().prop_map(Step::LateCopy),
        6 => (0..3_000u64).prop_map(Step::Pass),
        1 => Just(Step::Restart),
        1 => Just(Step::ForgetDevices),
    ]
}

struct World {
    client: Client,
    saved: Saved,
    server: Server,
    is_open: bool,
    to_server: VecDeque<OutgoingCommand>,
    to_client: VecDeque<Incoming>,
    late_copies: VecDeque<(DeviceId, Write<Body>)>,
    submitted: u64,
    /// What became of each write, by its text.
    outcomes: BTreeMap<String, Result<Ack, WriteError>>,
    /// The last entry that the program was given.
    read: u64,
    random: u64,
}

impl World {
    fn new() -> Self {
        let mut server = Server::default();
        server.others_write();
        let mut world = Self {
            client: Client::new(config(), Saved::default()),
            saved: Saved::default(),
            server,
            is_open: false,
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            late_copies: VecDeque::new(),
            submitted: 0,
            outcomes: BTreeMap::new(),
            read: 0,
            random: 1,
        };
        world.restart();
        world
    }

    /// Starts the program's next life.
    fn restart(&mut self) {
        self.cut(u64::MAX);
        // Whoever waited for a write is gone; the storage has what was not answered.
        let config = SessionConfig { has_storage: true, ..config() };
        let now_ms = self.client.now_ms;
        self.client = Client::new(config, self.saved.clone());
        self.client.now_ms = now_ms;
        self.read = self.saved.rooms.get(&room()).and_then(|room| room.cursor).map_or(0, |cursor| cursor.seq.get());
        self.tell(Input::Start);
        let from = if self.read == 0 { JoinFrom::Start } else { JoinFrom::Saved };
        self.tell(Input::Join { room: room(), from });
    }

    fn cut(&mut self, arriving: u64) {
        for (place, command) in self.to_server.drain(..).enumerate() {
            if let (Op::Write(_, write), Some(device)) = (command.op, &self.server.device)
                && arriving >> (place % 64) & 1 == 1
            {
                self.late_copies.push_back((device.clone(), write));
            }
        }
        self.to_client.clear();
        self.server.cut();
        self.is_open = false;
    }

    fn tell(&mut self, input: Input) {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.client.random = self.random >> 20;
        let effects = self.client.told(input);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::AvoidServer => {}
                Effect::Connect => {
                    self.is_open = true;
                    self.tell(Input::Connected);
                }
                Effect::Disconnect => self.cut(0),
                Effect::Send(command) => self.to_server.push_back(command),
                Effect::Remember(change) => self.saved.apply(change),
                Effect::WriteEnded { ticket, outcome } => self.ended(&text(ticket.0), outcome),
                Effect::Deliver { event: RoomEvent::Recovered { write, outcome }, .. } => {
                    let body = write.body.expect("all writes are messages");
                    self.ended(&body.parse::<BTreeMap<String, String>>().unwrap()["text"], outcome);
                }
                Effect::Deliver { event: RoomEvent::Entries(batch), .. } => {
                    for entry in &batch.entries {
                        assert_eq!(entry.seq.get(), self.read + 1, "entries follow one another");
                        self.read += 1;
                    }
                    let cursor = batch.cursor();
                    self.tell(Input::Processed { room: room(), cursor });
                }
                Effect::Deliver { event: RoomEvent::Joined { .. }, .. } | Effect::JoinEnded { outcome: Ok(_), .. } => {}
                Effect::State(State::Stopped { error }) => panic!("the client stopped: {error}"),
                Effect::State(_) => {}
                other => panic!("nothing calls for {other:?}"),
            }
        }
    }

    fn ended(&mut self, text: &str, outcome: Result<Ack, WriteError>) {
        let before = self.outcomes.insert(text.to_owned(), outcome);
        assert_eq!(before, None, "{text} ended twice");
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Submit => {
                self.submitted += 1;
                let write = NewWrite::text(&text(self.submitted)).unwrap();
                self.tell(Input::Submit { room: room(), ticket: Ticket(self.submitted), write });
            }
            Step::OthersWrite => self.server.others_write(),
            Step::ServerTakes(count, mood) => (0..count).for_each(|_| self.server_takes(mood)),
            Step::ClientTakes(count) => (0..count).for_each(|_| self.client_takes()),
            Step::LosePush => {
                self.server.push();
            }
            Step::Cut(arriving) if self.is_open => {
                self.cut(arriving);
                self.tell(Input::Closed { code: None });
            }
            Step::Cut(_) => {}
            Step::LateCopy(mood) => {
                if let Some((device, write)) = self.late_copies.pop_front() {
                    // Nobody is there to be answered.
                    self.server.write(&device, &write, mood).ok();
                }
            }
            Step::Pass(ms) => self.passes(ms),
            Step::Restart => self.restart(),
            Step::ForgetDevices => self.server.forget_devices(),
        }
    }

    fn server_takes(&mut self, mood: Mood) {
        if let Some(command) = self.to_server.pop_front() {
            self.to_client.extend(self.server.take(&command, mood));
        }
        self.to_client.extend(self.server.push());
    }

    fn client_takes(&mut self) {
        if let Some(frame) = self.to_client.pop_front() {
            self.tell(Input::Frame(frame));
        }
    }

    fn passes(&mut self, ms: u64) {
        let end_ms = self.client.now_ms + ms;
        while let Some(at_ms) = self.client.session.deadline_ms().filter(|&at_ms| at_ms <= end_ms) {
            self.client.now_ms = self.client.now_ms.max(at_ms);
            self.tell(Input::Tick);
        }
        self.client.now_ms = end_ms;
    }

    /// Lets all that is under way arrive, without a fault, until nothing moves.
    fn heal(&mut self) {
        for _ in 0..3_000 {
            self.step(&Step::LateCopy(Mood::Fair));
            while !self.to_server.is_empty() || !self.to_client.is_empty() {
                self.server_takes(Mood::Fair);
                self.client_takes();
            }
            let is_quiet = self.saved.rooms.get(&room()).is_none_or(|room| room.unanswered.is_empty());
            if is_quiet && self.late_copies.is_empty() && self.read == self.server.head().get() {
                return;
            }
            self.passes(100);
            self.server_takes(Mood::Fair);
            // A lost tail shows in a ping.
            let head = self.server.head();
            if self.client.session.is_up() {
                self.tell(Input::Frame(Incoming::Ping(rollcall_protocol::Ping { heads: [(room(), head)].into() })));
            }
        }
        panic!("the client does not come to rest: read {} of {}, {:?}", self.read, self.server.head(), self.saved);
    }

    /// Where no write may be refused and no device forgotten, every write that is taken must end with its ack.
    fn check(&self, is_knowable: bool) {
        let mut last_seq = 0;
        for number in 1..=self.submitted {
            let text = text(number);
            let body = super::body(&text);
            let places: Vec<usize> = self
                .server
                .log
                .iter()
                .enumerate()
                .filter(|(_, kept)| *kept == body.as_str())
                .map(|(at, _)| at + 1)
                .collect();
            match self.outcomes.get(&text) {
                Some(Ok(ack)) => {
                    assert_eq!(
                        places,
                        [usize::try_from(ack.seq.get()).unwrap()],
                        "{text} is stored once, where its ack says"
                    );
                    assert!(ack.seq.get() > last_seq, "{text} was overtaken");
                    last_seq = ack.seq.get();
                }
                Some(Err(WriteError::QueueFull)) => assert!(places.is_empty(), "{text} was not taken"),
                Some(Err(error)) if is_knowable => panic!("{text} ended without need: {error}"),
                Some(Err(WriteError::Unknown { .. })) => assert!(places.len() <= 1, "{text} is stored twice"),
                Some(Err(_)) => assert!(places.is_empty(), "{text} ended as not stored, and is at {places:?}"),
                None => panic!("{text} never ended"),
            }
        }
    }
}

fn text(number: u64) -> String {
    format!("w{number}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_write_ends_with_one_truth_and_every_entry_comes_once(steps in prop::collection::vec(step(), 1..150)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.heal();
        let is_fatal = |step: &Step| match step {
            Step::ForgetDevices => true,
            Step::ServerTakes(_, mood) | Step::LateCopy(mood) => *mood == Mood::Forbidding,
            _ => false,
        };
        world.check(!steps.iter().any(is_fatal));
    }
}
