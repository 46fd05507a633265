//! The world of a run: time, what is under way, and everything that takes part.

use std::collections::BTreeMap;

use rollcall_protocol::RoomId;
use xxhash_rust::xxh3::Xxh3;

use crate::client::Client;
use crate::dice::Dice;
use crate::event::{Event, NodeLife};
use crate::faults::Fault;
use crate::gateway::Connections;
use crate::history::History;
use crate::node::Node;
use crate::plan::Plan;
use crate::redis::Redis;
use crate::run::Settings;
use crate::sabotage::Sabotage;
use crate::store::Store;
use crate::totals::Totals;

/// A simulated world.
pub struct World {
    /// The present time, in milliseconds.
    pub now_ms: u64,
    queue: BTreeMap<(u64, u64), Event>,
    scheduled: u64,
    /// Chance for what happens on the way.
    pub dice: Dice,
    /// The nodes, dead or alive.
    pub nodes: Vec<Node>,
    /// The clients.
    pub clients: Vec<Client>,
    /// Connections between them.
    pub connections: Connections,
    /// The servers of the store.
    pub store: Store,
    /// Redis.
    pub redis: Redis,
    /// What goes wrong now.
    pub weather: Weather,
    /// What clients did and saw.
    pub history: History,
    /// What happened.
    pub totals: Totals,
    /// What is spoilt.
    pub sabotage: Option<Sabotage>,
    /// The rooms.
    pub rooms: Vec<RoomId>,
    /// Whether the faults are over.
    pub is_healed: bool,
    trace: Xxh3,
    is_traced_fully: bool,
    traced_until_ms: u64,
    /// Whether what happens is printed.
    pub is_verbose: bool,
}

/// What goes wrong now, everywhere or on one node.
#[derive(Debug, Default)]
pub struct Weather {
    /// Faults that have begun and not ended.
    pub now: Vec<Fault>,
}

impl World {
    /// Makes a world where nothing has happened yet.
    pub fn new(plan: &Plan, dice: Dice, settings: Settings) -> Self {
        Self {
            now_ms: 0,
            queue: BTreeMap::new(),
            scheduled: 0,
            dice,
            nodes: (0..plan.nodes).map(Node::new).collect(),
            clients: Vec::new(),
            connections: Connections::default(),
            store: Store::default(),
            redis: Redis::default(),
            weather: Weather::default(),
            history: History::new(),
            totals: Totals::default(),
            sabotage: settings.sabotage,
            rooms: plan.rooms.clone(),
            is_healed: false,
            trace: Xxh3::new(),
            is_traced_fully: settings.is_traced_fully,
            traced_until_ms: settings.traced_until_ms.unwrap_or(u64::MAX),
            is_verbose: settings.is_verbose,
        }
    }

    /// Lets something happen after so many milliseconds.
    pub fn after(&mut self, delay_ms: u64, event: Event) {
        self.at(self.now_ms + delay_ms, event);
    }

    /// Lets something happen at a time.
    pub fn at(&mut self, at_ms: u64, event: Event) {
        self.scheduled += 1;
        self.queue.insert((at_ms.max(self.now_ms), self.scheduled), event);
    }

    /// Lets the next thing happen, if it is due by then.
    pub fn step(&mut self, until_ms: u64) -> bool {
        let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= until_ms) else {
            self.now_ms = until_ms;
            return false;
        };
        let ((at_ms, _), event) = entry.remove_entry();
        self.now_ms = at_ms;
        self.happen(event);
        true
    }

    fn happen(&mut self, event: Event) {
        if let Some(life) = event.node()
            && let Some(until_ms) = self.nodes[life.node].paused_until_ms.filter(|&until_ms| until_ms > self.now_ms)
            && !matches!(event, Event::AtRedis(..))
        {
            return self.at(until_ms, event);
        }
        self.note(&event);
        match event {
            Event::WakeNode(life) => self.wake_node(life),
            Event::ToNode(life, input) => self.tell_node(life, *input),
            Event::ToOwner(life, room, owner, input) => self.tell_owner(life, &room, owner, *input),
            Event::Arrive(node, bytes) => self.envelope_arrives(node, &bytes),
            Event::AtRedis(life, asker, command, fate) => self.run_at_redis(life, asker, &command, fate),
            Event::AtStore(request, fate) => self.run_at_store(*request, fate),
            Event::PageRead(life, conn, room, is_read) => self.page_read(life, conn, &room, is_read),
            Event::Command(conn, command) => self.command_arrives(conn, *command),
            Event::ConnectionGone(conn) => self.connection_gone(conn),
            Event::Ping(conn) => self.ping(conn),
            Event::ToClient(client, life, conn, input) => self.tell_client(client, life, conn, *input),
            Event::Write(client) => self.client_writes(client),
            Event::Start(node) => self.start_node(node),
            Event::Begin(fault) => self.fault_begins(fault),
            Event::End(fault) => self.fault_ends(fault),
        }
    }

    fn note(&mut self, event: &Event) {
        if self.now_ms < self.traced_until_ms {
            self.trace.update(&self.now_ms.to_be_bytes());
            let word = event.word();
            self.trace.update(&word.to_be_bytes());
            if self.is_traced_fully {
                self.trace.update(event.to_text().as_bytes());
            }
        }
        if self.is_verbose {
            self.say(|| event.to_text());
        }
    }

    /// Prints something, where what happens is printed.
    pub fn say(&self, text: impl FnOnce() -> String) {
        if self.is_verbose {
            println!("{:>8} {}", self.now_ms, text());
        }
    }

    /// Returns the trace of all that has happened: equal for two runs of one seed.
    pub fn trace_hash(&self) -> u64 {
        self.trace.digest()
    }

    /// Returns a node in its present life, if it lives.
    pub fn life_of(&self, node: usize) -> Option<NodeLife> {
        let slot = &self.nodes[node];
        slot.alive.as_ref().map(|_| NodeLife { node, life: slot.life })
    }

    /// Returns whether a node lives this life.
    pub fn lives(&self, life: NodeLife) -> bool {
        self.life_of(life.node) == Some(life)
    }
}
