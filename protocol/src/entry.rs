//! Entries: the numbered records of a room's log.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::body::Body;
use crate::hash::{self, Hash, Hashed, Salt};
use crate::ids::{DeviceId, Epoch, Seq, UserId};

/// What an entry records. The number is part of the hash chain and never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Kind {
    /// Something said.
    Message = 1,
    /// A new body for a message, by its author.
    Edit = 2,
    /// The end of a message's or an edit's body.
    Redact = 3,
    /// A reaction to a message.
    React = 4,
    /// A change of who is a member, or of a member's role.
    Member = 5,
    /// The room's creation (always entry 1) or a change of its settings.
    Room = 6,
}

impl Kind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 6] = [Self::Message, Self::Edit, Self::Redact, Self::React, Self::Member, Self::Room];

    /// Returns the kind's number in the hash chain and in stores.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Finds the kind of a number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// Tells whether a redaction may take this kind of entry as its target.
    pub const fn is_redactable(self) -> bool {
        matches!(self, Self::Message | Self::Edit)
    }
}

/// Which activation of a room wrote an entry: drawn afresh at each activation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerId(pub u128);

impl std::fmt::Display for OwnerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// One numbered record of a room's log, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Its number in the room.
    pub seq: Seq,
    /// What it records.
    pub kind: Kind,
    /// When it was numbered, in milliseconds since 1970; never less than the entry before it.
    pub created_at_ms: i64,
    /// Who sent it.
    pub sender: UserId,
    /// From which installation; none for entries that the server makes.
    pub device: Option<DeviceId>,
    /// The device's own counter of writes to the room; 0 for entries that the server makes.
    pub n: u64,
    /// The entry that this one is about.
    pub target: Option<Seq>,
    /// What was said; none once it was redacted.
    pub body: Option<Body>,
    /// What was hashed with the body; gone with it.
    pub salt: Option<Salt>,
    /// The hash of salt and body; stays when they go.
    pub content_hash: Hash,
    /// The hash over this entry and all before it.
    pub hash: Hash,
    /// The ownership under which it was numbered.
    pub epoch: Epoch,
    /// The activation that numbered it.
    pub owner: OwnerId,
}

impl Entry {
    /// Tells whether the body of this entry was taken away.
    pub fn is_redacted(&self) -> bool {
        self.salt.is_none()
    }

    /// Takes the body and its salt away; what proves the chain stays.
    pub fn redact(&mut self) {
        self.body = None;
        self.salt = None;
    }

    /// Returns what the hash must be, given the hash of the entry before.
    pub fn expected_hash(&self, before: Hash) -> Hash {
        hash::chain(
            before,
            &Hashed {
                seq: self.seq,
                kind: self.kind,
                created_at_ms: self.created_at_ms,
                n: self.n,
                target: self.target,
                sender: &self.sender,
                device: self.device.as_ref(),
                content_hash: self.content_hash,
            },
        )
    }

    /// Returns what the content hash must be; none where the body was taken away.
    pub fn expected_content_hash(&self) -> Option<Hash> {
        self.salt.map(|salt| hash::content(&salt, self.body.as_ref().map(Body::as_str)))
    }

    /// Returns the size that counts against batches and queues, in bytes.
    pub fn weight_bytes(&self) -> usize {
        self.body.as_ref().map_or(0, |body| body.as_str().len())
    }
}

/// An entry as a client gets it: field for field what [`EntryFrame`] reads.
#[derive(Debug, Clone, Copy)]
pub struct EntryView<'a> {
    entry: &'a Entry,
    evidence: bool,
}

impl<'a> EntryView<'a> {
    /// The entry as it is delivered.
    pub const fn new(entry: &'a Entry) -> Self {
        Self { entry, evidence: false }
    }

    /// The entry with what proves it: epoch, owner, salt and hashes.
    pub const fn with_evidence(entry: &'a Entry) -> Self {
        Self { entry, evidence: true }
    }
}

impl Serialize for EntryView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entry = self.entry;
        let optional = [
            entry.device.is_some(),
            entry.n > 0,
            entry.target.is_some(),
            entry.body.is_some(),
            entry.is_redacted(),
            self.evidence && entry.salt.is_some(),
        ];
        let fields = 4 + optional.into_iter().filter(|&present| present).count() + if self.evidence { 4 } else { 0 };
        let mut map = serializer.serialize_map(Some(fields))?;
        map.serialize_entry("seq", &entry.seq)?;
        map.serialize_entry("kind", &entry.kind)?;
        map.serialize_entry("created_at", &entry.created_at_ms)?;
        map.serialize_entry("sender", &entry.sender)?;
        if let Some(device) = &entry.device {
            map.serialize_entry("device", device)?;
        }
        if entry.n > 0 {
            map.serialize_entry("n", &entry.n)?;
        }
        if let Some(target) = &entry.target {
            map.serialize_entry("target", target)?;
        }
        if let Some(body) = &entry.body {
            map.serialize_entry("body", body)?;
        }
        if entry.is_redacted() {
            map.serialize_entry("redacted", &true)?;
        }
        if self.evidence {
            map.serialize_entry("epoch", &entry.epoch)?;
            map.serialize_entry("owner", &format_args!("{}", entry.owner))?;
            if let Some(salt) = &entry.salt {
                map.serialize_entry("salt", salt)?;
            }
            map.serialize_entry("content_hash", &entry.content_hash)?;
            map.serialize_entry("hash", &entry.hash)?;
        }
        map.end()
    }
}

/// An entry as it came over the wire.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct EntryFrame {
    /// Its number in the room.
    pub seq: Seq,
    /// What it records.
    pub kind: Kind,
    /// When it was numbered, in milliseconds since 1970.
    #[serde(rename = "created_at")]
    pub created_at_ms: i64,
    /// Who sent it.
    pub sender: UserId,
    /// From which installation; none for entries that the server makes.
    #[serde(default)]
    pub device: Option<DeviceId>,
    /// The device's own counter; 0 for entries that the server makes.
    #[serde(default)]
    pub n: u64,
    /// The entry that this one is about.
    #[serde(default)]
    pub target: Option<Seq>,
    /// What was said.
    #[serde(default)]
    pub body: Option<Body>,
    /// Whether the body was taken away.
    #[serde(default)]
    pub redacted: bool,
    /// The ownership under which it was numbered; with evidence only.
    #[serde(default)]
    pub epoch: Option<Epoch>,
    /// The activation that numbered it, as 32 hexadecimal digits; with evidence only.
    #[serde(default)]
    pub owner: Option<String>,
    /// What was hashed with the body; with evidence only.
    #[serde(default)]
    pub salt: Option<Salt>,
    /// The hash of salt and body; with evidence only.
    #[serde(default)]
    pub content_hash: Option<Hash>,
    /// The hash over this entry and all before it; with evidence only.
    #[serde(default)]
    pub hash: Option<Hash>,
}
