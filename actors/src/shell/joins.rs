//! Whether somebody may join a room where they want to: what the state tells, and what only the log does.

use rollcall_protocol::{ErrorCode, ErrorFrame, Hash, Joined, RoomId, Seq};

use super::request::{JoinRequest, diverged, expired};
use crate::cluster::RoomFacts;
use crate::limits::REFUSED_RETRY_MS;
use crate::ports::{Log, LogError, ReadRange};
use crate::room::{RoomState, SenderKey};

impl RoomFacts {
    /// Tells how a room stands, to the device that asks if one does.
    pub(super) fn of(state: &RoomState, epoch: rollcall_protocol::Epoch, device: Option<&SenderKey>) -> Self {
        Self {
            epoch,
            head: state.head,
            floor: state.floor,
            hash: state.hash,
            floor_hash: state.floor_hash,
            last_n: device.map_or(0, |device| state.last_n(device)),
        }
    }

    /// Makes the answer to a client's join.
    pub(super) fn joined(&self, room: RoomId) -> Joined {
        let Self { epoch, head, floor, hash, last_n, .. } = *self;
        Joined { room, epoch, head, floor, hash, last_n }
    }
}

/// Tells why somebody may not join, whatever the log says of the cursor.
pub(super) fn may_join(state: &RoomState, join: &JoinRequest) -> Result<(), ErrorFrame> {
    if !join.rights.read || !state.admits(&join.user) {
        return Err(forbidden());
    }
    match join.after {
        Some(after) if after < state.floor.previous() => Err(expired(after, state.floor)),
        _ => Ok(()),
    }
}

/// Returns the hash of an entry that the state itself knows.
pub(super) fn own_hash(state: &RoomState, seq: Seq) -> Option<Hash> {
    if seq == state.head { Some(state.hash) } else { (seq == state.floor.previous()).then_some(state.floor_hash) }
}

/// Asks the log whether a cursor lies on the room's history, which goes on up to `head` for certain. Where the entry cannot be read
/// `look_at_error` is shown why.
pub(super) async fn check_in_log(
    log: &dyn Log,
    room: &RoomId,
    head: Seq,
    (after, hash): (Seq, Option<Hash>),
    look_at_error: impl Fn(&LogError),
) -> Result<(), ErrorFrame> {
    let failed = |error| match error {
        LogError::Expired { floor } => expired(after, floor),
        LogError::Unavailable(_) | LogError::Damaged(_) => unreadable(),
    };
    let last = if after <= head {
        head
    } else {
        log.tail(room).await.map_err(failed)?.map_or(Seq::ZERO, |tail| tail.last_seq)
    };
    if after > last {
        return Err(diverged(after, last));
    }
    let entries = log.read(room, only(after)).await.inspect_err(look_at_error).map_err(failed)?;
    let ours = entries.first().map(|entry| entry.hash);
    if hash.is_some() && hash != ours { Err(diverged(after, last)) } else { Ok(()) }
}

/// The range of one entry.
pub(super) fn only(seq: Seq) -> ReadRange {
    ReadRange { after: seq.previous(), through: seq, entries_max: 1, bytes_max: 0 }
}

/// The error for somebody who may not read a room.
pub(super) fn forbidden() -> ErrorFrame {
    ErrorFrame::new(ErrorCode::Forbidden, "reading this room is not allowed")
}

/// The error for a join whose cursor cannot be checked now.
pub(super) fn unreadable() -> ErrorFrame {
    ErrorFrame::new(ErrorCode::Unavailable, "the room's log cannot be read now").retry_after_ms(REFUSED_RETRY_MS)
}
