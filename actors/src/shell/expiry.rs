//! What a room asks of its log before entries expire: how far they can, and whether its state is kept elsewhere. See
//! `room/core/expiry.rs` for the order of the steps.

use rollcall_protocol::{Entry, RoomId, Seq};

use super::joins::only;
use crate::ports::{Log, LogError, StoredSnapshot};
use crate::room::{Buckets, Expirable, LastExpired, snapshot};

/// Finds the last entry that is to expire: all up to it may, and the log can delete them by themselves. None where nothing can.
///
/// # Errors
/// Where the log is unavailable or damaged.
///
/// # Cancel safety
/// Dropping the future ends the look.
pub async fn find_expirable(
    log: &dyn Log,
    room: &RoomId,
    expirable: Expirable,
) -> Result<Option<LastExpired>, LogError> {
    find_expirable_with(Look { log, room, look_at_error: &|_, _| {} }, expirable).await
}

/// As above.
pub(super) async fn find_expirable_with(
    look: Look<'_>,
    Expirable { floor, through, head, made_before_ms }: Expirable,
) -> Result<Option<LastExpired>, LogError> {
    let buckets = look.log.expires_in();
    let mut last = buckets.last_ended(through);
    if let Some(before_ms) = made_before_ms {
        last = last_made_before(look, (buckets, last.max(floor.previous()), head), before_ms).await?;
    }
    if last < floor {
        return Ok(None);
    }
    let entry = look.at(last).await?;
    Ok(entry.map(|entry| LastExpired { seq: last, hash: entry.hash }))
}

/// Looks at single entries.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub log: &'a dyn Log,
    pub room: &'a RoomId,
    /// Is shown which entry could not be read, and why.
    pub look_at_error: &'a (dyn Fn(Seq, &LogError) + Sync),
}

/// Looks for the last bucket up to `head` that ends with an entry of before a time, by halves: entries' times never fall. Returns
/// the number of that entry, or `known` where there is none after it.
async fn last_made_before(
    look: Look<'_>,
    (buckets, known, head): (Buckets, Seq, Seq),
    before_ms: i64,
) -> Result<Seq, LogError> {
    let end = buckets.last_ended(head);
    if end <= known {
        return Ok(known);
    }
    let (mut from, mut to) = (buckets.of(known.next()), buckets.of(end) + 1);
    let mut last = known;
    // Mostly nothing has come of age, and one look tells.
    let mut look_at = from;
    while from < to {
        let seq = buckets.last(look_at);
        // Of what is gone already it is certain that it may go.
        let is_old = look.at(seq).await?.is_none_or(|entry| entry.created_at_ms < before_ms);
        if is_old {
            (last, from) = (seq, look_at + 1);
        } else {
            to = look_at;
        }
        look_at = from + to.saturating_sub(from) / 2;
    }
    Ok(last)
}

impl Look<'_> {
    /// Reads one entry; none where it is gone.
    async fn at(self, seq: Seq) -> Result<Option<Entry>, LogError> {
        let entry = match self.log.read(self.room, only(seq)).await {
            Ok(entries) => entries
                .into_iter()
                .next()
                .map(Some)
                .ok_or_else(|| LogError::Damaged(format!("entry {seq} of {} is missing", self.room))),
            Err(LogError::Expired { .. }) => Ok(None),
            Err(error) => Err(error),
        };
        entry.inspect_err(|error| (self.look_at_error)(seq, error))
    }
}

/// Stores a snapshot, reads back what the log has then, and returns the number of that: whoever activates the room can begin from it.
/// None where there is no snapshot that can be read.
///
/// # Cancel safety
/// The snapshot may be stored all the same.
pub async fn keep_snapshot(log: &dyn Log, room: &RoomId, snapshot: StoredSnapshot) -> Option<Seq> {
    let seq = snapshot.seq;
    let read_back = async {
        log.write_snapshot(room, snapshot).await?;
        log.read_snapshot(room, seq).await
    };
    match read_back.await {
        Ok(stored) => {
            stored.and_then(|stored| snapshot::decode(&stored).ok()).map(|state: crate::room::RoomState| state.head)
        }
        Err(error) => {
            tracing::warn!(%room, %error, "failed to store a snapshot before entries expire; they stay for now");
            None
        }
    }
}
