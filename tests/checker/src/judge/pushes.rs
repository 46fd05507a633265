//! What connections were shown against the log.

use crate::anomaly::Evidence;
use crate::chain::NO_BODY;
use crate::event::Event;
use crate::findings::Findings;
use crate::judge::room::Case;
use crate::log::{RoomLog, StoredEntry};
use crate::rule::Rule;
use crate::seen::Seen;

/// Judges every entry of which a push was seen, and what joins and expiries told.
pub(super) fn judge(case: &Case<'_>, findings: &mut Findings) {
    let log = &case.record.log;
    // What was pushed below the floor cannot be compared any more.
    for (seq, seen) in case.record.seen.iter().filter(|(seq, _)| *seq >= log.floor()) {
        let entry = log.at(seq);
        let difference = match entry {
            Some(entry) => difference(log, entry, seen),
            None => Some("is not stored"),
        };
        if let Some(difference) = difference {
            findings.report(Rule::PushesEqualLog, case.name, || {
                let stored = entry.map(|entry| entry.evidence(case.name, case.names));
                let evidence = [seen.evidence(case.name, seq, case.names)].into_iter().chain(stored).collect();
                (format!("seq {seq} was pushed and {difference}"), evidence)
            });
        }
    }
    if let Some(joined) = case.record.highest_join.as_ref().filter(|joined| joined.head > log.head()) {
        findings.report(Rule::PushesEqualLog, case.name, || {
            let explanation = format!("a join was told the head {}, but the log ends at {}", joined.head, log.head());
            (explanation, vec![Evidence::Event(Event::Joined(joined.clone()))])
        });
    }
    if let Some(expired) = case.record.highest_expired.as_ref().filter(|expired| expired.to >= log.floor()) {
        findings.report(Rule::PushesEqualLog, case.name, || {
            let explanation = format!("seq {} was called expired, but the floor is {}", expired.to, log.floor());
            (explanation, vec![Evidence::Event(Event::Expired(expired.clone()))])
        });
    }
}

fn difference(log: &RoomLog, entry: &StoredEntry, seen: &Seen) -> Option<&'static str> {
    let is_redacted = log.is_redacted(entry);
    if seen.epoch != entry.epoch {
        Some("is stored under another epoch")
    } else if seen.body_hash_start().is_some() && entry.erased && !is_redacted {
        Some("has lost its body without a redaction")
    } else if seen.body_hash_start().is_some() && !entry.erased && !seen.came_with(&entry.body_hash) {
        Some("is stored with another body")
    } else if seen.came_without_body() && entry.body_hash != NO_BODY && !is_redacted {
        Some("came without the body that is stored")
    } else {
        None
    }
}
