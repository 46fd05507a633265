//! The redactions among the last entries of a room, to be found by their targets.

use std::collections::{BTreeMap, VecDeque};

use rollcall_protocol::Seq;

/// Redactions that are not forgotten yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct RecentRedactions {
    /// Number and target of each, in order.
    latest: VecDeque<(Seq, Seq)>,
    /// The last one of each target.
    by_target: BTreeMap<Seq, Seq>,
}

impl RecentRedactions {
    /// Takes these, in the order of their numbers.
    pub fn new(latest: VecDeque<(Seq, Seq)>) -> Self {
        let by_target = latest.iter().map(|&(seq, target)| (target, seq)).collect();
        Self { latest, by_target }
    }

    /// Returns number and target of each, in order.
    pub fn latest(&self) -> &VecDeque<(Seq, Seq)> {
        &self.latest
    }

    /// Adds one, with a higher number than any before it.
    pub fn push(&mut self, seq: Seq, target: Seq) {
        self.latest.push_back((seq, target));
        self.by_target.insert(target, seq);
    }

    /// Tells whether one of them is about this target.
    pub fn hold(&self, target: Seq) -> bool {
        self.by_target.contains_key(&target)
    }

    /// Forgets those before an entry.
    pub fn forget_before(&mut self, first: Seq) {
        while let Some((seq, target)) = self.latest.pop_front_if(|(seq, _)| *seq < first) {
            if self.by_target.get(&target) == Some(&seq) {
                self.by_target.remove(&target);
            }
        }
        if self.latest.is_empty() {
            self.latest = VecDeque::new();
        }
    }

    /// Becomes `base` again, to which some were added and of which some were forgotten. Costs as much as those.
    pub(super) fn take_back(&mut self, base: &Self) {
        let last = base.latest.back().map(|&(seq, _)| seq);
        while let Some((_, target)) = self.latest.pop_back_if(|(seq, _)| Some(*seq) > last) {
            self.restore(target, base);
        }
        let forgotten = base.latest.len() - self.latest.len();
        for &(seq, target) in base.latest.range(..forgotten).rev() {
            self.latest.push_front((seq, target));
            self.restore(target, base);
        }
    }

    fn restore(&mut self, target: Seq, base: &Self) {
        match base.by_target.get(&target) {
            Some(&seq) => self.by_target.insert(target, seq),
            None => self.by_target.remove(&target),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(redactions: &[(u64, u64)]) -> RecentRedactions {
        RecentRedactions::new(redactions.iter().map(|&(seq, target)| (Seq::new(seq), Seq::new(target))).collect())
    }

    fn held(redactions: &RecentRedactions) -> Vec<u64> {
        (0..10).filter(|&target| redactions.hold(Seq::new(target))).collect()
    }

    #[test]
    fn a_target_is_held_until_its_last_redaction_is_forgotten() {
        let mut redactions = of(&[(10, 1), (11, 2), (12, 1)]);
        assert_eq!(held(&redactions), [1, 2]);
        redactions.forget_before(Seq::new(12));
        assert_eq!((held(&redactions), &redactions), (vec![1], &of(&[(12, 1)])));
        redactions.forget_before(Seq::new(13));
        assert_eq!(redactions, RecentRedactions::default());
    }

    #[test]
    fn what_was_added_and_forgotten_is_taken_back() {
        for base in [of(&[]), of(&[(10, 1)]), of(&[(10, 1), (11, 2), (12, 1), (15, 3)])] {
            for forget_before in [0, 11, 12, 16, 22] {
                let mut changed = base.clone();
                for (seq, target) in [(20, 4), (21, 1), (22, 2)] {
                    changed.push(Seq::new(seq), Seq::new(target));
                }
                changed.forget_before(Seq::new(forget_before));
                changed.take_back(&base);
                assert_eq!(changed, base, "after those before {forget_before} were forgotten");
            }
        }
    }
}
