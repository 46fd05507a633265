//! Bodies that must not be stored: of entries that a redaction in the same append takes, and of edits whose target was
//! redacted before. The target is looked at before the append, and what the look has shown still holds when the append is
//! applied, since nobody else can have appended in between.

use std::collections::BTreeSet;
use std::sync::Arc;

use rollcall_protocol::{Entry, Kind, Seq};

/// Returns the targets of edits that lie before the append, so that it must be looked whether they were redacted.
pub(super) fn targets_to_look_at(entries: &[Entry]) -> Vec<Seq> {
    let first = entries.first().expect("an append has at least one entry").seq;
    let targets = entries.iter().filter(|entry| entry.kind == Kind::Edit).filter_map(|entry| entry.target);
    let before = targets.filter(|&target| Seq::ZERO < target && target < first);
    before.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Returns the entries as they are stored, given which of their targets were redacted before.
pub(super) fn without_late_bodies(entries: Arc<[Entry]>, mut redacted: BTreeSet<Seq>) -> Arc<[Entry]> {
    redacted.extend(entries.iter().filter(|entry| entry.kind == Kind::Redact).filter_map(|entry| entry.target));
    let is_late = |entry: &Entry| match entry.kind {
        Kind::Message => redacted.contains(&entry.seq),
        Kind::Edit => redacted.contains(&entry.seq) || entry.target.is_some_and(|target| redacted.contains(&target)),
        Kind::Redact | Kind::React | Kind::Member | Kind::Room => false,
    };
    if !entries.iter().any(is_late) {
        return entries;
    }
    let mut stored = entries.to_vec();
    stored.iter_mut().filter(|entry| is_late(entry)).for_each(Entry::redact);
    stored.into()
}
