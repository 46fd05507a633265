//! Activation: fences a room in the log and rebuilds its state, from the newest snapshot that can be read and the entries after
//! it.

use rollcall_protocol::limits::BATCH_ENTRIES_MAX;
use rollcall_protocol::{OwnerId, RoomId, Seq};

use crate::ports::{Activate, Fence, Log, LogError, Ports, ReadRange};
use crate::room::{RoomState, snapshot};

/// Size of the bodies that are read at once while a state is rebuilt, in bytes.
const REPLAY_BYTES_MAX: usize = 1024 * 1024;

/// A room that was activated.
#[derive(Debug)]
pub struct Activation {
    /// Under which fence.
    pub fence: Fence,
    /// Its state at the head.
    pub state: RoomState,
    /// The number of the snapshot that it was rebuilt from; 0 without one.
    pub last_snapshot: Seq,
}

/// Activates a room for a new owner on this node, unless it is another's.
///
/// # Errors
/// Where it is another node's, and as [`activate`].
pub(super) async fn activate_here(ports: &Ports, room: &RoomId, owner: OwnerId) -> Result<Activation, LogError> {
    match ports.ownership.locate(room).await {
        None => activate(&*ports.log, room, owner).await,
        Some(node) => Err(LogError::Unavailable(format!("room {room} is node {}'s", node.0))),
    }
}

/// Activates a room for a new owner.
///
/// # Errors
/// Where the log is unavailable, or does not hold what the room's numbering could go on from: then the room is not activated,
/// and certainly not from an empty state.
///
/// # Cancel safety
/// The fence may have been taken when the future is dropped; that costs the next owner nothing.
pub async fn activate(log: &dyn Log, room: &RoomId, owner: OwnerId) -> Result<Activation, LogError> {
    let tail = log.activate(room, Activate::by(owner)).await?.tail;
    let (mut state, last_snapshot) = newest_snapshot(log, room, tail.last_seq).await?;
    while state.head < tail.last_seq {
        let range = ReadRange {
            after: state.head,
            through: tail.last_seq,
            entries_max: BATCH_ENTRIES_MAX,
            bytes_max: REPLAY_BYTES_MAX,
        };
        let entries = log.read(room, range).await?;
        if entries.is_empty() {
            return Err(LogError::Damaged(format!("entry {} of {room} is missing", state.head.next())));
        }
        for entry in &entries {
            if entry.seq != state.head.next() || entry.hash != entry.expected_hash(state.hash) {
                let next = state.head.next();
                return Err(LogError::Damaged(format!("entry {next} of {room} does not fit the one before it")));
            }
            state.apply(entry);
        }
    }
    Ok(Activation { fence: tail.fence, state, last_snapshot })
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
