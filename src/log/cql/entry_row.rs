//! An entry as a row of `messages`, both ways.

use rollcall_actors::fencing::{Mark, MarkKind};
use rollcall_protocol::{Body, DeviceId, Entry, Epoch, Hash, Kind, OwnerId, Salt, Seq, UserId};
use scylla::value::{CqlTimestamp, MaybeUnset};
use scylla::{DeserializeRow, SerializeRow};
use uuid::Uuid;

/// The columns of an entry, in the order in which statements name them.
pub(super) const COLUMNS: &str = "message_id, kind, sender_id, device_id, n, target, created_at, body, salt, content_hash, hash, \
                                  w_epoch, w_owner";

/// An entry as it is written. What it does not have is left unset: a null would be a tombstone.
#[derive(Debug, SerializeRow)]
pub(super) struct NewRow<'a> {
    channel_id: &'a str,
    bucket: i64,
    message_id: i64,
    kind: i8,
    sender_id: &'a str,
    device_id: MaybeUnset<&'a str>,
    n: i64,
    target: MaybeUnset<i64>,
    created_at: CqlTimestamp,
    body: MaybeUnset<&'a [u8]>,
    salt: MaybeUnset<&'a [u8]>,
    content_hash: &'a [u8],
    hash: &'a [u8],
    w_epoch: i64,
    w_owner: Uuid,
}

/// An entry as it is read; nothing about it is believed yet.
#[derive(Debug, Clone, Default, DeserializeRow)]
pub(super) struct StoredRow<'a> {
    pub message_id: i64,
    pub kind: Option<i8>,
    pub sender_id: Option<&'a str>,
    pub device_id: Option<&'a str>,
    pub n: Option<i64>,
    pub target: Option<i64>,
    pub created_at: Option<CqlTimestamp>,
    pub body: Option<&'a [u8]>,
    pub salt: Option<&'a [u8]>,
    pub content_hash: Option<&'a [u8]>,
    pub hash: Option<&'a [u8]>,
    pub w_epoch: Option<i64>,
    pub w_owner: Option<Uuid>,
}

/// A column that holds what was never written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its {0} is not one")]
pub(super) struct RowError(pub &'static str);

impl<'a> NewRow<'a> {
    pub fn new(channel_id: &'a str, bucket: u64, entry: &'a Entry) -> Self {
        Self {
            channel_id,
            bucket: bigint(bucket),
            message_id: bigint(entry.seq.get()),
            kind: i8::try_from(entry.kind.number()).expect("kinds are few"),
            sender_id: entry.sender.as_str(),
            device_id: unset_or(entry.device.as_ref().map(DeviceId::as_str)),
            n: bigint(entry.n),
            target: unset_or(entry.target.map(|target| bigint(target.get()))),
            created_at: CqlTimestamp(entry.created_at_ms),
            body: unset_or(entry.body.as_ref().map(|body| body.as_str().as_bytes())),
            salt: unset_or(entry.salt.as_ref().map(|salt| salt.0.as_slice())),
            content_hash: &entry.content_hash.0,
            hash: &entry.hash.0,
            w_epoch: bigint(entry.epoch.get()),
            w_owner: Uuid::from_u128(entry.owner.0),
        }
    }
}

impl StoredRow<'_> {
    /// Reads the entry. Whether its hashes fit is for the reader of the chain to see.
    pub fn decode(&self) -> Result<Entry, RowError> {
        let body = self.body.map(|bytes| {
            let text = std::str::from_utf8(bytes).map_err(|_| RowError("body"))?;
            Body::from_stored(text.to_owned()).map_err(|_| RowError("body"))
        });
        let device = self.device_id.map(|device| DeviceId::parse(device).map_err(|_| RowError("device_id")));
        Ok(Entry {
            seq: number(self.message_id).map(Seq::new).ok_or(RowError("message_id"))?,
            kind: kind(self.kind)?,
            created_at_ms: self.created_at.ok_or(RowError("created_at"))?.0,
            sender: self.sender_id.and_then(|sender| UserId::parse(sender).ok()).ok_or(RowError("sender_id"))?,
            device: device.transpose()?,
            n: self.n.and_then(number).ok_or(RowError("n"))?,
            target: target(self.target)?,
            body: body.transpose()?,
            salt: self.salt.map(|bytes| bytes.try_into().map(Salt).map_err(|_| RowError("salt"))).transpose()?,
            content_hash: hash(self.content_hash).ok_or(RowError("content_hash"))?,
            hash: hash(self.hash).ok_or(RowError("hash"))?,
            epoch: self.w_epoch.and_then(number).map(Epoch::new).ok_or(RowError("w_epoch"))?,
            owner: OwnerId(self.w_owner.ok_or(RowError("w_owner"))?.as_u128()),
        })
    }
}

/// Reads what of an entry redactions are concerned with.
pub(super) fn mark(seq: Seq, stored_kind: Option<i8>, stored_target: Option<i64>) -> Result<Option<Mark>, RowError> {
    let mark_kind = match kind(stored_kind)? {
        Kind::Edit => MarkKind::Edit,
        Kind::Redact => MarkKind::Redact,
        Kind::Message | Kind::React | Kind::Member | Kind::Room => return Ok(None),
    };
    let target = target(stored_target)?.filter(|&target| target > Seq::ZERO);
    Ok(target.map(|target| Mark { seq, kind: mark_kind, target }))
}

/// Returns the chain hash of a row.
pub(super) fn hash(stored: Option<&[u8]>) -> Option<Hash> {
    stored.and_then(|bytes| bytes.try_into().ok()).map(Hash)
}

/// Reads a number as it is stored: from 0 on, and small enough for every client.
pub(super) fn number(stored: i64) -> Option<u64> {
    u64::try_from(stored).ok().filter(|&number| number <= rollcall_protocol::NUMBER_MAX)
}

/// Returns a number as it is stored.
///
/// # Panics
/// Above 2^63, which no number of ours is.
pub(super) fn bigint(number: u64) -> i64 {
    i64::try_from(number).expect("numbers are far below 2^63")
}

fn kind(stored: Option<i8>) -> Result<Kind, RowError> {
    let number = stored.and_then(|kind| u8::try_from(kind).ok());
    number.and_then(Kind::from_number).ok_or(RowError("kind"))
}

fn target(stored: Option<i64>) -> Result<Option<Seq>, RowError> {
    stored.map(|target| number(target).map(Seq::new).ok_or(RowError("target"))).transpose()
}

fn unset_or<T>(value: Option<T>) -> MaybeUnset<T> {
    value.map_or(MaybeUnset::Unset, MaybeUnset::Set)
}
