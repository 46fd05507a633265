//! The latest redactions of a room. A write's target is looked at before the write takes its turn; a redaction that gets between
//! the two was not seen, and must not be undone by what the write shows.

use std::collections::BTreeMap;
use std::sync::Arc;

use rollcall_protocol::{Entry, Kind, Seq};

use crate::limits::TARGET_LOOK_ENTRIES_MAX;
use crate::room::RecentRedactions;

/// Redactions that were committed lately.
#[derive(Debug, Default)]
pub struct Redactions {
    recent: RecentRedactions,
    /// How many looks at targets are under way that began at each head of the room.
    looks: BTreeMap<Seq, usize>,
}

impl Redactions {
    /// Takes committed entries in and returns them as they may be shown: an edit that was numbered after the redaction of its
    /// target has lost its body in the log.
    pub fn take_in(&mut self, entries: Arc<[Entry]>) -> Arc<[Entry]> {
        let redactions = entries.iter().filter(|entry| entry.kind == Kind::Redact);
        for (seq, target) in redactions.filter_map(|entry| Some((entry.seq, entry.target?))) {
            self.recent.push(seq, target);
        }
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
        self.recent.hold(target)
    }

    /// Notes that a look at a target begins while `head` is the last committed entry.
    pub fn begin_look(&mut self, head: Seq) {
        *self.looks.entry(head).or_default() += 1;
    }

    /// Notes that a look which began at `began` has ended, at `head`. Tells whether what it saw can be relied on, together with the
    /// redactions that are remembered.
    pub fn end_look(&mut self, began: Seq, head: Seq) -> bool {
        if let Some(looks) = self.looks.get_mut(&began) {
            *looks -= 1;
            if *looks == 0 {
                self.looks.remove(&began);
            }
        }
        head.since(began) <= TARGET_LOOK_ENTRIES_MAX
    }

    /// Forgets those that nobody may have missed: a write whose target was looked at waits for its turn behind `queue_entries`
    /// at most, and a look begins at its head and is relied on for a while.
    pub fn forget_before(&mut self, head: Seq, queue_entries: u64) {
        let oldest_look = self.looks.first_key_value().map_or(head, |(began, _)| *began);
        let relied_on = oldest_look.get().max(head.get().saturating_sub(TARGET_LOOK_ENTRIES_MAX));
        self.recent.forget_before(Seq::new(relied_on.saturating_sub(queue_entries)));
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
        redactions.forget_before(Seq::new(5), 2);
        assert_eq!([1, 2, 3].map(|target| redactions.hold(Seq::new(target))), [false, false, true]);
        redactions.forget_before(Seq::new(6), 2);
        assert!(!redactions.hold(Seq::new(3)));
    }

    #[test]
    fn looks_that_wait_hold_what_came_since_they_began_and_no_more() {
        let mut room = TestEntries::new();
        let mut redactions = Redactions::default();
        let [first, second] = [3, 5].map(Seq::new);
        [first, second, second].into_iter().for_each(|began| redactions.begin_look(began));
        for target in 1..=8 {
            redactions.take_in(vec![room.redact(target)].into());
        }
        let held = |redactions: &Redactions| (1..=8).filter(|&target| redactions.hold(Seq::new(target))).count();
        redactions.forget_before(Seq::new(8), 0);
        assert_eq!(held(&redactions), 6, "from the oldest look on");
        assert!(redactions.end_look(first, Seq::new(8)) && redactions.end_look(second, Seq::new(8)));
        redactions.forget_before(Seq::new(8), 0);
        assert_eq!(held(&redactions), 4, "one look waits still");
        let long_after = Seq::new(5 + TARGET_LOOK_ENTRIES_MAX);
        redactions.forget_before(long_after, 0);
        assert_eq!(held(&redactions), 4);
        redactions.forget_before(long_after.next(), 0);
        assert_eq!(held(&redactions), 3, "a look that never ends holds nothing for ever");
        assert!(!redactions.end_look(second, long_after.next()), "and cannot be relied on any more");
        redactions.forget_before(long_after.next(), 0);
        assert_eq!((held(&redactions), redactions.looks.len()), (0, 0));
    }
}
