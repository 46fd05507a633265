//! What happens in a room that was joined.

use rollcall_protocol::{Ack, EntryFrame, Epoch, ErrorFrame, Hash, Joined, Seq, Signal};

use crate::cursor::Cursor;
use crate::error::WriteError;
use crate::storage::SavedWrite;

/// What happens in a room that was joined.
#[derive(Debug, Clone, PartialEq)]
pub enum RoomEvent {
    /// The room was joined, or joined again on a new connection: everything after `after` follows.
    Joined {
        /// The last entry that the client had.
        after: Seq,
        /// The room as it is now.
        joined: Joined,
    },
    /// Entries: across all batches of a subscription their numbers grow by one, without a gap and without a repetition.
    Entries(Batch),
    /// Something ephemeral.
    Signal(Signal),
    /// These entries are gone from the log; the next one follows them.
    Expired {
        /// The first that is gone.
        from: Seq,
        /// The last that is gone.
        to: Seq,
    },
    /// What was delivered does not lie on the room's history any more: the log was replaced, or goes on from before it.
    /// Nothing more is delivered. Leave, drop what was kept of the room, and join afresh.
    Diverged {
        /// The place that is not there.
        at: Cursor,
    },
    /// The server does not let the client in any more. The last event: the room counts as left.
    Refused(Box<ErrorFrame>),
    /// A write of an earlier life of the program, or of the subscription before this one, has an answer now.
    Recovered {
        /// The write.
        write: SavedWrite,
        /// Its number, or why it has none.
        outcome: Result<Ack, WriteError>,
    },
}

/// Entries that follow one another.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The ownership under which they were numbered; none for those that were fetched to close a gap.
    pub epoch: Option<Epoch>,
    /// The entries, at least one.
    pub entries: Vec<EntryFrame>,
    /// The hash of the last of them, where it is known.
    pub hash: Option<Hash>,
}

impl Batch {
    /// Returns the place after this batch, to resume from.
    pub fn cursor(&self) -> Cursor {
        let seq = self.entries.last().map_or(Seq::ZERO, |entry| entry.seq);
        Cursor { seq, hash: self.hash }
    }
}

impl RoomEvent {
    /// Returns about how much memory the event holds, in bytes.
    pub(crate) fn weight_bytes(&self) -> usize {
        /// An entry without its body: its fields and the allocations of its names.
        const ENTRY_BYTES: usize = size_of::<EntryFrame>() + 64;
        match self {
            Self::Entries(batch) => batch
                .entries
                .iter()
                .map(|entry| ENTRY_BYTES + entry.body.as_ref().map_or(0, |body| body.as_str().len()))
                .sum(),
            _ => ENTRY_BYTES,
        }
    }
}
