//! Frames: committed entries as they go out, each format encoded once, when it is first asked for.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rollcall_protocol::{Entries, Entry, Format, Kind, OutgoingPush, RoomId, Seq};

/// Contiguous committed entries of one epoch, with their encodings.
#[derive(Debug)]
pub struct Frame {
    room: RoomId,
    entries: Arc<[Entry]>,
    encoded: [OnceLock<Bytes>; 2],
}

impl Frame {
    /// Makes a frame of entries of one epoch, at least one.
    pub fn new(room: RoomId, entries: Arc<[Entry]>) -> Arc<Self> {
        let ends = entries.first().zip(entries.last());
        assert!(ends.is_some_and(|(first, last)| first.epoch == last.epoch), "a frame has entries, of one epoch");
        Arc::new(Self { room, entries, encoded: [OnceLock::new(), OnceLock::new()] })
    }

    /// Cuts entries into frames, where the epoch changes.
    pub fn cut(room: &RoomId, entries: Arc<[Entry]>) -> Vec<Arc<Self>> {
        let one_epoch = entries.first().zip(entries.last()).is_none_or(|(first, last)| first.epoch == last.epoch);
        if entries.is_empty() {
            return Vec::new();
        }
        if one_epoch {
            return vec![Self::new(room.clone(), entries)];
        }
        let runs = entries.chunk_by(|one, next| one.epoch == next.epoch);
        runs.map(|run| Self::new(room.clone(), run.into())).collect()
    }

    /// Returns the entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns the first entry's number.
    pub fn first(&self) -> Seq {
        self.entries[0].seq
    }

    /// Returns the last entry's number.
    pub fn last(&self) -> Seq {
        self.entries[self.entries.len() - 1].seq
    }

    /// Returns the frame as it goes to a connection whose cursor is `cursor`: whole, and shared with all others, or, for a cursor in its
    /// middle, one of its own.
    pub fn bytes_after(&self, cursor: Seq, format: Format) -> Bytes {
        let skip = usize::try_from(cursor.next().since(self.first())).unwrap_or(usize::MAX);
        if skip == 0 {
            let slot = match format {
                Format::Json => &self.encoded[0],
                Format::MsgPack => &self.encoded[1],
            };
            return slot.get_or_init(|| self.encode(&self.entries, format)).clone();
        }
        self.encode(&self.entries[skip..], format)
    }

    fn encode(&self, list: &[Entry], format: Format) -> Bytes {
        let frame: OutgoingPush<'_> = OutgoingPush::Entries(Entries { room: &self.room, list });
        // It stays for as long as the ring holds it: without the space that the encoder kept in hand, up to half of it.
        Bytes::from(format.encode(&frame).into_boxed_slice())
    }

    /// Returns the size that counts against the ring: the bodies, in bytes.
    pub fn weight_bytes(&self) -> usize {
        self.entries.iter().map(Entry::weight_bytes).sum()
    }

    /// Returns the frame without what a redaction of `target` takes away; none if that does not lie in it.
    pub fn redacted(&self, target: Seq) -> Option<Arc<Self>> {
        let is_hit = |entry: &Entry| {
            !entry.is_redacted() && (entry.seq == target || entry.kind == Kind::Edit && entry.target == Some(target))
        };
        if !self.entries.iter().any(is_hit) {
            return None;
        }
        let mut entries = self.entries.to_vec();
        entries.iter_mut().filter(|entry| is_hit(entry)).for_each(Entry::redact);
        Some(Self::new(self.room.clone(), entries.into()))
    }
}

#[cfg(test)]
mod tests;
