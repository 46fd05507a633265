//! What the checker says at the end.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::anomaly::Anomaly;
use crate::rule::Rule;

/// The judgement of one history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Breaches of rules: the first ones of each rule, see [`Checker::keeping`](crate::Checker::keeping).
    pub anomalies: Vec<Anomaly>,
    /// How often each rule was broken, kept or not. A rule that held is not listed.
    pub totals: Vec<(Rule, u64)>,
    /// What the history consists of.
    pub summary: Summary,
    /// What the history does not prove, although nothing in it is wrong.
    pub caveats: Vec<Caveat>,
}

/// Counts of what was observed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Rooms that any event named.
    pub rooms: u64,
    /// Connections that any event named.
    pub connections: u64,
    /// Write events that were acknowledged.
    pub acked: u64,
    /// Write events that were refused for good.
    pub failed: u64,
    /// Write events whose outcome their client never learned.
    pub unknown: u64,
    /// Unknown writes that are in the log.
    pub unknown_stored: u64,
    /// Unknown writes that are not in the log.
    pub unknown_absent: u64,
    /// Pushes.
    pub deliveries: u64,
    /// Entries in the final log.
    pub stored: u64,
    /// Of these, entries of devices that no write event explains (a client that was not recorded).
    pub stored_unexplained: u64,
    /// Of these, entries whose body was erased.
    pub stored_erased: u64,
    /// Different owners in the final log, all rooms together.
    pub owners: u64,
    /// Rooms whose log was written by more than one owner, so that an owner was replaced or fenced.
    pub rooms_with_several_owners: u64,
}

/// Something that a history does not prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Caveat {
    /// No write had an unknown outcome: nothing shows that retries and lost answers are survived.
    NoUnknownOutcome,
    /// No room had two owners: nothing shows that a replaced owner is held off.
    NoFencedOwner,
    /// The end of the faults was not given: whether everyone reached the head was not judged.
    ConvergenceNotJudged,
    /// There is no dump: nothing shows what was stored.
    NoDump,
}

impl Verdict {
    /// Tells whether no rule was broken.
    pub fn is_clean(&self) -> bool {
        self.totals.is_empty()
    }

    /// Counts all breaches, those that were not kept included.
    pub fn anomalies_total(&self) -> u64 {
        self.totals.iter().map(|(_, total)| total).sum()
    }

    /// Tells whether the run had what makes it worth something: unknown outcomes, and a room with a second owner.
    pub fn proves_something(&self) -> bool {
        !self.caveats.iter().any(|caveat| matches!(caveat, Caveat::NoUnknownOutcome | Caveat::NoFencedOwner))
    }
}

impl fmt::Display for Caveat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoUnknownOutcome => "no write had an unknown outcome, so nothing about lost answers is proved",
            Self::NoFencedOwner => "no room had a second owner, so nothing about replaced owners is proved",
            Self::ConvergenceNotJudged => "the end of the faults is not recorded, so reaching the head was not judged",
            Self::NoDump => "there is no dump of the log, so nothing about what was stored is proved",
        })
    }
}

impl fmt::Display for Verdict {
    /// Writes the summary, the caveats and the kept anomalies with their evidence, for people.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summary = &self.summary;
        writeln!(
            formatter,
            "{} rooms, {} connections, {} deliveries, {} entries stored by {} owners",
            summary.rooms, summary.connections, summary.deliveries, summary.stored, summary.owners
        )?;
        writeln!(
            formatter,
            "writes: {} acked, {} failed, {} unknown ({} of them stored, {} absent)",
            summary.acked, summary.failed, summary.unknown, summary.unknown_stored, summary.unknown_absent
        )?;
        for caveat in &self.caveats {
            writeln!(formatter, "note: {caveat}")?;
        }
        if self.is_clean() {
            return writeln!(formatter, "no anomaly");
        }
        for (rule, total) in &self.totals {
            writeln!(formatter, "{rule}: broken {total} times")?;
        }
        self.anomalies.iter().try_for_each(|anomaly| writeln!(formatter, "{anomaly}"))
    }
}
