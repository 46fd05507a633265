//! Activation: fences a room in the log and rebuilds its state, from the newest snapshot that can be read and the entries after
//! it.

use rollcall_protocol::limits::BATCH_ENTRIES_MAX;
use rollcall_protocol::{Epoch, RoomId, Seq};

use crate::ports::{Activate, Activated, Fence, Log, LogError, ReadRange, Replaced};
use crate::room::{RoomState, snapshot};

/// Size of the bodies that are read at once while a state is rebuilt, in bytes.
const REPLAY_BYTES_MAX: usize = 1024 * 1024;

/// A room that was activated.
#[derive(Debug)]
pub struct Activation {
    /// Under which fence.
    pub fence: Fence,
    /// Whose fence that is in the place of.
    pub replaced: Replaced,
    /// Its state at the head.
    pub state: RoomState,
    /// The number of the snapshot that it was rebuilt from; 0 without one.
    pub last_snapshot: Seq,
}

/// Activates a room for a new owner.
///
/// # Errors
/// Where the log is unavailable, or does not hold what the room's numbering could go on from: then the room is not activated,
/// and certainly not from an empty state.
///
/// # Cancel safety
/// The fence may have been taken when the future is dropped; that costs the next owner nothing.
pub async fn activate(log: &dyn Log, room: &RoomId, with: Activate) -> Result<Activation, LogError> {
    let Activated { tail, replaced } = log.activate(room, with).await?;
    let Rebuilt { state, last_snapshot, damage } = rebuild(log, room, tail.last_seq).await?;
    match damage {
        Some(damage) => Err(LogError::Damaged(damage)),
        None => Ok(Activation { fence: tail.fence, replaced, state, last_snapshot }),
    }
}

/// Reads a room's state as the log has it, without fencing anybody; of a room that is damaged that of its last good entry. Returns
/// it with the epoch of the last ownership, 0 for a room that nobody wrote to.
///
/// # Errors
/// Where the log is unavailable, or so damaged that it has no good entry to begin from.
///
/// # Cancel safety
/// Dropping the future ends the read.
pub(super) async fn read_state(log: &dyn Log, room: &RoomId) -> Result<(Epoch, RoomState), LogError> {
    let Some(tail) = log.tail(room).await? else { return Ok((Epoch::ZERO, RoomState::empty(room))) };
    Ok((tail.fence.epoch, rebuild(log, room, tail.last_seq).await?.state))
}

/// A state, rebuilt as far as the log is good.
struct Rebuilt {
    state: RoomState,
    /// The number of the snapshot that it was rebuilt from; 0 without one.
    last_snapshot: Seq,
    /// What is wrong with the entry that follows.
    damage: Option<String>,
}

async fn rebuild(log: &dyn Log, room: &RoomId, through: Seq) -> Result<Rebuilt, LogError> {
    let (mut state, last_snapshot) = newest_snapshot(log, room, through).await?;
    while state.head < through {
        let range =
            ReadRange { after: state.head, through, entries_max: BATCH_ENTRIES_MAX, bytes_max: REPLAY_BYTES_MAX };
        let entries = log.read(room, range).await?;
        if entries.is_empty() {
            let damage = Some(format!("entry {} of {room} is missing", state.head.next()));
            return Ok(Rebuilt { state, last_snapshot, damage });
        }
        for entry in &entries {
            if entry.seq != state.head.next() || entry.hash != entry.expected_hash(state.hash) {
                let damage = Some(format!("entry {} of {room} does not fit the one before it", state.head.next()));
                return Ok(Rebuilt { state, last_snapshot, damage });
            }
            state.apply(entry);
        }
    }
    Ok(Rebuilt { state, last_snapshot, damage: None })
}

/// Returns the state of the newest snapshot that this version can read, or the empty one.
async fn newest_snapshot(log: &dyn Log, room: &RoomId, head: Seq) -> Result<(RoomState, Seq), LogError> {
    let mut at_most = head;
    while at_most > Seq::ZERO
        && let Some(stored) = log.read_snapshot(room, at_most).await?
    {
        match snapshot::decode(&stored) {
            Ok(state) => return Ok((state, stored.seq)),
            Err(reason) => tracing::warn!(%room, seq = stored.seq.get(), %reason, "passed over a snapshot"),
        }
        at_most = stored.seq.previous();
    }
    Ok((RoomState::empty(room), Seq::ZERO))
}
