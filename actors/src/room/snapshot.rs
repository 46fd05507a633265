//! Snapshots: a room's state at some number, in parts that a store can hold. Replaying what follows gives the state of the
//! whole log, byte for byte.
//!
//! ```text
//! part     = format u8 (1), index u32, last u8 (0 or 1), body
//! last one = … and before its body: total body length u64, SHA-256 of all bodies
//! ```
//! Numbers are big-endian; the bodies together are the state in positional MessagePack.

use std::collections::{BTreeMap, VecDeque};

use rollcall_protocol::{Hash, Seq, UserId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::redactions::RecentRedactions;
use super::senders::{SenderTable, SenderTableSnapshot};
use super::state::{Role, RoomState};
use crate::ports::StoredSnapshot;

/// The format that this version writes.
pub const SNAPSHOT_FORMAT: u8 = 1;

/// The greatest size of a part, in bytes.
pub const SNAPSHOT_PART_BYTES_MAX: usize = 256 * 1024;

const PART_HEADER_BYTES: usize = 1 + 4 + 1;
const LAST_HEADER_BYTES: usize = 8 + 32;
const PART_BODY_BYTES: usize = SNAPSHOT_PART_BYTES_MAX - PART_HEADER_BYTES - LAST_HEADER_BYTES;

/// Why a stored snapshot cannot be used; an older one or the log can be instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// A version that this one does not know wrote it.
    #[error("the snapshot has format {found}, and this version reads format {SNAPSHOT_FORMAT}")]
    Format {
        /// The format that was found.
        found: u8,
    },
    /// Parts are missing or are not what was written.
    #[error("the snapshot is damaged: {0}")]
    Damaged(&'static str),
}

/// The state as it is written, field for field.
#[derive(Serialize, Deserialize)]
struct StateV1 {
    head: Seq,
    last_at_ms: i64,
    hash: [u8; 32],
    floor: Seq,
    floor_hash: [u8; 32],
    members_only: bool,
    members: BTreeMap<UserId, Role>,
    devices: SenderTableSnapshot,
    keys: SenderTableSnapshot,
    redactions: VecDeque<(Seq, Seq)>,
}

/// Writes a state as a snapshot.
pub fn encode(state: &RoomState) -> StoredSnapshot {
    let bytes = rmp_serde::to_vec(&StateV1 {
        head: state.head,
        last_at_ms: state.last_at_ms,
        hash: state.hash.0,
        floor: state.floor,
        floor_hash: state.floor_hash.0,
        members_only: state.members_only,
        members: state.members.clone(),
        devices: state.devices.to_snapshot(),
        keys: state.keys.to_snapshot(),
        redactions: state.redactions.latest().clone(),
    })
    .expect("a state can always be written");
    let hash: [u8; 32] = Sha256::digest(&bytes).into();
    let bodies: Vec<&[u8]> = bytes.chunks(PART_BODY_BYTES).collect();
    let parts = bodies.iter().enumerate().map(|(index, body)| {
        let is_last = index + 1 == bodies.len();
        let mut part = Vec::with_capacity(PART_HEADER_BYTES + LAST_HEADER_BYTES + body.len());
        part.push(SNAPSHOT_FORMAT);
        part.extend(u32::try_from(index).expect("a snapshot has few parts").to_be_bytes());
        part.push(u8::from(is_last));
        if is_last {
            part.extend((bytes.len() as u64).to_be_bytes());
            part.extend(hash);
        }
        part.extend_from_slice(body);
        part
    });
    StoredSnapshot { seq: state.head, parts: parts.collect() }
}

/// Reads a state from a snapshot.
///
/// # Errors
/// Where the snapshot is of another format, not whole, or damaged.
pub fn decode(snapshot: &StoredSnapshot) -> Result<RoomState, SnapshotError> {
    let mut bytes = Vec::new();
    let mut whole = false;
    for (index, part) in snapshot.parts.iter().enumerate() {
        let (is_last, body) = decode_part(index, part)?;
        whole = is_last.is_some();
        bytes.extend_from_slice(body);
        if let Some((length, hash)) = is_last
            && (bytes.len() as u64 != length || <[u8; 32]>::from(Sha256::digest(&bytes)) != hash)
        {
            return Err(SnapshotError::Damaged("its hash does not fit"));
        }
    }
    if !whole {
        return Err(SnapshotError::Damaged("its last part is missing"));
    }
    let state: StateV1 =
        rmp_serde::from_slice(&bytes).map_err(|_| SnapshotError::Damaged("its content cannot be read"))?;
    if state.head != snapshot.seq {
        return Err(SnapshotError::Damaged("it is stored under another number than its own"));
    }
    Ok(RoomState {
        head: state.head,
        last_at_ms: state.last_at_ms,
        hash: Hash(state.hash),
        floor: state.floor,
        floor_hash: Hash(state.floor_hash),
        members_only: state.members_only,
        members: state.members,
        devices: SenderTable::from_snapshot(state.devices),
        keys: SenderTable::from_snapshot(state.keys),
        redactions: RecentRedactions::new(state.redactions),
    })
}

/// What the last part says of all of them: the length and the hash of the bodies.
type Whole = (u64, [u8; 32]);

fn decode_part(index: usize, part: &[u8]) -> Result<(Option<Whole>, &[u8]), SnapshotError> {
    const CUT: SnapshotError = SnapshotError::Damaged("a part is cut short");
    let (&format, rest) = part.split_first().ok_or(CUT)?;
    if format != SNAPSHOT_FORMAT {
        return Err(SnapshotError::Format { found: format });
    }
    let (number, rest) = rest.split_first_chunk::<4>().ok_or(CUT)?;
    if u32::from_be_bytes(*number) as usize != index {
        return Err(SnapshotError::Damaged("a part is missing"));
    }
    let (&is_last, rest) = rest.split_first().ok_or(CUT)?;
    match is_last {
        0 => return Ok((None, rest)),
        1 => {}
        _ => return Err(SnapshotError::Damaged("a part's header cannot be read")),
    }
    let (length, rest) = rest.split_first_chunk::<8>().ok_or(CUT)?;
    let (hash, body) = rest.split_first_chunk::<32>().ok_or(CUT)?;
    Ok((Some((u64::from_be_bytes(*length), *hash)), body))
}
