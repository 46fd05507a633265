//! Collects anomalies: counts all, keeps some.

use crate::anomaly::{Anomaly, Evidence};
use crate::rule::Rule;

/// How many anomalies of each rule are kept, so that a flood of one does not hide another.
const KEPT_PER_RULE_DEFAULT: usize = 20;

#[derive(Debug)]
pub(crate) struct Findings {
    enabled: [bool; Rule::ALL.len()],
    totals: [u64; Rule::ALL.len()],
    kept_per_rule: usize,
    kept: Vec<Anomaly>,
}

impl Findings {
    pub(crate) fn new() -> Self {
        Self {
            enabled: [true; Rule::ALL.len()],
            totals: [0; Rule::ALL.len()],
            kept_per_rule: KEPT_PER_RULE_DEFAULT,
            kept: Vec::new(),
        }
    }

    pub(crate) fn disable(&mut self, rule: Rule) {
        self.enabled[rule as usize] = false;
    }

    pub(crate) fn keep_per_rule(&mut self, count: usize) {
        self.kept_per_rule = count;
    }

    /// Counts a breach, and builds its report if there is room for it.
    #[cold]
    pub(crate) fn report(&mut self, rule: Rule, room: &str, describe: impl FnOnce() -> (String, Vec<Evidence>)) {
        if !self.enabled[rule as usize] {
            return;
        }
        self.totals[rule as usize] += 1;
        if self.totals[rule as usize] <= self.kept_per_rule as u64 {
            let (explanation, evidence) = describe();
            self.kept.push(Anomaly { rule, room: room.to_owned(), explanation, evidence });
        }
    }

    pub(crate) fn kept_count(&self) -> usize {
        self.kept.len()
    }

    pub(crate) fn into_parts(self) -> (Vec<Anomaly>, Vec<(Rule, u64)>) {
        let totals = Rule::ALL.into_iter().zip(self.totals).filter(|(_, total)| *total > 0).collect();
        (self.kept, totals)
    }
}
