//! Which faults come when, by seed.

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};
use rollcall_proxy::Direction;

use crate::fault::{Fault, Harm, Kind, Link, Lost, Place};
use crate::redis_servers::RedisKind;

/// How long a node is stopped, in milliseconds: its lease ends after 3 s.
const PAUSE_MS: std::ops::RangeInclusive<u64> = 3_600..=6_000;

/// How long Redis is stopped, in milliseconds.
const REDIS_STOPPED_MS: u64 = 5_000;

/// One step in this many has a second fault.
const ACCOMPANIED: u32 = 4;

/// What there is to break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Nodes.
    pub nodes: usize,
    /// Servers of Cassandra.
    pub cassandra_nodes: usize,
    /// What nodes meet in.
    pub redis: RedisKind,
    /// The kinds to draw from; none is all that are possible.
    pub only: Vec<Kind>,
}

/// One or two faults that begin together, and what comes before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// How long nothing happens before, in milliseconds.
    pub calm_ms: u64,
    /// The faults.
    pub faults: Vec<Fault>,
}

impl Shape {
    /// Returns the kinds of faults that this much can suffer.
    fn kinds(&self) -> Vec<Kind> {
        let is_possible = |kind: &Kind| {
            let is_wanted = self.only.is_empty() || self.only.contains(kind);
            is_wanted
                && kind.happens_with(self.redis)
                && (self.nodes > 1 || !(kind.needs_redis() || kind.needs_others()))
        };
        Kind::ALL.into_iter().filter(is_possible).collect()
    }
}

/// Draws so many faults. The first ones are of every kind, in some order but that a master of Redis is replaced first; the same seed
/// draws the same.
pub fn draw(seed: u64, faults: usize, shape: &Shape) -> Vec<Step> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut kinds = shape.kinds();
    kinds.shuffle(&mut random);
    // Whatever a short run of a Redis with several servers shows, it should show this.
    kinds.sort_by_key(|kind| !kind.replaces_a_master());
    let mut first = kinds.clone().into_iter();
    let (mut steps, mut drawn) = (Vec::new(), 0);
    while drawn < faults && !kinds.is_empty() {
        let mut next =
            |random: &mut StdRng| first.next().or_else(|| kinds.choose_weighted(random, weight).ok().copied());
        let Some(kind) = next(&mut random) else { break };
        let mut chosen = vec![kind];
        if drawn + 1 < faults && random.random_ratio(1, ACCOMPANIED) {
            let companions: Vec<Kind> = kinds.iter().copied().filter(|other| other.may_accompany(kind)).collect();
            chosen.extend(companions.choose(&mut random));
        }
        drawn += chosen.len();
        let faults = chosen.into_iter().map(|kind| draw_fault(&mut random, kind, shape)).collect();
        steps.push(Step { calm_ms: random.random_range(0..600), faults });
    }
    steps
}

/// How often a kind is drawn, beside the others.
fn weight(kind: &Kind) -> u32 {
    match kind {
        Kind::Kill | Kind::Pause | Kind::LinkToCassandra => 3,
        Kind::HeldAppendKilled | Kind::HeldAppendPaused | Kind::LinkToRedis | Kind::LinkToClients => 2,
        _ => 1,
    }
}

fn draw_fault(random: &mut StdRng, kind: Kind, shape: &Shape) -> Fault {
    let node: Place = random.random_range(0..shape.nodes);
    let moves_clients = shape.nodes > 1 && random.random_bool(0.5);
    let down_ms = random.random_range(0..=2_500);
    match kind {
        Kind::Kill => Fault::Kill { node, down_ms, moves_clients },
        Kind::Pause => Fault::Pause { node, for_ms: random.random_range(PAUSE_MS), moves_clients },
        Kind::RollingRestart => Fault::RollingRestart,
        Kind::LinkToRedis => draw_link(random, Link::Redis(node)),
        Kind::LinkToCassandra => {
            let servers = shape.cassandra_nodes;
            let server = (servers > 1 && random.random_bool(0.5)).then(|| random.random_range(0..servers));
            draw_link(random, Link::Cassandra(node, server))
        }
        Kind::LinkToClients => draw_link(random, Link::Clients(node)),
        Kind::HeldAppendKilled => Fault::HeldAppend { node, by: Lost::Killed },
        Kind::HeldAppendPaused => Fault::HeldAppend { node, by: Lost::Paused },
        Kind::RedisKilled => Fault::RedisKilled { down_ms },
        Kind::RedisFlushed => Fault::RedisFlushed,
        Kind::RedisRewound => Fault::RedisRewound { node, down_ms },
        Kind::RedisStopped => Fault::RedisStopped { for_ms: REDIS_STOPPED_MS },
        Kind::RedisMasterKilled => Fault::RedisMasterReplaced { node, by: Lost::Killed, down_ms },
        Kind::RedisMasterStopped => Fault::RedisMasterReplaced { node, by: Lost::Paused, down_ms },
        Kind::CassandraKilled => {
            Fault::CassandraKilled { server: random.random_range(0..shape.cassandra_nodes), down_ms }
        }
    }
}

fn draw_link(random: &mut StdRng, link: Link) -> Fault {
    let direction = if random.random_bool(0.5) { Direction::Up } else { Direction::Down };
    let harm = match random.random_range(0..7) {
        0 => Harm::Cut,
        1 => Harm::Refused,
        2 => Harm::Delayed(random.random_range(20..=400)),
        3 | 4 => Harm::Held(direction),
        5 => Harm::Lost(direction),
        _ => Harm::BlackHole,
    };
    // From shorter than every timeout to longer than a lease and than the 3 s that an append is waited for.
    Fault::Link { link, harm, for_ms: random.random_range(500..=5_000) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const CLUSTER: Shape = Shape { nodes: 3, cassandra_nodes: 3, redis: RedisKind::Single, only: Vec::new() };

    fn faults(steps: &[Step]) -> Vec<Fault> {
        steps.iter().flat_map(|step| step.faults.clone()).collect()
    }

    #[test]
    fn the_same_seed_draws_the_same_and_another_does_not() {
        assert_eq!(draw(7, 40, &CLUSTER), draw(7, 40, &CLUSTER));
        assert_ne!(draw(7, 40, &CLUSTER), draw(8, 40, &CLUSTER));
        // A longer run of a seed begins as a shorter one.
        let (short, long) = (draw(7, 30, &CLUSTER), draw(7, 60, &CLUSTER));
        assert_eq!(short[..short.len() - 1], long[..short.len() - 1]);
    }

    #[test]
    fn as_many_are_drawn_as_were_asked_for_and_every_kind_early() {
        for seed in 0..200 {
            let drawn = faults(&draw(seed, 25, &CLUSTER));
            assert_eq!(drawn.len(), 25);
            let kinds: BTreeSet<Kind> = drawn.iter().map(Fault::kind).collect();
            let possible = Kind::ALL.into_iter().filter(|kind| kind.happens_with(RedisKind::Single));
            assert_eq!(kinds, possible.collect(), "seed {seed}");
        }
    }

    #[test]
    fn where_redis_has_several_servers_a_master_is_replaced_first_and_nothing_stands_before_it() {
        for (seed, redis) in (0..100).flat_map(|seed| [(seed, RedisKind::Sentinel), (seed, RedisKind::Cluster)]) {
            let drawn = faults(&draw(seed, 25, &Shape { redis, ..CLUSTER }));
            assert!(drawn[0].kind().replaces_a_master(), "{redis}, seed {seed}: {}", drawn[0]);
            let kinds: BTreeSet<Kind> = drawn.iter().map(Fault::kind).collect();
            let possible: BTreeSet<Kind> = Kind::ALL.into_iter().filter(|kind| kind.happens_with(redis)).collect();
            assert_eq!(kinds, possible, "{redis}, seed {seed}");
            assert!(possible.len() >= 10 && !possible.contains(&Kind::LinkToRedis));
        }
    }

    #[test]
    fn every_harm_comes_to_every_kind_of_link() {
        let drawn = (0..300).flat_map(|seed| faults(&draw(seed, 25, &CLUSTER)));
        let seen: BTreeSet<String> = drawn
            .filter_map(|fault| match fault {
                Fault::Link { harm, .. } => Some(format!("{:?} {}", fault.kind(), harm_without_numbers(harm))),
                _ => None,
            })
            .collect();
        // Cut, refused, delayed, all lost, held and lost either way.
        assert_eq!(seen.len(), 3 * 8, "{seen:?}");
    }

    fn harm_without_numbers(harm: Harm) -> String {
        if let Harm::Delayed(_) = harm { "delayed".to_owned() } else { harm.to_string() }
    }

    #[test]
    fn two_faults_at_once_never_touch_the_same_processes() {
        for step in (0..200).flat_map(|seed| draw(seed, 50, &CLUSTER)) {
            let kinds: Vec<Kind> = step.faults.iter().map(Fault::kind).collect();
            let breaks_redis = |kind: &&Kind| kind.is_of_redis();
            assert!(kinds.len() == 1 || (kinds.len() == 2 && kinds[1].may_accompany(kinds[0])));
            assert!(kinds.iter().filter(breaks_redis).count() <= 1, "{kinds:?}");
        }
    }

    #[test]
    fn a_server_by_itself_has_no_redis_and_nobody_to_take_over() {
        let shape = Shape { nodes: 1, cassandra_nodes: 1, ..CLUSTER };
        for fault in faults(&draw(1, 100, &shape)) {
            let kind = fault.kind();
            assert!(!kind.needs_redis() && !kind.needs_others(), "{fault}");
        }
        let shape = Shape { only: vec![Kind::Kill], ..CLUSTER };
        assert!(faults(&draw(1, 9, &shape)).iter().all(|fault| fault.kind() == Kind::Kill));
        assert_eq!(draw(1, 9, &Shape { nodes: 1, only: vec![Kind::RedisFlushed], ..CLUSTER }), []);
    }
}
