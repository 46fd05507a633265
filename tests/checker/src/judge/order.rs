//! The order of the log against the order in which writes were made.

use crate::findings::Findings;
use crate::judge::room::Case;
use crate::judge::writes::Settled;
use crate::log::StoredEntry;
use crate::rule::Rule;

/// Judges that each device's entries are numbered in the order of n. Takes them sorted by sender, n and seq.
pub(super) fn judge_devices(case: &Case<'_>, stored: &[&StoredEntry], findings: &mut Findings) {
    for entries in stored.chunk_by(|one, next| one.sender == next.sender) {
        let mut highest = entries[0];
        let mut n = highest.n;
        for &entry in &entries[1..] {
            // A second copy of a write is the business of another rule.
            if entry.n == n {
                continue;
            }
            n = entry.n;
            if entry.seq > highest.seq {
                highest = entry;
                continue;
            }
            findings.report(Rule::DeviceOrder, case.name, || {
                let explanation = format!(
                    "write {} of a device is stored at seq {}, its write {} at {}",
                    highest.n, highest.seq, n, entry.seq
                );
                (explanation, vec![highest.evidence(case.name, case.names), entry.evidence(case.name, case.names)])
            });
        }
    }
}

/// Judges real time: walks the writes by their beginning, and remembers the highest seq among those that were acknowledged
/// before.
pub(super) fn judge(case: &Case<'_>, settled: &[Settled<'_>], findings: &mut Findings) {
    let mut by_invoke: Vec<&Settled<'_>> = settled.iter().collect();
    by_invoke.sort_by_key(|write| (write.t_invoke, write.seq));
    let mut by_ack: Vec<(u64, &Settled<'_>)> =
        settled.iter().filter_map(|write| Some((write.t_acked?, write))).collect();
    by_ack.sort_by_key(|(t_acked, write)| (*t_acked, write.seq));

    let mut acked_before = by_ack.into_iter().peekable();
    let mut highest: Option<&Settled<'_>> = None;
    for later in by_invoke {
        while let Some((_, acked)) = acked_before.next_if(|(t_acked, _)| *t_acked < later.t_invoke) {
            if highest.is_none_or(|highest| highest.seq < acked.seq) {
                highest = Some(acked);
            }
        }
        let Some(earlier) = highest.filter(|highest| highest.seq > later.seq) else { continue };
        findings.report(Rule::AckBeforeInvoke, case.name, || {
            let explanation =
                format!("seq {} was acknowledged before the write of seq {} began", earlier.seq, later.seq);
            let evidence = [earlier, later].map(|settled| settled.write.evidence(case.name, case.names));
            (explanation, evidence.into())
        });
    }
}
