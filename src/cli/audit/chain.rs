//! The verification of one room, entry by entry.

use std::collections::{BTreeMap, BTreeSet};

use rollcall_actors::room::RoomChange;
use rollcall_protocol::{Entry, Epoch, Hash, Kind, RoomId, Seq, hash};

/// Where a room is broken, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// The entry at which it shows.
    pub seq: Seq,
    /// What is wrong, as the end of "entry … ".
    pub problem: String,
}

/// What was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many entries.
    pub entries: u64,
    /// The first of them; 0 where there is none.
    pub first: Seq,
    /// The last of them.
    pub head: Seq,
    /// The hash of the last, which proves all before it: note it as an anchor.
    pub hash: Hash,
}

/// A room in the middle of its verification.
pub struct ChainAudit {
    first: Seq,
    /// The entry that comes next.
    next: Seq,
    /// The hash before that; none before the first entry of a room whose beginning has expired and whose hash there is not
    /// known: its first entry is believed.
    hash: Option<Hash>,
    /// The first entry of a room whose beginning has expired, until one of its later entries tells what was before it.
    believed: Option<Entry>,
    created_at_ms: i64,
    epoch: Epoch,
    anchors: BTreeMap<Seq, Hash>,
    /// Entries whose body is gone, with the message that they are an edit of.
    erased: Vec<(Seq, Option<Seq>)>,
    /// What redactions have named.
    redacted: BTreeSet<Seq>,
}

impl ChainAudit {
    /// Begins at an entry: the first, or the first that is still kept, with the hash before it where that is known. The anchors
    /// are hashes that a reader has noted before.
    pub fn new(room: &RoomId, first: Seq, hash_before: Option<Hash>, anchors: &[(Seq, Hash)]) -> Self {
        let genesis = hash::genesis(room);
        Self {
            first,
            next: first,
            hash: if first == Seq::FIRST { Some(genesis) } else { hash_before },
            believed: None,
            created_at_ms: i64::MIN,
            epoch: Epoch::ZERO,
            anchors: anchors.iter().copied().collect(),
            erased: Vec::new(),
            redacted: BTreeSet::new(),
        }
    }

    /// Verifies the next entry.
    ///
    /// # Errors
    /// Where it cannot be what comes next.
    pub fn take(&mut self, entry: &Entry) -> Result<(), Break> {
        self.check(entry).map_err(|problem| Break { seq: self.next, problem })?;
        if entry.kind == Kind::Redact {
            self.redacted.extend(entry.target);
        }
        if entry.is_redacted() {
            self.erased.push((entry.seq, entry.target.filter(|_| entry.kind == Kind::Edit)));
        }
        if self.hash.is_none() {
            self.believed = Some(entry.clone());
        }
        self.hash = Some(entry.hash);
        self.created_at_ms = entry.created_at_ms;
        self.epoch = entry.epoch;
        self.next = self.next.next();
        Ok(())
    }

    fn check(&mut self, entry: &Entry) -> Result<(), String> {
        if entry.seq != self.next {
            return Err(format!("is missing: {} came in its place", entry.seq));
        }
        if entry.seq == Seq::FIRST && entry.kind != Kind::Room {
            return Err("is not the creation of the room".to_owned());
        }
        if self.hash.is_some_and(|before| entry.expected_hash(before) != entry.hash) {
            return Err(
                "does not fit the chain: its hash is not that of its content and the entry before it".to_owned()
            );
        }
        match entry.expected_content_hash() {
            Some(expected) if expected != entry.content_hash => {
                return Err("has another body than it was committed with: its content hash does not fit".to_owned());
            }
            None if entry.body.is_some() => return Err("has a body and no salt to prove it".to_owned()),
            _ => {}
        }
        if entry.created_at_ms < self.created_at_ms {
            return Err("has an earlier time than the entry before it".to_owned());
        }
        if entry.epoch < self.epoch {
            return Err("has a lower epoch than the entry before it".to_owned());
        }
        if let Some(believed) = self.believed.as_ref().or(Some(entry).filter(|_| self.hash.is_none()))
            && let Some(floor_hash) = floor_hash(entry, believed.seq)
            && believed.expected_hash(floor_hash) != believed.hash
        {
            return Err("tells of another history before the first entry that is kept".to_owned());
        }
        match self.anchors.remove(&entry.seq) {
            Some(noted) if noted != entry.hash => {
                Err("has another hash than was noted: history was rewritten".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Ends the verification. `head` is the last entry that there must be.
    ///
    /// # Errors
    /// Where entries are missing at the end, a body is gone that nobody redacted, or an anchor was not met.
    pub fn finish(self, head: Seq) -> Result<Verified, Break> {
        let last = self.next.previous();
        if last != head {
            return Err(Break { seq: self.next, problem: format!("is missing, and all up to {head}") });
        }
        let is_explained = |(seq, edited): &(Seq, Option<Seq>)| {
            let is_known = |edited: &Seq| self.redacted.contains(edited);
            // A redaction before an edit of its target may have expired with it.
            self.redacted.contains(seq) || edited.is_some_and(|edited| edited < self.first || is_known(&edited))
        };
        if let Some(&(seq, _)) = self.erased.iter().find(|erased| !is_explained(erased)) {
            return Err(Break { seq, problem: "has lost its body, and no redaction says so".to_owned() });
        }
        if let Some((&seq, _)) = self.anchors.iter().next() {
            let problem = format!("was noted, and the room has the entries {} to {last}", self.first);
            return Err(Break { seq, problem });
        }
        let entries = self.next.since(self.first);
        let first = if entries == 0 { Seq::ZERO } else { self.first };
        Ok(Verified { entries, first, head: last, hash: self.hash.unwrap_or(Hash([0; 32])) })
    }
}

/// Returns the hash before the first entry that is kept, where an entry tells of this one that it is the first.
fn floor_hash(entry: &Entry, first: Seq) -> Option<Hash> {
    let body = entry.body.as_ref().filter(|_| entry.kind == Kind::Room)?;
    let change = body.parse::<RoomChange>().ok()?;
    change.floor_hash.filter(|_| change.floor == Some(first))
}

#[cfg(test)]
mod tests;
