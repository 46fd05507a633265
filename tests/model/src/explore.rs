//! Explores a cluster and tells what was found.

use std::fmt;
use std::time::{Duration, Instant};

use stateright::{Checker, Expectation, HasDiscoveries, Model, Path, Property};

use crate::action::Action;
use crate::cluster::Cluster;

/// What an exploration found.
#[derive(Debug)]
pub struct Exploration {
    /// Different states that were visited.
    pub states: usize,
    /// The longest way to one of them, in events.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
    /// Promises that were broken, each with the events that led there.
    pub broken: Vec<(&'static str, Vec<Action>)>,
    /// What had to be met and was.
    pub met: Vec<&'static str>,
    /// What had to be met and was not.
    pub missed: Vec<&'static str>,
}

/// Explores a cluster to the end of its limits, and tells which promises were broken on the way, if any.
pub fn explore(cluster: &Cluster, threads: usize) -> Exploration {
    let started = Instant::now();
    // The latest first: so few states wait in memory.
    let checker = cluster.clone().checker().threads(threads).finish_when(HasDiscoveries::All).spawn_dfs().join();
    Exploration::of(&checker, &cluster.properties(), started.elapsed())
}

/// Explores a cluster until a promise is broken, and finds one of the shortest ways there.
pub fn find_shortest(cluster: &Cluster) -> Exploration {
    let mut found = find_within(cluster, None);
    // What is found first is near, and not always the nearest: the checker looks at its findings now and then.
    while let Some(events) = found.shortest().map(<[Action]>::len) {
        let nearer = find_within(cluster, events.checked_sub(1));
        let took = found.took + nearer.took;
        if nearer.broken.is_empty() {
            return Exploration { took, ..found };
        }
        found = Exploration { took, ..nearer };
    }
    found
}

fn find_within(cluster: &Cluster, events_max: Option<usize>) -> Exploration {
    let started = Instant::now();
    let mut builder = cluster.clone().checker().finish_when(HasDiscoveries::AnyFailures);
    if let Some(events_max) = events_max {
        // It counts states on the way, the first one included, and looks at fewer than it is told.
        builder = builder.target_max_depth(events_max + 2);
    }
    let checker = builder.spawn_bfs().join();
    Exploration::of(&checker, &cluster.properties(), started.elapsed())
}

impl Exploration {
    fn of(checker: &impl Checker<Cluster>, properties: &[Property<Cluster>], took: Duration) -> Self {
        let (states, depth) = (checker.unique_state_count(), checker.max_depth());
        let mut exploration = Self { states, depth, took, broken: vec![], met: vec![], missed: vec![] };
        for property in properties {
            let path = checker.discovery(property.name).map(Path::into_actions);
            match (&property.expectation, path) {
                (Expectation::Sometimes, Some(_)) => exploration.met.push(property.name),
                (Expectation::Sometimes, None) => exploration.missed.push(property.name),
                (_, Some(path)) => exploration.broken.push((property.name, path)),
                (_, None) => {}
            }
        }
        exploration
    }

    /// Returns the events that lead to a broken promise, as few as are known.
    pub fn shortest(&self) -> Option<&[Action]> {
        self.broken.iter().map(|(_, path)| path.as_slice()).min_by_key(|path| path.len())
    }
}

impl fmt::Display for Exploration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, depth, took, .. } = self;
        writeln!(f, "{states} different states, up to {depth} events, {:.1} s", took.as_secs_f64())?;
        // One that ended early has met what it has by chance.
        if self.broken.is_empty() {
            self.met.iter().try_for_each(|name| writeln!(f, "  met: {name}"))?;
            self.missed.iter().try_for_each(|name| writeln!(f, "  not met: {name}"))?;
        }
        for (name, path) in &self.broken {
            writeln!(f, "  broken after {} events: {name}", path.len())?;
        }
        for (number, action) in (1..).zip(self.shortest().into_iter().flatten()) {
            writeln!(f, "    {number:2} {action:?}")?;
        }
        Ok(())
    }
}
