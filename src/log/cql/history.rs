//! Reads a room's entries by pages, bucket by bucket, and checks that each fits the one before it.

use std::sync::Arc;

use rollcall_actors::fencing::Buckets;
use rollcall_actors::ports::{LogError, ReadRange};
use rollcall_protocol::{Entry, Hash, RoomId, Seq, hash};

use super::entry_row::{self, StoredRow, bigint};
use super::store::{ReadError, Store, collect};

/// Rows that are asked for at first: bodies may be of half a megabyte.
const ROWS_FIRST: usize = 32;
/// Rows that are asked for at once.
const ROWS_MAX: usize = 500;
/// Size of the bodies that is aimed at with one request, in bytes.
const REQUEST_BYTES: usize = 1024 * 1024;

/// The reader of all rooms.
pub(super) struct History {
    store: Arc<Store>,
    buckets: Buckets,
}

/// What was read, up to where it ends.
#[derive(Default)]
struct Page {
    entries: Vec<Entry>,
    bytes: usize,
    /// The hash before the next entry, where it is known.
    hash: Option<Hash>,
}

/// What ends a page.
enum End {
    /// A limit of the range, or the last stored entry.
    Whole,
    /// The next entry is not there, but a later one is.
    Missing,
    /// The next entry is not what was written.
    Damaged(String),
}

impl History {
    pub fn new(store: Arc<Store>, buckets: Buckets) -> Self {
        Self { store, buckets }
    }

    /// Reads entries as the port has it. An entry that does not fit ends the page before it, and is an error where it would be
    /// the first.
    pub async fn read(&self, room: &RoomId, range: ReadRange) -> Result<Vec<Entry>, LogError> {
        let first = range.after.next();
        if first > range.through || range.entries_max == 0 {
            return Ok(Vec::new());
        }
        let (floor, page) = tokio::join!(self.floor(room), self.page(room, range));
        let floor = floor?;
        if first < floor {
            return Err(LogError::Expired { floor });
        }
        let (page, end) = page?;
        match end {
            End::Damaged(reason) => {
                let seq = first.plus(page.entries.len() as u64);
                tracing::debug!(%room, seq = seq.get(), reason, "an entry of the log is damaged");
                if page.entries.is_empty() {
                    return Err(LogError::Damaged(format!("entry {seq} of {room}: {reason}")));
                }
            }
            End::Missing if page.entries.is_empty() => return Err(self.why_missing(room, first).await?),
            End::Whole if page.entries.is_empty() => return self.at_the_end(room, range).await,
            End::Missing | End::Whole => {}
        }
        Ok(page.entries)
    }

    /// Returns the first number that is still kept.
    pub async fn floor(&self, room: &RoomId) -> Result<Seq, LogError> {
        let row = self.store.floor(&self.store.statements.look_at_floor, room).await.map_err(LogError::from)?;
        Ok(row.map_or(Seq::FIRST, |row| row.floor))
    }

    /// Nothing was read: is the log's end reached?
    async fn at_the_end(&self, room: &RoomId, range: ReadRange) -> Result<Vec<Entry>, LogError> {
        let first = range.after.next();
        let look_at_fence = &self.store.statements.look_at_fence;
        let fence = self.store.fence(look_at_fence, room, self.buckets.of(first)).await.map_err(LogError::from)?;
        if fence.is_none_or(|tail| tail.last_seq < first) {
            return Ok(Vec::new());
        }
        // It was appended meanwhile, or it is not there.
        let (page, end) = self.page(room, range).await?;
        match end {
            _ if !page.entries.is_empty() => Ok(page.entries),
            End::Damaged(reason) => Err(LogError::Damaged(format!("entry {first} of {room}: {reason}"))),
            End::Missing | End::Whole => Err(self.why_missing(room, first).await?),
        }
    }

    /// An entry is not there: it has expired since the floor was read, or the log is damaged.
    async fn why_missing(&self, room: &RoomId, seq: Seq) -> Result<LogError, LogError> {
        let floor = self.floor(room).await?;
        if seq < floor {
            return Ok(LogError::Expired { floor });
        }
        tracing::debug!(%room, seq = seq.get(), "an entry of the log is missing");
        Ok(LogError::Damaged(format!("entry {seq} of {room} is missing")))
    }

    async fn page(&self, room: &RoomId, range: ReadRange) -> Result<(Page, End), LogError> {
        let first = range.after.next();
        let mut page = Page::default();
        let mut rows_max = ROWS_FIRST;
        if range.after == Seq::ZERO {
            page.hash = Some(hash::genesis(room));
        } else if self.buckets.of(range.after) != self.buckets.of(first) {
            page.hash = self.hash_of(room, range.after).await?;
        }
        loop {
            let next = first.plus(page.entries.len() as u64);
            let left = range.entries_max - page.entries.len();
            let is_full = !page.entries.is_empty() && page.bytes >= range.bytes_max;
            if next > range.through || left == 0 || is_full {
                return Ok((page, End::Whole));
            }
            let bucket = self.buckets.of(next);
            let last = range.through.min(self.buckets.last(bucket));
            let wanted = left.min(rows_max);
            let before = page.entries.len();
            let (count, end) = self.extend(room, &mut page, (bucket, next, last), wanted, range.bytes_max).await?;
            let read = page.entries.len() - before;
            if let Some(end) = end {
                return Ok((page, end));
            }
            if count < wanted && first.plus(page.entries.len() as u64) <= last {
                return Ok((page, End::Whole));
            }
            let mean_bytes = page.bytes / page.entries.len().max(1) + 1;
            rows_max = (REQUEST_BYTES / mean_bytes).clamp(1, ROWS_MAX).max(read);
        }
    }

    /// Reads at most `wanted` rows of one bucket onto a page; returns how many were there, and what ended the page if it ended.
    async fn extend(
        &self,
        room: &RoomId,
        page: &mut Page,
        (bucket, next, last): (u64, Seq, Seq),
        wanted: usize,
        bytes_max: usize,
    ) -> Result<(usize, Option<End>), LogError> {
        // The entry before has the hash that the first one builds on.
        let with_previous = page.hash.is_none() && next.previous() > self.buckets.before(bucket);
        let from = if with_previous { next.previous() } else { next };
        let limit = i32::try_from(wanted + usize::from(with_previous)).unwrap_or(i32::MAX);
        let values = (room.as_str(), bigint(bucket), bigint(from.get()), bigint(last.get()), limit);
        let result = self.store.query(&self.store.statements.read_entries, values).await.map_err(LogError::from)?;
        let rows = result.rows::<StoredRow<'_>>().map_err(|error| LogError::Damaged(error.to_string()))?;
        let mut count = 0;
        let mut expected = next;
        for row in rows {
            let row = row.map_err(|error| LogError::Damaged(error.to_string()))?;
            if row.message_id < bigint(next.get()) {
                page.hash = entry_row::hash(row.hash);
                continue;
            }
            count += 1;
            if row.message_id != bigint(expected.get()) {
                return Ok((count, Some(End::Missing)));
            }
            let entry = match row.decode() {
                Ok(entry) => entry,
                Err(error) => return Ok((count, Some(End::Damaged(error.to_string())))),
            };
            if let Some(reason) = misfit(&entry, page.hash) {
                return Ok((count, Some(End::Damaged(reason.to_owned()))));
            }
            if !page.entries.is_empty() && page.bytes >= bytes_max {
                return Ok((count, Some(End::Whole)));
            }
            expected = expected.next();
            page.hash = Some(entry.hash);
            page.bytes += entry.weight_bytes();
            page.entries.push(entry);
        }
        Ok((count, None))
    }

    async fn hash_of(&self, room: &RoomId, seq: Seq) -> Result<Option<Hash>, LogError> {
        let values = (room.as_str(), bigint(self.buckets.of(seq)), bigint(seq.get()));
        let rows = self.store.query(&self.store.statements.read_hash, values).await.map_err(LogError::from)?;
        let hashes = collect(&rows, |(hash,): (Option<&[u8]>,)| Some(entry_row::hash(hash)));
        Ok(hashes.map_err(LogError::from)?.into_iter().next().flatten())
    }
}

/// Says why an entry is not what was written, if it is not. The hash before it may be unknown: that of an entry that expired.
fn misfit(entry: &Entry, before: Option<Hash>) -> Option<&'static str> {
    if before.is_some_and(|before| entry.expected_hash(before) != entry.hash) {
        return Some("its hash does not fit");
    }
    if entry.expected_content_hash().is_some_and(|expected| expected != entry.content_hash) {
        return Some("its body does not fit its hash");
    }
    (entry.is_redacted() && entry.body.is_some()).then_some("it has a body without its salt")
}

impl From<ReadError> for LogError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Failed(error) => Self::Unavailable(error.to_string()),
            ReadError::Garbled(reason) => Self::Damaged(reason),
        }
    }
}
