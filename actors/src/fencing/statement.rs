//! What the machines ask of the store. `schema.cql` has the tables; the room is the adapter's to add.

use std::sync::Arc;

use rollcall_protocol::{Entry, Seq};

use crate::ports::Fence;

/// One statement about one partition. Each is answered by one [`Answer`](super::Answer), and each may be sent again as it is:
/// it is conditional, or does the same twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Statement {
    /// R. Answered `Fence`. At serial consistency, so that it sees every append that was answered, and decides those under way.
    ///
    /// `SELECT epoch, owner, last_seq FROM messages WHERE channel_id = ? AND bucket = ? LIMIT 1`
    ReadFence {
        /// Of which bucket.
        bucket: u64,
    },
    /// C. Answered `Applied` or `NotApplied` with the fence that is there.
    ///
    /// `INSERT INTO messages (channel_id, bucket, epoch, owner, last_seq) VALUES (?, ?, ?, ?, ?) IF NOT EXISTS`
    CreateBucket {
        /// Which bucket.
        bucket: u64,
        /// Whose it is.
        fence: Fence,
        /// The number before its first.
        last_seq: Seq,
    },
    /// F. Answered `Applied` or `NotApplied`; what else is answered does not matter, since R follows.
    ///
    /// `UPDATE messages SET epoch = ?, owner = ? WHERE channel_id = ? AND bucket = ? IF epoch = ? AND owner = ?`
    TakeFence {
        /// Of which bucket.
        bucket: u64,
        /// The fence that R has seen.
        expected: Fence,
        /// The new one.
        fence: Fence,
    },
    /// A. Answered `Applied` or `NotApplied` with the fence that is there.
    ///
    /// `BEGIN UNLOGGED BATCH UPDATE messages SET last_seq = ? WHERE channel_id = ? AND bucket = ? IF epoch = ? AND owner = ? AND
    /// last_seq = ?; INSERT INTO messages (…) VALUES (…); … APPLY BATCH`
    Append {
        /// To which bucket.
        bucket: u64,
        /// Whose it is.
        fence: Fence,
        /// The number before the first entry's.
        last_seq: Seq,
        /// Contiguous, at least one, all of this bucket.
        entries: Arc<[Entry]>,
    },
    /// Answered `Writers`: who wrote the entries of a range, those that are there. At serial consistency.
    ///
    /// `SELECT message_id, w_epoch, w_owner FROM messages WHERE channel_id = ? AND bucket = ? AND message_id > ? AND message_id <= ?`
    ReadWriters {
        /// In which bucket.
        bucket: u64,
        /// After this number.
        after: Seq,
        /// Up to and with this number.
        through: Seq,
    },
    /// Answered `Rows`: kind and target of the entries of a range, in order.
    ///
    /// `SELECT message_id, kind, target FROM messages WHERE channel_id = ? AND bucket = ? AND message_id > ? AND message_id <= ?
    /// ORDER BY message_id ASC`
    ReadRows {
        /// In which bucket.
        bucket: u64,
        /// After this number.
        after: Seq,
        /// Up to and with this number.
        through: Seq,
    },
    /// Answered `Looked`: whether an entry still has its body.
    ///
    /// `SELECT salt FROM messages WHERE channel_id = ? AND bucket = ? AND message_id = ?`
    LookAt {
        /// In which bucket.
        bucket: u64,
        /// At which entry.
        seq: Seq,
    },
    /// Answered `Done`: leads from an entry to an edit of it.
    ///
    /// `INSERT INTO edits (channel_id, target, seq) VALUES (?, ?, ?)`
    NoteEdit {
        /// What is edited.
        target: Seq,
        /// The edit.
        seq: Seq,
    },
    /// Answered `Edits`.
    ///
    /// `SELECT seq FROM edits WHERE channel_id = ? AND target = ?`
    ReadEdits {
        /// Of which entry.
        target: Seq,
    },
    /// Answered `Applied`, or `NotApplied` where the entry has expired.
    ///
    /// `UPDATE messages SET body = null, salt = null WHERE channel_id = ? AND bucket = ? AND message_id = ? IF EXISTS`
    Redact {
        /// In which bucket.
        bucket: u64,
        /// Whose body goes.
        seq: Seq,
    },
    /// Answered `Applied`, or `NotApplied` where the entry has expired or is another.
    ///
    /// `UPDATE messages SET body = null, salt = null WHERE channel_id = ? AND bucket = ? AND message_id = ? IF kind = 2 AND
    /// target = ?`
    RedactEdit {
        /// In which bucket.
        bucket: u64,
        /// Whose body goes.
        seq: Seq,
        /// What it edits.
        target: Seq,
    },
    /// Answered `Floor`. At serial consistency.
    ///
    /// `SELECT floor, swept FROM floors WHERE channel_id = ?`
    ReadFloor,
    /// Answered `Applied` or `NotApplied`; what else is answered does not matter, since `ReadFloor` follows.
    ///
    /// `INSERT INTO floors (channel_id, floor, swept) VALUES (?, ?, 0) IF NOT EXISTS`, or
    /// `UPDATE floors SET floor = ? WHERE channel_id = ? IF floor = ?`
    RaiseFloor {
        /// The floor that was read; none where there was no row.
        expected: Option<Seq>,
        /// The new one.
        floor: Seq,
    },
    /// Answered `Done`: forgets edits that are about to expire. The edits of one bucket, each by its target.
    ///
    /// `DELETE FROM edits WHERE channel_id = ? AND target = ? AND seq = ?`, for each
    ForgetEdits {
        /// Target and edit of each, at least one.
        edits: Vec<(Seq, Seq)>,
    },
    /// Deletes the entries of a full bucket; its static row stays for ever. Answered `Applied`, or `NotApplied` with the fence.
    ///
    /// `BEGIN UNLOGGED BATCH UPDATE messages SET last_seq = ? WHERE channel_id = ? AND bucket = ? IF last_seq = ?;
    /// DELETE FROM messages WHERE channel_id = ? AND bucket = ? AND message_id <= ? APPLY BATCH`, with one number three times
    ExpireBucket {
        /// Which bucket.
        bucket: u64,
        /// Its last number.
        last_seq: Seq,
    },
    /// Answered `Applied`: the buckets below this one are deleted and need not be looked at again.
    ///
    /// `UPDATE floors SET swept = ? WHERE channel_id = ? IF EXISTS`
    NoteSwept {
        /// The first bucket that is still kept.
        bucket: u64,
    },
}
