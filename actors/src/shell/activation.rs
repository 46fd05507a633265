//! Activation: fences a room in the log and rebuilds its state, from the newest snapshot that can be read and the entries after
//! it.

use rollcall_protocol::limits::BATCH_ENTRIES_MAX;
use rollcall_protocol::{Epoch, NUMBER_MAX, RoomId, Seq};

use crate::ports::{Activate, Activated, Fence, Log, LogError, ReadRange, Replaced, StoredSnapshot};
use crate::room::{RoomState, snapshot};
use crate::shell::damage::DamageFound;

/// Entries that are read at once while a state is rebuilt: of most rooms all since the newest snapshot.
const REPLAY_ENTRIES_MAX: usize = 4 * BATCH_ENTRIES_MAX;

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

/// Why a room could not be activated.
#[derive(Debug, thiserror::Error)]
pub enum ActivationError {
    /// The log is unavailable, or so damaged that it has no good entry to begin from.
    #[error(transparent)]
    Log(#[from] LogError),
    /// What is stored cannot be what was written, from some entry on. Nothing can be numbered after it; what comes before it can be
    /// shown.
    #[error("the log is damaged: {}", .0.reason)]
    Damaged(Box<DamagedRoom>),
}

/// What is left of a room whose log is damaged.
#[derive(Debug)]
pub struct DamagedRoom {
    /// The first entry that cannot be what was written, as far as is known.
    pub entry: Seq,
    /// What is wrong with it; for whoever runs the node.
    pub reason: String,
    /// The last ownership, as far as it can be known.
    pub epoch: Epoch,
    /// The state after the last good entry; where the entry lies below a snapshot, the state at the head.
    pub state: RoomState,
}

impl DamagedRoom {
    /// A room whose good entries end with this state.
    fn after(state: RoomState, epoch: Epoch, reason: String) -> Box<Self> {
        Box::new(Self { entry: state.head.next(), reason, epoch, state })
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
pub async fn activate(log: &dyn Log, room: &RoomId, with: Activate) -> Result<Activation, ActivationError> {
    // A snapshot is of committed entries alone, so it may be read before anybody is fenced.
    let (activated, newest) = tokio::join!(log.activate(room, with), log.read_snapshot(room, Seq::new(NUMBER_MAX)));
    let Activated { tail, replaced } = match activated {
        Ok(activated) => activated,
        Err(LogError::Damaged(reason)) => {
            let LogState { epoch, state, is_damaged } = read_state(log, room).await?;
            let mut damaged = DamagedRoom::after(state, epoch, reason);
            if !is_damaged {
                // Under a snapshot: all that is known is that the last entry is none to build on.
                damaged.entry = damaged.state.head;
            }
            return Err(ActivationError::Damaged(damaged));
        }
        Err(error) => return Err(error.into()),
    };
    let fence = tail.fence;
    let error = match rebuild_fenced(log, room, newest, tail.last_seq).await {
        Ok(Rebuilt { state, last_snapshot, damage: None, .. }) => {
            return Ok(Activation { fence, replaced, state, last_snapshot });
        }
        Ok(Rebuilt { state, damage: Some(reason), .. }) => {
            ActivationError::Damaged(DamagedRoom::after(state, fence.epoch, reason))
        }
        Err(error) => error.into(),
    };
    log.release(room, fence);
    Err(error)
}

/// Rebuilds the state of a room that was just fenced, from what was read meanwhile as its newest snapshot.
async fn rebuild_fenced(
    log: &dyn Log,
    room: &RoomId,
    newest: Result<Option<StoredSnapshot>, LogError>,
    through: Seq,
) -> Result<Rebuilt, LogError> {
    match newest? {
        Some(newest) if newest.seq > through => rebuild(log, room, through).await,
        newest => match rebuild_from(log, room, newest, through).await {
            // The owner before has stored another one meanwhile, and let entries expire.
            Err(LogError::Expired { .. }) => rebuild(log, room, through).await,
            rebuilt => rebuilt,
        },
    }
}

/// As above, of a room of which entries are known that were damaged a while ago. They may lie below the newest snapshot, where activation
/// does not look: unless they are whole by now, the room is not activated.
///
/// # Errors
/// As above, and `Damaged` where they are not.
///
/// # Cancel safety
/// As above.
pub(super) async fn activate_suspected(
    log: &dyn Log,
    room: &RoomId,
    with: Activate,
    suspect: Option<DamageFound>,
) -> Result<Activation, ActivationError> {
    let activation = activate(log, room, with).await?;
    let Some(found) = suspect else { return Ok(activation) };
    let fence = activation.fence;
    let error = match look_again(log, room, &found, activation.state.head).await {
        Ok(None) => return Ok(activation),
        Ok(Some(reason)) => {
            let room = DamagedRoom { entry: found.entry, reason, epoch: fence.epoch, state: activation.state };
            ActivationError::Damaged(Box::new(room))
        }
        Err(error) => error.into(),
    };
    log.release(room, fence);
    Err(error)
}

/// Looks whether all is what was written from the first entry that was found damaged to the one after the last such. Says what is wrong;
/// nothing where they are whole, have expired, or lie above the head.
///
/// # Errors
/// Where the log is unavailable.
///
/// # Cancel safety
/// Dropping the future ends the look.
pub(super) async fn look_again(
    log: &dyn Log,
    room: &RoomId,
    found: &DamageFound,
    head: Seq,
) -> Result<Option<String>, LogError> {
    let (mut next, last) = (found.entry, found.last.next().min(head));
    while next <= last {
        let after = next.previous();
        let range = ReadRange { after, through: last, entries_max: REPLAY_ENTRIES_MAX, bytes_max: REPLAY_BYTES_MAX };
        match log.read(room, range).await {
            Ok(entries) if entries.is_empty() => return Ok(Some(format!("entry {next} of {room} is missing"))),
            Ok(entries) => next = next.plus(entries.len() as u64),
            Err(LogError::Expired { floor }) if floor > last => return Ok(None),
            Err(LogError::Expired { floor }) => next = floor.max(next.next()),
            Err(LogError::Damaged(reason)) => return Ok(Some(reason)),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// A room's state as its log has it.
pub(super) struct LogState {
    /// That of the last ownership, 0 for a room that nobody wrote to; where that cannot be read, of the last good entry's.
    pub epoch: Epoch,
    /// The state after the last entry, of a room that is damaged after its last good one.
    pub state: RoomState,
    /// Whether there is something after that which cannot be what was written. What somebody has seen there may be restored.
    pub is_damaged: bool,
}

/// Reads a room's state as the log has it, without fencing anybody.
///
/// # Errors
/// Where the log is unavailable, or so damaged that it has no good entry to begin from.
///
/// # Cancel safety
/// Dropping the future ends the read.
pub(super) async fn read_state(log: &dyn Log, room: &RoomId) -> Result<LogState, LogError> {
    match log.tail(room).await {
        Ok(None) => Ok(LogState { epoch: Epoch::ZERO, state: RoomState::empty(room), is_damaged: false }),
        Ok(Some(tail)) => {
            let Rebuilt { state, damage, .. } = rebuild(log, room, tail.last_seq).await?;
            Ok(LogState { epoch: tail.fence.epoch, state, is_damaged: damage.is_some() })
        }
        // Where the log ends is not known: as far as entries follow one another.
        Err(LogError::Damaged(_)) => {
            let Rebuilt { state, last_epoch, .. } = rebuild(log, room, Seq::new(NUMBER_MAX)).await?;
            Ok(LogState { epoch: last_epoch, state, is_damaged: true })
        }
        Err(error) => Err(error),
    }
}

/// A state, rebuilt as far as the log is good.
struct Rebuilt {
    state: RoomState,
    /// The number of the snapshot that it was rebuilt from; 0 without one.
    last_snapshot: Seq,
    /// Under which ownership the last entry was written that was read; 0 where none was.
    last_epoch: Epoch,
    /// What is wrong with the entry that follows.
    damage: Option<String>,
}

async fn rebuild(log: &dyn Log, room: &RoomId, through: Seq) -> Result<Rebuilt, LogError> {
    let newest = if through > Seq::ZERO { log.read_snapshot(room, through).await? } else { None };
    rebuild_from(log, room, newest, through).await
}

/// Rebuilds a state from this snapshot, the newest that is stored of it and of those before.
async fn rebuild_from(
    log: &dyn Log,
    room: &RoomId,
    newest: Option<StoredSnapshot>,
    through: Seq,
) -> Result<Rebuilt, LogError> {
    let (state, last_snapshot) = newest_readable(log, room, newest).await?;
    let mut rebuilt = Rebuilt { state, last_snapshot, last_epoch: Epoch::ZERO, damage: None };
    while rebuilt.state.head < through && rebuilt.damage.is_none() {
        let state = &mut rebuilt.state;
        let range =
            ReadRange { after: state.head, through, entries_max: REPLAY_ENTRIES_MAX, bytes_max: REPLAY_BYTES_MAX };
        let entries = match log.read(room, range).await {
            Ok(entries) => entries,
            Err(LogError::Damaged(reason)) => {
                rebuilt.damage = Some(reason);
                break;
            }
            Err(error) => return Err(error),
        };
        if entries.is_empty() {
            rebuilt.damage = Some(format!("entry {} of {room} is missing", state.head.next()));
        }
        for entry in &entries {
            if entry.seq != state.head.next() || entry.hash != entry.expected_hash(state.hash) {
                let next = state.head.next();
                rebuilt.damage = Some(format!("entry {next} of {room} does not fit the one before it"));
                break;
            }
            state.apply(entry);
            rebuilt.last_epoch = entry.epoch;
        }
    }
    Ok(rebuilt)
}

/// Returns the state of the newest snapshot that this version can read, of this one and those before, or the empty one.
async fn newest_readable(
    log: &dyn Log,
    room: &RoomId,
    mut newest: Option<StoredSnapshot>,
) -> Result<(RoomState, Seq), LogError> {
    while let Some(stored) = newest {
        match snapshot::decode(&stored) {
            Ok(state) => return Ok((state, stored.seq)),
            Err(reason) => tracing::warn!(%room, seq = stored.seq.get(), %reason, "passed over a snapshot"),
        }
        let at_most = stored.seq.previous();
        newest = if at_most > Seq::ZERO { log.read_snapshot(room, at_most).await? } else { None };
    }
    Ok((RoomState::empty(room), Seq::ZERO))
}
