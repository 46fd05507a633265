//! How rows are written: the values of the embedded log's keyspaces.
//!
//! Every value starts with a byte that names its format, so that a later version can read what an earlier one wrote. By hand,
//! since this is read a million times a second and stays on disks for years: nothing of it follows from the shape of a type.
//!
//! ```text
//! entry     1, kind u8, flags u8, created_at i64, n v, [target v], epoch v, owner 16, content_hash 32, hash 32, [salt 16],
//!           sender u8 + bytes, [device u8 + bytes], [body to the end]
//! room      1, number v, epoch v, owner 16, last_seq v, floor v, swept v, last_redact v
//! next room 1, number v
//! redaction 1, before v, next v, the room's name to the end
//! snapshot  1, the part to the end
//! ```
//! `v` is a LEB128 number, fixed ones are big-endian, and flags tell which of the bracketed fields are there.

use rollcall_actors::ports::{Fence, LogTail};
use rollcall_protocol::{Body, DeviceId, Entry, Epoch, Hash, Kind, NUMBER_MAX, OwnerId, RoomId, Salt, Seq, UserId};

use super::keys::RoomNumber;

const ENTRY_FORMAT: u8 = 1;
const ROOM_FORMAT: u8 = 1;
const SNAPSHOT_FORMAT: u8 = 1;
const REDACTION_FORMAT: u8 = 1;

const HAS_DEVICE: u8 = 1;
const HAS_TARGET: u8 = 2;
const HAS_SALT: u8 = 4;
const HAS_BODY: u8 = 8;
const ALL_FLAGS: u8 = HAS_DEVICE | HAS_TARGET | HAS_SALT | HAS_BODY;

/// Why a value cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CodecError {
    /// A later version wrote it, or something else did.
    #[error("its format is {0}, which this version does not know")]
    UnknownFormat(u8),
    /// It ends within a field.
    #[error("it ends too early")]
    Truncated,
    /// A field holds what was never written.
    #[error("its {0} is not one")]
    Invalid(&'static str),
}

/// A room as the log keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RoomRow {
    /// What stands for the room in keys.
    pub number: RoomNumber,
    /// Who fenced the room last.
    pub fence: Fence,
    /// The last committed number.
    pub last_seq: Seq,
    /// The first number that is still kept.
    pub floor: Seq,
    /// The first number that may still lie on the disk: below the floor while the expired entries are being deleted.
    pub swept: Seq,
    /// The last redact entry; a snapshot older than it may hold traces of what was redacted.
    pub last_redact: Seq,
}

impl RoomRow {
    /// Returns the row of a room that gets its first entries.
    pub fn new(number: RoomNumber, fence: Fence) -> Self {
        Self { number, fence, last_seq: Seq::ZERO, floor: Seq::FIRST, swept: Seq::FIRST, last_redact: Seq::ZERO }
    }

    /// Returns the row as the port shows it.
    pub fn tail(&self) -> LogTail {
        LogTail { fence: self.fence, last_seq: self.last_seq }
    }

    /// Writes the row.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48);
        out.push(ROOM_FORMAT);
        put_number(&mut out, u64::from(self.number.0));
        put_number(&mut out, self.fence.epoch.get());
        out.extend_from_slice(&self.fence.owner.0.to_be_bytes());
        for seq in [self.last_seq, self.floor, self.swept, self.last_redact] {
            put_number(&mut out, seq.get());
        }
        out
    }

    /// Reads a row.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut input = Input(bytes);
        input.format(ROOM_FORMAT)?;
        let number = input.room_number()?;
        let fence = input.fence()?;
        let mut seq = || input.number("sequence").map(Seq::new);
        let row = Self { number, fence, last_seq: seq()?, floor: seq()?, swept: seq()?, last_redact: seq()? };
        input.end()?;
        Ok(row)
    }
}

/// A redaction under way: a target and its edits lose their bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Redaction {
    /// The redact entry: what is committed after it has no part in this.
    pub before: Seq,
    /// From which edit on bodies may be left; 0 where the target's own may.
    pub next: Seq,
}

impl Redaction {
    /// Returns the redaction that the entry `by` begins.
    pub fn new(by: Seq) -> Self {
        Self { before: by, next: Seq::ZERO }
    }

    /// Writes the redaction down with its room's name; its target is in its key.
    pub fn encode(&self, room: &RoomId) -> Vec<u8> {
        let mut out = vec![REDACTION_FORMAT];
        put_number(&mut out, self.before.get());
        put_number(&mut out, self.next.get());
        out.extend_from_slice(room.as_str().as_bytes());
        out
    }

    /// Reads a redaction and its room's name.
    pub fn decode(bytes: &[u8]) -> Result<(Self, RoomId), CodecError> {
        let mut input = Input(bytes);
        input.format(REDACTION_FORMAT)?;
        let mut seq = || input.number("sequence").map(Seq::new);
        let redaction = Self { before: seq()?, next: seq()? };
        let name = std::str::from_utf8(input.0).ok().and_then(|name| RoomId::parse(name).ok());
        Ok((redaction, name.ok_or(CodecError::Invalid("room"))?))
    }
}

/// Writes the number that the next room gets.
pub(super) fn encode_next_room(number: RoomNumber) -> Vec<u8> {
    let mut out = vec![ROOM_FORMAT];
    put_number(&mut out, u64::from(number.0));
    out
}

/// Reads the number that the next room gets.
pub(super) fn decode_next_room(bytes: &[u8]) -> Result<RoomNumber, CodecError> {
    let mut input = Input(bytes);
    input.format(ROOM_FORMAT)?;
    let number = input.room_number()?;
    input.end()?;
    Ok(number)
}

/// Writes an entry, but for its number, which is in its key.
pub(super) fn encode_entry(entry: &Entry) -> Vec<u8> {
    let body = entry.body.as_ref().map(Body::as_str);
    let sender = entry.sender.as_str().as_bytes();
    let device = entry.device.as_ref().map(|device| device.as_str().as_bytes());
    let flag = |present: bool, flag: u8| if present { flag } else { 0 };
    let flags = flag(device.is_some(), HAS_DEVICE)
        | flag(entry.target.is_some(), HAS_TARGET)
        | flag(entry.salt.is_some(), HAS_SALT)
        | flag(body.is_some(), HAS_BODY);

    let names = sender.len() + device.map_or(0, <[u8]>::len);
    let mut out = Vec::with_capacity(144 + names + body.map_or(0, str::len));
    out.extend_from_slice(&[ENTRY_FORMAT, entry.kind.number(), flags]);
    out.extend_from_slice(&entry.created_at_ms.to_be_bytes());
    put_number(&mut out, entry.n);
    if let Some(target) = entry.target {
        put_number(&mut out, target.get());
    }
    put_number(&mut out, entry.epoch.get());
    out.extend_from_slice(&entry.owner.0.to_be_bytes());
    out.extend_from_slice(&entry.content_hash.0);
    out.extend_from_slice(&entry.hash.0);
    if let Some(salt) = entry.salt {
        out.extend_from_slice(&salt.0);
    }
    put_name(&mut out, sender);
    if let Some(device) = device {
        put_name(&mut out, device);
    }
    out.extend_from_slice(body.unwrap_or_default().as_bytes());
    out
}

/// Tells whether a written entry has lost its body, without reading it; one that cannot be read has not.
pub(super) fn is_redacted(entry: &[u8]) -> bool {
    matches!(entry, [ENTRY_FORMAT, _, flags, ..] if flags & HAS_SALT == 0)
}

/// Reads entries; names that repeat within a page are shared.
#[derive(Debug, Default)]
pub(super) struct EntryDecoder {
    last_sender: Option<UserId>,
    last_device: Option<DeviceId>,
}

impl EntryDecoder {
    /// Reads the entry of a number.
    pub fn decode(&mut self, seq: Seq, bytes: &[u8]) -> Result<Entry, CodecError> {
        let mut input = Input(bytes);
        input.format(ENTRY_FORMAT)?;
        let kind = Kind::from_number(input.byte()?).ok_or(CodecError::Invalid("kind"))?;
        let flags = input.byte()?;
        if flags & !ALL_FLAGS != 0 {
            return Err(CodecError::Invalid("set of flags"));
        }
        let has = |flag: u8| flags & flag != 0;
        Ok(Entry {
            seq,
            kind,
            created_at_ms: i64::from_be_bytes(*input.take()?),
            n: input.number("counter")?,
            target: if has(HAS_TARGET) { Some(Seq::new(input.number("target")?)) } else { None },
            epoch: Epoch::new(input.number("epoch")?),
            owner: OwnerId(u128::from_be_bytes(*input.take()?)),
            content_hash: Hash(*input.take()?),
            hash: Hash(*input.take()?),
            salt: if has(HAS_SALT) { Some(Salt(*input.take()?)) } else { None },
            sender: self.sender(input.name()?)?,
            device: if has(HAS_DEVICE) { Some(self.device(input.name()?)?) } else { None },
            body: if has(HAS_BODY) { Some(input.body()?) } else { input.end().map(|()| None)? },
        })
    }

    fn sender(&mut self, name: &str) -> Result<UserId, CodecError> {
        match &self.last_sender {
            Some(sender) if sender.as_str() == name => Ok(sender.clone()),
            _ => {
                let sender = UserId::parse(name).map_err(|_| CodecError::Invalid("sender"))?;
                Ok(self.last_sender.insert(sender).clone())
            }
        }
    }

    fn device(&mut self, name: &str) -> Result<DeviceId, CodecError> {
        match &self.last_device {
            Some(device) if device.as_str() == name => Ok(device.clone()),
            _ => {
                let device = DeviceId::parse(name).map_err(|_| CodecError::Invalid("device"))?;
                Ok(self.last_device.insert(device).clone())
            }
        }
    }
}

/// Writes a part of a snapshot.
pub(super) fn encode_snapshot_part(part: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + part.len());
    out.push(SNAPSHOT_FORMAT);
    out.extend_from_slice(part);
    out
}

/// Reads a part of a snapshot.
pub(super) fn decode_snapshot_part(bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
    let mut input = Input(bytes);
    input.format(SNAPSHOT_FORMAT)?;
    Ok(input.0.to_vec())
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

fn put_name(out: &mut Vec<u8>, name: &[u8]) {
    out.push(u8::try_from(name.len()).expect("a name has at most 128 bytes"));
    out.extend_from_slice(name);
}

/// What is left of a value.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn format(&mut self, known: u8) -> Result<(), CodecError> {
        let format = self.byte()?;
        if format == known { Ok(()) } else { Err(CodecError::UnknownFormat(format)) }
    }

    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], CodecError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(CodecError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, CodecError> {
        self.take::<1>().map(|byte| byte[0])
    }

    fn number(&mut self, what: &'static str) -> Result<u64, CodecError> {
        let mut number = 0u64;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return if number <= NUMBER_MAX { Ok(number) } else { Err(CodecError::Invalid(what)) };
            }
        }
        Err(CodecError::Invalid(what))
    }

    fn name(&mut self) -> Result<&'a str, CodecError> {
        let length = usize::from(self.byte()?);
        let (name, rest) = self.0.split_at_checked(length).ok_or(CodecError::Truncated)?;
        self.0 = rest;
        std::str::from_utf8(name).map_err(|_| CodecError::Invalid("name"))
    }

    fn room_number(&mut self) -> Result<RoomNumber, CodecError> {
        let number = self.number("room's number")?;
        u32::try_from(number).map(RoomNumber).map_err(|_| CodecError::Invalid("room's number"))
    }

    fn fence(&mut self) -> Result<Fence, CodecError> {
        let epoch = Epoch::new(self.number("epoch")?);
        Ok(Fence { epoch, owner: OwnerId(u128::from_be_bytes(*self.take()?)) })
    }

    fn body(&mut self) -> Result<Body, CodecError> {
        let text = std::str::from_utf8(self.0).map_err(|_| CodecError::Invalid("body"))?;
        Body::from_stored(text.to_owned()).map_err(|_| CodecError::Invalid("body"))
    }

    fn end(&self) -> Result<(), CodecError> {
        if self.0.is_empty() { Ok(()) } else { Err(CodecError::Invalid("end")) }
    }
}

#[cfg(test)]
mod tests;
