//! The latest redactions of a room. A write's target is looked at before the write takes its turn; a redaction that gets between
//! the two was not seen, and must not be undone by what the write shows.

use std::collections::VecDeque;
use std::sync::Arc;

use rollcall_protocol::{Entry, Kind, Seq};

/// Redactions that were committed lately.
#[derive(Debug, Default)]
pub struct Redactions {
    /// Number and target of each, in order.
    latest: VecDeque<(Seq, Seq)>,
}

impl Redactions {
    /// Takes committed entries in and returns them as they may be shown: an edit that was numbered after the redaction of its
    /// target has lost its body in the log.
    pub fn take_in(&mut self, entries: Arc<[Entry]>) -> Arc<[Entry]> {
        let redactions = entries.iter().filter(|entry| entry.kind == Kind::Redact);
        self.latest.extend(redactions.filter_map(|entry| Some((entry.seq, entry.target?))));
        let is_late = |entry: &Entry| entry.kind == Kind::Edit && entry.target.is_some_and(|target| self.hold(target));
        if !entries.iter().any(is_late) {
            return entries;
        }
        let mut shown = entries.to_vec();
        shown.iter_mut().filter(|entry| is_late(entry)).for_each(Entry::redact);
        shown.into()
    }

    /// Tells whether one of them took this entry's body away.
    pub fn hold(&self, target: Seq) -> bool {
        self.latest.iter().any(|&(_, redacted)| redacted == target)
    }

    /// Forgets those before an entry.
    pub fn forget_before(&mut self, first: Seq) {
        while self.latest.front().is_some_and(|&(seq, _)| seq < first) {
            self.latest.pop_front();
        }
        if self.latest.is_empty() {
            self.latest = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::test_entries::TestEntries;

    fn shown(redactions: &mut Redactions, batch: Vec<Entry>) -> Vec<bool> {
        redactions.take_in(batch.into()).iter().map(|entry| entry.body.is_some()).collect()
    }

    #[test]
    fn an_edit_after_the_redaction_of_its_target_shows_nothing() {
        let mut room = TestEntries::new();
        let mut redactions = Redactions::default();
        let batch = [room.message("one"), room.message("two"), room.edit(1, "before"), room.redact(1)];
        let before: Arc<[Entry]> = batch[..3].into();
        assert!(Arc::ptr_eq(&redactions.take_in(Arc::clone(&before)), &before), "nothing is copied without need");
        assert_eq!(shown(&mut redactions, batch[3..].into()), [false]);
        let batch = vec![room.edit(1, "late"), room.edit(2, "another's"), room.entry(Kind::React, Some(1), Some("+1"))];
        assert_eq!(shown(&mut redactions, batch), [false, true, true]);
        assert_eq!((redactions.hold(Seq::new(1)), redactions.hold(Seq::new(2))), (true, false));
    }

    #[test]
    fn what_lies_far_back_is_forgotten() {
        let mut room = TestEntries::new();
        let mut redactions = Redactions::default();
        for target in 1..=3 {
            redactions.take_in(vec![room.redact(target)].into());
        }
        redactions.forget_before(Seq::new(3));
        assert_eq!([1, 2, 3].map(|target| redactions.hold(Seq::new(target))), [false, false, true]);
        redactions.forget_before(Seq::new(4));
        assert!(!redactions.hold(Seq::new(3)));
    }
}
