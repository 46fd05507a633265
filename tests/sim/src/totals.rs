//! What happened in a run, or in many.

use std::collections::BTreeMap;
use std::fmt;

use crate::faults::FaultKind;

/// Counts of what happened, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    faults: BTreeMap<FaultKind, u64>,
    counts: BTreeMap<&'static str, u64>,
}

/// What must have happened at least once over many runs, or they prove little.
pub const MUST_OCCUR: &[&str] = &[
    "owners fenced",
    "owners drained",
    "rooms handed over",
    "owners lost an unknown append",
    "takeovers noticed",
    "appends unknown, then committed",
    "appends unknown, then refused",
    "appends unknown, then given up",
    "writes unknown, then stored",
    "writes unknown, then absent",
    "writes forwarded",
    "gap repairs by replicas",
    "gap repairs by clients",
    "hints corrected",
    "envelopes lost",
    "envelopes repeated",
    "envelopes for another life",
    "statements carried out after they were given up",
    "answers of the store lost",
    "answers of Redis lost",
    "pages read by connections",
    "joins above the head",
    "deletions begun",
    "joins below the floor",
    "programs told of expired entries",
];

impl Totals {
    /// Counts a fault.
    pub fn fault(&mut self, kind: FaultKind) {
        *self.faults.entry(kind).or_default() += 1;
    }

    /// Counts something.
    pub fn count(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    /// Counts something that happened so often.
    pub fn add(&mut self, what: &'static str, times: u64) {
        *self.counts.entry(what).or_default() += times;
    }

    /// Returns how often something happened.
    pub fn get(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    /// Returns how often each kind of fault began, by its name.
    pub fn faults_by_name(&self) -> BTreeMap<String, u64> {
        self.faults.iter().map(|(kind, count)| (format!("{kind:?}"), *count)).collect()
    }

    /// Returns how often everything else happened.
    pub fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts
    }

    /// Adds those of another run.
    pub fn merge(&mut self, other: &Self) {
        for (kind, count) in &other.faults {
            *self.faults.entry(*kind).or_default() += count;
        }
        for (what, count) in &other.counts {
            self.add(what, *count);
        }
    }

    /// Returns what has not happened though it must.
    pub fn missing(&self) -> Vec<String> {
        let kinds = FaultKind::ALL.iter().map(|(kind, _)| *kind).filter(|kind| !self.faults.contains_key(kind));
        let counts = MUST_OCCUR.iter().filter(|what| self.counts.get(**what).is_none_or(|count| *count == 0));
        kinds.map(|kind| format!("{kind:?}")).chain(counts.map(|what| (*what).to_owned())).collect()
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: u64 = self.faults.values().sum();
        writeln!(f, "{all:>10}  faults")?;
        for (kind, count) in &self.faults {
            writeln!(f, "{count:>10}    {kind:?}")?;
        }
        self.counts.iter().try_for_each(|(what, count)| writeln!(f, "{count:>10}  {what}"))
    }
}
