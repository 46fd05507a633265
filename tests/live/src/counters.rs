//! What the nodes counted, over all their lives.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use rollcall_load::server::Metrics;

use crate::node::Node;

/// Owners that were fenced.
const FENCED: &str = "rollcall_rooms_fenced_total";

/// Commands answered with an error.
const REFUSALS: &str = "rollcall_refusals_total";

/// The label of those whose outcome the server could not tell.
const UNKNOWN: &str = "code=\"outcome_unknown\"";

/// Appends whose outcome was unknown for a while.
const SETTLED: &str = "rollcall_log_settled_appends_total";

/// The labels of those that proved to be applied, and of those that did not.
const APPLIED: &str = "outcome=\"applied\"";
const NOT_APPLIED: &str = "outcome=\"not_applied\"";

/// How often nodes are asked.
const EVERY: Duration = Duration::from_millis(500);

/// Counters as they were last seen, by node and life. What a node counted between the last look and its death is lost, so the sums are
/// the least that happened.
#[derive(Debug, Default)]
pub struct Counters {
    seen: RefCell<BTreeMap<(String, u64), Counted>>,
}

/// What is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Owners that were fenced.
    pub fenced: u64,
    /// Answers that said that the outcome is unknown.
    pub unknown_answers: u64,
    /// Appends whose outcome was unknown for a while, and that the log proved to have applied.
    pub appends_settled_applied: u64,
    /// Appends whose outcome was unknown for a while, and that the log proved not to have applied.
    pub appends_settled_not_applied: u64,
}

impl Counters {
    /// Asks a node, if it is there.
    pub async fn look(&self, node: &Node) {
        let life = node.life.get();
        if !node.is_up.get() {
            return;
        }
        if let Ok(metrics) = Metrics::fetch(node.ops).await {
            let counted = Counted {
                fenced: metrics.count(FENCED).unwrap_or_default(),
                unknown_answers: metrics.count_of(REFUSALS, UNKNOWN).unwrap_or_default(),
                appends_settled_applied: metrics.count_of(SETTLED, APPLIED).unwrap_or_default(),
                appends_settled_not_applied: metrics.count_of(SETTLED, NOT_APPLIED).unwrap_or_default(),
            };
            self.note(&node.name, life, counted);
        }
    }

    /// Asks all nodes again and again.
    pub async fn watch(&self, nodes: &[Node]) {
        loop {
            for node in nodes {
                self.look(node).await;
            }
            tokio::time::sleep(EVERY).await; // pace: of the looks
        }
    }

    /// Returns the sums.
    pub fn total(&self) -> Counted {
        self.seen.borrow().values().fold(Counted::default(), |sum, counted| Counted {
            fenced: sum.fenced + counted.fenced,
            unknown_answers: sum.unknown_answers + counted.unknown_answers,
            appends_settled_applied: sum.appends_settled_applied + counted.appends_settled_applied,
            appends_settled_not_applied: sum.appends_settled_not_applied + counted.appends_settled_not_applied,
        })
    }

    fn note(&self, node: &str, life: u64, counted: Counted) {
        self.seen.borrow_mut().insert((node.to_owned(), life), counted);
    }
}

#[cfg(test)]
mod tests {
    use super::{Counted, Counters};

    #[test]
    fn each_life_of_a_node_counts_from_zero() {
        let counters = Counters::default();
        let counted =
            |fenced| Counted { fenced, unknown_answers: 1, appends_settled_applied: 2, appends_settled_not_applied: 3 };
        for (node, life, fenced) in [("n1", 1, 2), ("n1", 1, 5), ("n2", 1, 1), ("n1", 2, 3)] {
            counters.note(node, life, counted(fenced));
        }
        let expected =
            Counted { fenced: 9, unknown_answers: 3, appends_settled_applied: 6, appends_settled_not_applied: 9 };
        assert_eq!(counters.total(), expected);
    }
}
