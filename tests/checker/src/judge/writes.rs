//! Writes against the log: both sorted by (user, device, n), then walked side by side.

use crate::anomaly::Evidence;
use crate::event::Outcome;
use crate::findings::Findings;
use crate::judge::order;
use crate::judge::room::Case;
use crate::log::StoredEntry;
use crate::names::{NameIx, Sender};
use crate::rule::Rule;
use crate::verdict::Summary;
use crate::write_record::WriteRecord;

/// A write whose place in the log is known.
pub(super) struct Settled<'a> {
    pub(super) write: &'a WriteRecord,
    pub(super) seq: u64,
    /// When the first of its attempts began.
    pub(super) t_invoke: u64,
    /// When it was first acknowledged.
    pub(super) t_acked: Option<u64>,
}

/// What was recorded and what is stored of one (user, device, n).
struct Key<'a, 'b> {
    n: u64,
    writes: &'b [&'a WriteRecord],
    stored: &'b [&'a StoredEntry],
}

/// Judges every write of a room by the log, and the order of every device. Gives the writes that are where they should be.
pub(super) fn judge<'a>(case: &Case<'a>, findings: &mut Findings, summary: &mut Summary) -> Vec<Settled<'a>> {
    let key_of_write = |write: &WriteRecord| (write.sender, write.n);
    let key_of_entry = |entry: &StoredEntry| (entry.sender, entry.n);
    let mut writes: Vec<&WriteRecord> = case.record.writes.iter().collect();
    writes.sort_by_key(|write| (key_of_write(write), write.t_invoke));
    // Entries without a device are the server's own: no client's write can be one.
    let mut stored: Vec<&StoredEntry> =
        case.record.log.entries().iter().filter(|entry| entry.sender.device != NameIx::ABSENT).collect();
    stored.sort_by_key(|entry| (key_of_entry(entry), entry.seq));
    order::judge_devices(case, &stored, findings);

    let mut settled = Vec::new();
    let (mut writes, mut stored) = (writes.as_slice(), stored.as_slice());
    loop {
        let next_write = writes.first().map(|write| key_of_write(write));
        let next_entry = stored.first().map(|entry| key_of_entry(entry));
        let Some(key): Option<(Sender, u64)> = next_write.into_iter().chain(next_entry).min() else { break };
        let (same_writes, other_writes) = writes.split_at(writes.partition_point(|write| key_of_write(write) <= key));
        let (same_stored, other_stored) = stored.split_at(stored.partition_point(|entry| key_of_entry(entry) <= key));
        (writes, stored) = (other_writes, other_stored);
        let key = Key { n: key.1, writes: same_writes, stored: same_stored };
        key.judge(case, findings, summary, &mut settled);
    }
    settled
}

impl<'a> Key<'a, '_> {
    fn judge(&self, case: &Case<'a>, findings: &mut Findings, summary: &mut Summary, settled: &mut Vec<Settled<'a>>) {
        if self.writes.is_empty() {
            summary.stored_unexplained += self.stored.len() as u64;
        }
        self.judge_copies(case, findings);
        for (place, leader) in self.writes.iter().enumerate() {
            // Attempts of one write are judged together, where the first of them stands.
            if self.writes[..place].iter().any(|earlier| earlier.has_content_of(leader)) {
                continue;
            }
            let attempts: Vec<&WriteRecord> =
                self.writes[place..].iter().copied().filter(|attempt| attempt.has_content_of(leader)).collect();
            match best_outcome(&attempts) {
                Some(Outcome::Ok) => settled.extend(self.judge_acked(case, &attempts, findings)),
                Some(Outcome::Unknown) => settled.extend(self.judge_unknown(case, &attempts, summary)),
                Some(Outcome::Failed) | None => self.judge_failed(case, leader, findings),
            }
        }
        self.judge_foreign_content(case, findings);
        self.judge_erased(case, findings);
    }

    /// One key, one seq. Where all that is known of the key is an unknown outcome, the rule about those has the word.
    fn judge_copies(&self, case: &Case<'_>, findings: &mut Findings) {
        let Some((first, copies)) = self.stored.split_first().filter(|_| self.n > 0) else { return };
        let rule = if self.has(Outcome::Unknown) && !self.has(Outcome::Ok) {
            Rule::UnknownAtMostOnce
        } else {
            Rule::OneSeqPerWrite
        };
        for copy in copies {
            findings.report(rule, case.name, || {
                (format!("the same write is stored at seqs {} and {}", first.seq, copy.seq), self.evidence(case))
            });
        }
    }

    fn judge_acked(
        &self,
        case: &Case<'_>,
        attempts: &[&'a WriteRecord],
        findings: &mut Findings,
    ) -> Option<Settled<'a>> {
        let log = &case.record.log;
        let mut settled: Option<Settled<'a>> = None;
        for &write in attempts.iter().filter(|attempt| attempt.outcome == Outcome::Ok) {
            // What lies below the floor is gone by intention: its place is all that is left of it.
            let is_expired = (1..log.floor()).contains(&write.seq);
            let explanation = match self.stored.iter().find(|entry| entry.seq == write.seq) {
                None if is_expired => None,
                None => Some(format!("acknowledged at seq {}, where it is not stored", write.seq)),
                Some(entry) if !is_content(case, write, entry) => {
                    Some(format!("acknowledged at seq {}, where its content is not stored", write.seq))
                }
                Some(entry) if (1..entry.epoch).contains(&write.epoch) => {
                    Some(format!("acknowledged under epoch {}, but written under {}", write.epoch, entry.epoch))
                }
                Some(_) => None,
            };
            if let Some(explanation) = explanation {
                findings.report(Rule::AckedIsStored, case.name, || {
                    let there = log.at(write.seq).filter(|entry| !self.stored.iter().any(|own| own.seq == entry.seq));
                    let there = there.map(|entry| entry.evidence(case.name, case.names));
                    (explanation, self.evidence(case).into_iter().chain(there).collect())
                });
                continue;
            }
            let t_acked = settled.iter().filter_map(|settled| settled.t_acked).chain([write.t_return]).min();
            settled = Some(Settled { write, seq: write.seq, t_invoke: first_invoke(attempts), t_acked });
        }
        settled
    }

    fn judge_unknown(
        &self,
        case: &Case<'_>,
        attempts: &[&'a WriteRecord],
        summary: &mut Summary,
    ) -> Option<Settled<'a>> {
        let write = *attempts.first()?;
        let stored = self.stored.iter().find(|entry| is_content(case, write, entry));
        let count = if stored.is_some() { &mut summary.unknown_stored } else { &mut summary.unknown_absent };
        *count += 1;
        stored.map(|entry| Settled { write, seq: entry.seq, t_invoke: first_invoke(attempts), t_acked: None })
    }

    /// A refused write may share its n with another that was stored; only its own content must be absent.
    fn judge_failed(&self, case: &Case<'_>, write: &WriteRecord, findings: &mut Findings) {
        let is_anothers = |entry: &StoredEntry| {
            self.writes.iter().any(|other| other.outcome != Outcome::Failed && is_content(case, other, entry))
        };
        for entry in self.stored.iter().filter(|entry| is_content(case, write, entry) && !is_anothers(entry)) {
            findings.report(Rule::FailedIsAbsent, case.name, || {
                (format!("refused for good, but stored at seq {}", entry.seq), self.evidence(case))
            });
        }
    }

    /// What is stored under the key of unknown writes is one of them.
    fn judge_foreign_content(&self, case: &Case<'_>, findings: &mut Findings) {
        if !self.has(Outcome::Unknown) || self.has(Outcome::Ok) {
            return;
        }
        for entry in self.stored.iter().filter(|entry| !self.writes.iter().any(|write| is_content(case, write, entry)))
        {
            findings.report(Rule::UnknownAtMostOnce, case.name, || {
                (format!("stored at seq {} with a content that was not sent", entry.seq), self.evidence(case))
            });
        }
    }

    /// An erased entry cannot be compared with what was pushed of it, but its sender's word can.
    fn judge_erased(&self, case: &Case<'_>, findings: &mut Findings) {
        for entry in self.stored.iter().filter(|entry| entry.erased && !self.writes.is_empty()) {
            let Some(seen) = case.record.seen.get(entry.seq).filter(|seen| seen.body_hash_start().is_some()) else {
                continue;
            };
            if !self.writes.iter().any(|write| seen.came_with(&write.body_hash)) {
                findings.report(Rule::PushesEqualLog, case.name, || {
                    let mut evidence = self.evidence(case);
                    evidence.push(seen.evidence(case.name, entry.seq, case.names));
                    (format!("seq {} came with a body that was not sent, before it was erased", entry.seq), evidence)
                });
            }
        }
    }

    fn has(&self, outcome: Outcome) -> bool {
        self.writes.iter().any(|write| write.outcome == outcome)
    }

    fn evidence(&self, case: &Case<'_>) -> Vec<Evidence> {
        let writes = self.writes.iter().map(|write| write.evidence(case.name, case.names));
        writes.chain(self.stored.iter().map(|entry| entry.evidence(case.name, case.names))).collect()
    }
}

/// Whether an entry holds what a write of the same key asked for. A body that was erased by a redaction matches any.
fn is_content(case: &Case<'_>, write: &WriteRecord, entry: &StoredEntry) -> bool {
    let same_body = write.body_hash == entry.body_hash || entry.erased && case.record.log.is_redacted(entry);
    let same_target = write.target == 0 || write.target == entry.target;
    write.op.kind() == entry.kind && same_body && same_target
}

fn best_outcome(attempts: &[&WriteRecord]) -> Option<Outcome> {
    [Outcome::Ok, Outcome::Unknown, Outcome::Failed]
        .into_iter()
        .find(|outcome| attempts.iter().any(|attempt| attempt.outcome == *outcome))
}

fn first_invoke(attempts: &[&WriteRecord]) -> u64 {
    attempts.iter().map(|attempt| attempt.t_invoke).min().unwrap_or(0)
}
