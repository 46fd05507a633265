//! One run: a plan, its faults, the quiet after them, and the judgement.

use std::any::Any;

use rollcall_actors::cluster::replica::REPLICA_LINGER_MS;
use rollcall_checker::Verdict;

use crate::client::Client;
use crate::dice::Dice;
use crate::event::Event;
use crate::faults::{Fault, FaultKind};
use crate::plan::{ACTIVE_MS, Plan};
use crate::sabotage::Sabotage;
use crate::store::RoomStore;
use crate::totals::Totals;
use crate::world::World;

/// How long it may take, once the faults are over, until everybody has read everything, in milliseconds.
const CONVERGES_WITHIN_MS: u64 = 30_000;
/// How long it takes until the last of what happened has died away: a replica that nobody reads lingers, in milliseconds.
const DIES_AWAY_MS: u64 = REPLICA_LINGER_MS + 1_000;
/// How long a cluster at rest is watched, in milliseconds.
const AT_REST_MS: u64 = 3_000;
/// How often it is looked at whether nodes show what they should, in milliseconds.
const LOOK_EVERY_MS: u64 = 100;
/// Events of a run at most: more come only of two machines that drive one another on.
const EVENTS_MAX: u64 = 3_000_000;

/// How to run a seed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// Which.
    pub seed: u64,
    /// Only so many of the plan's faults, from the first on.
    pub faults_max: Option<usize>,
    /// Faults of this kind alone.
    pub only: Option<FaultKind>,
    /// What is spoilt.
    pub sabotage: Option<Sabotage>,
    /// Whether all that happens is printed.
    pub is_verbose: bool,
    /// Whether the trace is of all that things say, and not only of which thing happens when.
    pub is_traced_fully: bool,
    /// The trace is of what happens before this time alone, in milliseconds.
    pub traced_until_ms: Option<u64>,
}

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// Equal for two runs of one seed.
    pub trace: u64,
    /// What happened.
    pub totals: Totals,
    /// What the checker says.
    pub verdict: Verdict,
    /// What else must never happen and did.
    pub damages: Vec<String>,
    /// How many faults the plan has.
    pub faults: usize,
    /// Those that struck.
    pub struck: Vec<Fault>,
    /// How long it took until everybody had read everything, in milliseconds.
    pub converged_after_ms: Option<u64>,
    /// Events that happened.
    pub events: u64,
}

impl Report {
    /// Tells whether nothing went wrong that must not.
    pub fn is_clean(&self) -> bool {
        self.verdict.is_clean() && self.damages.is_empty()
    }
}

/// Runs a seed; what a machine panics with is an error.
///
/// # Errors
/// Where a machine finds that it is told what cannot be, or that its own promise is broken.
pub fn try_run(settings: Settings) -> Result<Report, String> {
    let text = |panic: Box<dyn Any + Send>| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().map_or_else(|| "a panic".to_owned(), |text| (*text).to_owned()),
    };
    std::panic::catch_unwind(|| run(settings)).map_err(text)
}

/// Runs a seed.
pub fn run(settings: Settings) -> Report {
    let mut dice = Dice::new(settings.seed);
    let plan = Plan::draw(&mut dice.split(), settings.only);
    let mut world = World::new(&plan, dice.split(), settings);
    populate(&mut world, &plan, &mut dice);
    let faults = &plan.faults[..settings.faults_max.unwrap_or(plan.faults.len()).min(plan.faults.len())];
    for fault in faults {
        let mut fault = *fault;
        fault.lasts_ms = fault.lasts_ms.min(ACTIVE_MS - 1 - fault.at_ms);
        world.at(fault.at_ms, Event::Begin(fault));
    }
    let mut events = 0;
    advance(&mut world, ACTIVE_MS, &mut events);
    let converged_after_ms = heal(&mut world, &mut events);
    let events_are_too_many = events >= EVENTS_MAX;
    if events_are_too_many {
        world.history.damage(format!("{events} events happened: something goes round in circles"));
    }
    world.totals.add("events", events);
    let mut totals = world.totals.clone();
    let trace = world.trace_hash();
    let World { history, store, .. } = world;
    let (verdict, damages) = history.judge(&store);
    totals.add("writes unknown, then stored", verdict.summary.unknown_stored);
    totals.add("writes unknown, then absent", verdict.summary.unknown_absent);
    totals.add("writes acked", verdict.summary.acked);
    totals.add("entries pushed or read", verdict.summary.deliveries);
    let struck = faults.to_vec();
    Report { trace, totals, verdict, damages, faults: plan.faults.len(), struck, converged_after_ms, events }
}

fn populate(world: &mut World, plan: &Plan, dice: &mut Dice) {
    for at in 0..plan.nodes {
        world.at(dice.range(0, 50), Event::Start(at));
    }
    for at in 0..plan.clients {
        let count = 1 + dice.place(plan.rooms.len());
        let first = dice.place(plan.rooms.len());
        let rooms = plan.rooms.iter().cycle().skip(first).take(count).cloned().collect();
        world.clients.push(Client::new(at, rooms));
        world.start_client(at);
    }
    for &(at_ms, client) in &plan.writes {
        world.at(at_ms, Event::Write(client));
    }
}

fn advance(world: &mut World, until_ms: u64, events: &mut u64) {
    while *events < EVENTS_MAX && world.now_ms < until_ms {
        let look_at_ms = (world.now_ms / LOOK_EVERY_MS + 1) * LOOK_EVERY_MS;
        while *events < EVENTS_MAX && world.step(look_at_ms.min(until_ms)) {
            *events += 1;
        }
        world.look_at_freshness();
    }
}

/// Ends the faults, and waits until everybody has read everything; returns how long that took.
fn heal(world: &mut World, events: &mut u64) -> Option<u64> {
    world.is_healed = true;
    let began_ms = world.now_ms;
    world.history.faults_end(began_ms, CONVERGES_WITHIN_MS);
    (0..world.nodes.len()).for_each(|at| world.start_node(at));
    for at in 0..world.clients.len() {
        if world.clients[at].session.is_none() {
            world.start_client(at);
        }
    }
    let mut converged_after_ms = None;
    while world.now_ms < began_ms + CONVERGES_WITHIN_MS && *events < EVENTS_MAX {
        let until_ms = world.now_ms + 100;
        advance(world, until_ms, events);
        if what_is_open(world).is_none() {
            converged_after_ms = Some(world.now_ms - began_ms);
            break;
        }
    }
    match what_is_open(world) {
        Some(open) => world.history.damage(format!("{CONVERGES_WITHIN_MS} ms after the faults {open}")),
        None => rest(world, events),
    }
    converged_after_ms
}

/// Watches a cluster at rest: once all is read, no replica has a reason to ask the log, or to doubt its watch, which it renews every
/// five seconds.
fn rest(world: &mut World, events: &mut u64) {
    let until_ms = world.now_ms + DIES_AWAY_MS;
    advance(world, until_ms, events);
    let count = |world: &World| (world.totals.get("tails read by replicas"), world.totals.get("watches"));
    let (reads_before, watches_before) = count(world);
    let until_ms = world.now_ms + AT_REST_MS;
    advance(world, until_ms, events);
    let (reads, watches) = count(world);
    let (reads, watches) = (reads - reads_before, watches - watches_before);
    if reads > 0 {
        world.history.damage(format!("at rest the replicas read the log's tail {reads} times"));
    }
    let replicas = (world.nodes.len() * world.rooms.len()) as u64;
    if watches > replicas {
        world.history.damage(format!("at rest at most {replicas} replicas watch {watches} times in {AT_REST_MS} ms"));
    }
    if let Some(open) = what_is_open(world) {
        world.history.damage(format!("at rest {open}"));
    }
}

/// Says what is not done yet, if anything.
fn what_is_open(world: &World) -> Option<String> {
    for client in &world.clients {
        if let Some((key, _)) = client.writes.first_key_value() {
            return Some(format!("{} waits for write {} to {}", client.name(), key.1, key.0));
        }
        for room in client.rooms() {
            let head = world.store.get(room).map(RoomStore::head).unwrap_or_default();
            let read = client.read.get(room).copied().unwrap_or_default();
            if read < head {
                return Some(format!("{} has read {room} up to {read} of {head}", client.name()));
            }
        }
    }
    None
}
