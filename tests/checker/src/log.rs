//! The final log of a room as its dump gives it: judged for itself as it streams in, and kept in short.

use crate::anomaly::{Evidence, KeptRecord};
use crate::chain::{self, NO_BODY};
use crate::event::{DumpEvent, Event, FloorEvent, Kind};
use crate::findings::Findings;
use crate::names::{NameIx, Names, Sender};
use crate::rule::Rule;

/// What is kept of a stored entry.
#[derive(Debug)]
pub(crate) struct StoredEntry {
    pub(crate) seq: u64,
    pub(crate) epoch: u64,
    pub(crate) sender: Sender,
    pub(crate) n: u64,
    pub(crate) target: u64,
    pub(crate) kind: Kind,
    /// Its salt and body are gone, so only its content hash tells what it was.
    pub(crate) erased: bool,
    /// `NO_BODY` if there is none.
    pub(crate) body_hash: [u8; 32],
    owner: NameIx,
    created_at: i64,
}

/// The log of one room.
#[derive(Debug)]
pub(crate) struct RoomLog {
    floor: u64,
    hash_before: Option<[u8; 32]>,
    /// In ascending order of seq.
    entries: Vec<StoredEntry>,
    last_hash: [u8; 32],
    /// The targets of redact entries with the redact's seq; sorted by `finish`.
    redactions: Vec<(u64, u64)>,
    /// In the order of their first entries.
    owners: Vec<NameIx>,
}

impl RoomLog {
    pub(crate) fn new() -> Self {
        Self {
            floor: 1,
            hash_before: None,
            entries: Vec::new(),
            last_hash: [0; 32],
            redactions: Vec::new(),
            owners: Vec::new(),
        }
    }

    /// Notes where the log begins. Has no effect once the dump has begun.
    pub(crate) fn observe_floor(&mut self, event: &FloorEvent) {
        if self.entries.is_empty() && event.floor > 1 {
            self.floor = event.floor;
            self.hash_before = Some(event.hash_before);
        }
    }

    /// Judges the next entry by what came before it, and keeps it.
    pub(crate) fn observe(&mut self, dump: &DumpEvent, names: &mut Names, findings: &mut Findings) {
        let evidence = || vec![Evidence::Event(Event::Dump(Box::new(dump.clone())))];
        let expected_seq = self.entries.last().map_or(self.floor, |last| last.seq.saturating_add(1));
        if dump.seq != expected_seq {
            findings.report(Rule::StoredWithoutGap, &dump.room, || {
                (format!("seq {} is stored where seq {expected_seq} belongs", dump.seq), evidence())
            });
        }
        if dump.seq < expected_seq {
            return;
        }

        let owner = names.name(&dump.owner);
        self.judge_epoch(dump, owner, findings);
        if let Err(explanation) = self.judge_hashes(dump, dump.seq == expected_seq) {
            findings.report(Rule::HashChain, &dump.room, || (explanation, evidence()));
        }

        self.last_hash = dump.hash;
        if self.owners.last() != Some(&owner) && !self.owners.contains(&owner) {
            self.owners.push(owner);
        }
        let target = dump.target.unwrap_or(0);
        if dump.kind == Kind::Redact {
            self.redactions.push((target, dump.seq));
        }
        self.entries.push(StoredEntry {
            seq: dump.seq,
            epoch: dump.epoch,
            sender: names.sender(dump.user.as_deref().unwrap_or(""), dump.device.as_deref().unwrap_or("")),
            n: dump.n,
            target,
            kind: dump.kind,
            erased: dump.salt.is_none() && dump.body_hash.is_none(),
            body_hash: dump.body_hash.unwrap_or(NO_BODY),
            owner,
            created_at: dump.created_at,
        });
    }

    fn judge_epoch(&self, dump: &DumpEvent, owner: NameIx, findings: &mut Findings) {
        let Some(last) = self.entries.last() else { return };
        let explanation = if dump.epoch < last.epoch {
            format!(
                "seq {} is stored under epoch {}, below the {} of seq {}",
                dump.seq, dump.epoch, last.epoch, last.seq
            )
        } else if dump.epoch == last.epoch && owner != last.owner {
            format!("seqs {} and {} have different owners in the same epoch {}", last.seq, dump.seq, dump.epoch)
        } else {
            return;
        };
        // Only the entry at hand is shown whole: the one before it is named in words.
        findings.report(Rule::EpochsNeverFall, &dump.room, || {
            (explanation, vec![Evidence::Event(Event::Dump(Box::new(dump.clone())))])
        });
    }

    /// Recomputes what can be recomputed. After a gap the stated hash is taken as the new beginning, and after a wrong hash too,
    /// so that one break is reported once.
    fn judge_hashes(&self, dump: &DumpEvent, follows: bool) -> Result<(), String> {
        let seq = dump.seq;
        match (&dump.salt, &dump.body, dump.body_hash.unwrap_or(NO_BODY)) {
            (Some(salt), Some(body), body_hash) => {
                if chain::body_hash(body) != body_hash {
                    return Err(format!("the body hash of seq {seq} is not that of its body"));
                }
                if chain::content_hash(salt, body) != dump.content_hash {
                    return Err(format!("the content hash of seq {seq} is not that of its salt and body"));
                }
            }
            (Some(salt), None, NO_BODY) => {
                if chain::content_hash(salt, "") != dump.content_hash {
                    return Err(format!("the content hash of seq {seq} is not that of its salt and no body"));
                }
            }
            // The body is not at hand, or was erased with its salt.
            (Some(_), None, _) | (None, None, NO_BODY) => {}
            (None, _, _) => return Err(format!("seq {seq} has a body without a salt")),
        }
        if follows {
            let before = match (self.entries.is_empty(), self.hash_before) {
                (false, _) => self.last_hash,
                (true, Some(hash_before)) => hash_before,
                (true, None) => chain::start(&dump.room),
            };
            if chain::next(&before, dump) != dump.hash {
                return Err(format!("the hash of seq {seq} does not follow from the hash before it and the entry"));
            }
        }
        Ok(())
    }

    /// Prepares for questions; called once everything was observed.
    pub(crate) fn finish(&mut self) {
        self.redactions.sort_unstable();
    }

    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// The last stored seq; the one below the floor if nothing is stored.
    pub(crate) fn head(&self) -> u64 {
        self.entries.last().map_or(self.floor - 1, |last| last.seq)
    }

    pub(crate) fn entries(&self) -> &[StoredEntry] {
        &self.entries
    }

    pub(crate) fn owners(&self) -> &[NameIx] {
        &self.owners
    }

    pub(crate) fn at(&self, seq: u64) -> Option<&StoredEntry> {
        self.entries.binary_search_by_key(&seq, |entry| entry.seq).ok().map(|place| &self.entries[place])
    }

    /// Whether a redact entry explains that the entry has lost its body: one of the entry itself, or, for an edit, one of the
    /// message that it edits (then even an earlier one: such an edit loses its body as it is written).
    pub(crate) fn is_redacted(&self, entry: &StoredEntry) -> bool {
        // What is before the floor is not known: the redaction of an edit's target may have expired with it.
        let edits_redacted = || entry.target < self.floor || self.has_redact(entry.target);
        self.has_redact(entry.seq) || entry.kind == Kind::Edit && edits_redacted()
    }

    fn has_redact(&self, target: u64) -> bool {
        let place = self.redactions.partition_point(|redaction| redaction.0 < target);
        // A redact of a later entry is none.
        self.redactions[place..]
            .iter()
            .take_while(|redaction| redaction.0 == target)
            .any(|redaction| redaction.1 > target)
    }
}

impl StoredEntry {
    pub(crate) fn evidence(&self, room: &str, names: &Names) -> Evidence {
        Evidence::Kept(KeptRecord::Stored {
            room: room.to_owned(),
            seq: self.seq,
            epoch: self.epoch,
            owner: names.of(self.owner).to_owned(),
            kind: self.kind,
            user: names.of(self.sender.user).to_owned(),
            device: names.of(self.sender.device).to_owned(),
            n: self.n,
            target: self.target,
            created_at: self.created_at,
            body_hash: (!self.erased).then_some(self.body_hash),
        })
    }
}
