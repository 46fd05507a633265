//! Snapshots: written in parts, read back, sealed; and only then older ones go.
//!
//! A snapshot's row of part -1 is its seal: how many parts it has. It is written once all of them were read back, so that a
//! snapshot that a crash has cut short is never taken for a whole one, by a reader or by retention.

use std::sync::Arc;

use rollcall_actors::fencing::{Answer, Buckets, MarkKind, Statement};
use rollcall_actors::ports::{LogError, StoredSnapshot};
use rollcall_protocol::{RoomId, Seq};

use super::entry_row::{bigint, number};
use super::store::{Store, collect};

/// How many snapshots of a room are kept: the newest, and the one before for a reader that does not know its format.
const SNAPSHOTS_KEPT: usize = 2;
/// Parts that are read at once, of at most 256 KiB each.
const PARTS_AT_ONCE: i32 = 16;
/// Snapshots that are looked at: those that are kept, and those of a crash or of other owners.
const LISTED_MAX: i32 = 64;
const SEAL: i32 = -1;
/// How often is looked for a snapshot where those that were there are dropped while they are read. Without one a room is rebuilt from its
/// beginning.
const LOOKS_MAX: usize = 3;

/// The snapshots of all rooms.
pub(super) struct Snapshots {
    store: Arc<Store>,
    buckets: Buckets,
}

/// A snapshot that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listed {
    seq: Seq,
    is_sealed: bool,
}

impl Snapshots {
    pub fn new(store: Arc<Store>, buckets: Buckets) -> Self {
        Self { store, buckets }
    }

    /// Returns the number of the newest snapshot, sealed or not; 0 without one.
    pub async fn newest(&self, room: &RoomId) -> Result<Seq, LogError> {
        let newest = self.list(room, Seq::new(rollcall_protocol::NUMBER_MAX), 1).await?;
        Ok(newest.first().map_or(Seq::ZERO, |listed| listed.seq))
    }

    /// Returns the number of the newest snapshot that is sealed; 0 without one.
    pub async fn newest_sealed(&self, room: &RoomId) -> Result<Seq, LogError> {
        let listed = self.list(room, Seq::new(rollcall_protocol::NUMBER_MAX), LISTED_MAX).await?;
        Ok(listed.iter().find(|listed| listed.is_sealed).map_or(Seq::ZERO, |listed| listed.seq))
    }

    /// Reads the newest sealed snapshot whose number is at most this.
    pub async fn read(&self, room: &RoomId, at_most: Seq) -> Result<Option<StoredSnapshot>, LogError> {
        for _ in 0..LOOKS_MAX {
            let mut was_dropped = false;
            for Listed { seq, .. } in self.list(room, at_most, LISTED_MAX).await?.into_iter().filter(|it| it.is_sealed)
            {
                match self.parts(room, seq).await? {
                    Some(parts) => return Ok(Some(StoredSnapshot { seq, parts })),
                    // While it was read, since a newer one came.
                    None => was_dropped = true,
                }
            }
            if !was_dropped {
                break;
            }
        }
        Ok(None)
    }

    /// Stores a snapshot and drops older ones. One of a state that the log has not reached is of another room, or of none: it is
    /// passed over.
    pub async fn write(&self, room: &RoomId, snapshot: StoredSnapshot) -> Result<(), LogError> {
        let StoredSnapshot { seq, parts } = snapshot;
        if seq == Seq::ZERO || !self.has_reached(room, seq).await? {
            return Ok(());
        }
        for (part, bytes) in (0..).zip(&parts) {
            self.write_part(room, seq, part, bytes).await?;
        }
        let count = i32::try_from(parts.len()).expect("a snapshot has far fewer parts");
        let leftover = (room.as_str(), bigint(seq.get()), count);
        self.store.query_done(&self.store.statements.delete_parts, leftover).await?;
        for (part, bytes) in (0..).zip(&parts) {
            let stored = self.parts_between(room, seq, part, part + 1).await?;
            if stored.first().map(|(_, stored)| stored) != Some(bytes) {
                return Err(LogError::Unavailable(format!(
                    "part {part} of snapshot {seq} was not read back as it was written"
                )));
            }
        }
        self.write_part(room, seq, SEAL, &count.to_be_bytes()).await?;
        self.prune(room, seq).await
    }

    /// Drops snapshots older than one that was sealed: but for the one before, unless that may hold what was redacted since.
    async fn prune(&self, room: &RoomId, sealed: Seq) -> Result<(), LogError> {
        let listed = self.list(room, sealed.previous(), LISTED_MAX).await?;
        let is_whole = |listed: &&Listed| listed.is_sealed;
        let mut keep_from = sealed;
        for kept in listed.iter().filter(is_whole).take(SNAPSHOTS_KEPT - 1) {
            if self.was_redacted_between(room, kept.seq, sealed).await? {
                break;
            }
            keep_from = kept.seq;
        }
        if listed.last().is_none_or(|oldest| oldest.seq >= keep_from) {
            return Ok(());
        }
        let older = (room.as_str(), bigint(keep_from.get()));
        self.store.query_done(&self.store.statements.delete_snapshots, older).await
    }

    /// Tells whether there is a redaction after one number up to another; entries that have expired may have been some.
    async fn was_redacted_between(&self, room: &RoomId, after: Seq, through: Seq) -> Result<bool, LogError> {
        let mut after = after;
        while after < through {
            let bucket = self.buckets.of(after.next());
            let last = through.min(self.buckets.last(bucket));
            let statement = Statement::ReadRows { bucket, after, through: last };
            let rows = match self.store.run(room, &statement).await {
                Answer::Rows(rows) => rows,
                Answer::Garbled(reason) => return Err(LogError::Damaged(reason)),
                Answer::Unknown(reason) | Answer::Refused(reason) => return Err(LogError::Unavailable(reason)),
                answer => unreachable!("{answer:?} is no answer to a read of rows"),
            };
            let is_redaction = |kind: MarkKind| kind == MarkKind::Redact;
            let whole = rows.len() as u64 == last.since(after);
            if !whole || rows.iter().filter_map(|row| row.mark).any(|mark| is_redaction(mark.kind)) {
                return Ok(true);
            }
            after = last;
        }
        Ok(false)
    }

    async fn has_reached(&self, room: &RoomId, seq: Seq) -> Result<bool, LogError> {
        let look_at_fence = &self.store.statements.look_at_fence;
        let fence = self.store.fence(look_at_fence, room, self.buckets.of(seq)).await.map_err(LogError::from)?;
        Ok(fence.is_some_and(|tail| tail.last_seq >= seq))
    }

    async fn list(&self, room: &RoomId, at_most: Seq, max: i32) -> Result<Vec<Listed>, LogError> {
        let values = (room.as_str(), bigint(at_most.get()), max);
        let rows = self.store.query(&self.store.statements.list_snapshots, values).await.map_err(LogError::from)?;
        let listed = collect(&rows, |(seq, part): (i64, i32)| {
            Some(Listed { seq: Seq::new(number(seq)?), is_sealed: part == SEAL })
        });
        listed.map_err(LogError::from)
    }

    async fn write_part(&self, room: &RoomId, seq: Seq, part: i32, bytes: &[u8]) -> Result<(), LogError> {
        let values = (room.as_str(), bigint(seq.get()), part, bytes);
        self.store.query_done(&self.store.statements.write_part, values).await
    }

    /// Reads the parts of a sealed snapshot; none where one is gone.
    async fn parts(&self, room: &RoomId, seq: Seq) -> Result<Option<Vec<Vec<u8>>>, LogError> {
        let mut rows = self.parts_between(room, seq, SEAL, PARTS_AT_ONCE).await?.into_iter();
        let seal = rows.next().filter(|(part, _)| *part == SEAL);
        let count = seal.and_then(|(_, bytes)| bytes.as_slice().try_into().ok()).map(i32::from_be_bytes);
        let Some(count) = count else { return Ok(None) };
        let (mut parts, mut next) = (Vec::new(), 0);
        let mut before = PARTS_AT_ONCE;
        loop {
            for (part, bytes) in rows.filter(|(part, _)| *part < count) {
                if part != next {
                    return Ok(None);
                }
                next += 1;
                parts.push(bytes);
            }
            if next == count {
                return Ok(Some(parts));
            }
            if next < before {
                return Ok(None);
            }
            before = next + PARTS_AT_ONCE;
            rows = self.parts_between(room, seq, next, before).await?.into_iter();
        }
    }

    async fn parts_between(
        &self,
        room: &RoomId,
        seq: Seq,
        from: i32,
        before: i32,
    ) -> Result<Vec<(i32, Vec<u8>)>, LogError> {
        let values = (room.as_str(), bigint(seq.get()), from, before);
        let rows = self.store.query(&self.store.statements.read_parts, values).await.map_err(LogError::from)?;
        let parts = collect(&rows, |(part, state): (i32, Option<Vec<u8>>)| Some((part, state.unwrap_or_default())));
        parts.map_err(LogError::from)
    }
}
