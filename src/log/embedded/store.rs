//! The store: fjall's database with our four keyspaces, and what is read from it.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use fjall::config::BlockSizePolicy;
use fjall::{
    AbstractTree, Database, Guard, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot, UserValue,
};
use rollcall_actors::ports::{LogError, LogTail, ReadRange, StoredSnapshot};
use rollcall_protocol::{Entry, Kind, NUMBER_MAX, RoomId, Seq};

use super::codec::{self, CodecError, EntryDecoder, Redaction, RoomRow, decode_next_room, decode_snapshot_part};
use super::keys::{self, RoomNumber};
use super::options::EmbeddedOptions;

/// How long to wait before looking again at what fjall's workers do; it offers nothing to wait for.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(1);

/// Memtables that wait to be written out at which the committer waits too. fjall itself waits at 4, and for ever if its
/// workers have died, so we never let it come to that.
const SEALED_MEMTABLES_MAX: usize = 2;
/// Tables in the first level at which the committer waits; fjall waits for ever at 30.
const FIRST_LEVEL_TABLES_MAX: usize = 24;

/// Entries that a page is made for at first; a larger one grows.
const PAGE_CAPACITY_MAX: usize = 512;

/// A room that somebody wrote to, as tools see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomInfo {
    /// Its name.
    pub room: RoomId,
    /// Where it stands.
    pub tail: LogTail,
    /// The first number that is still kept.
    pub floor: Seq,
}

/// A redaction that is under way.
pub(super) struct StoredRedaction {
    pub room: RoomId,
    pub target: Seq,
}

/// The open database.
pub(super) struct Store {
    /// What each keyspace's memtable may hold, in bytes.
    memtables_bytes_max: [u64; Self::KEYSPACES],
    pub db: Database,
    pub rooms: Keyspace,
    pub entries: Keyspace,
    pub snapshots: Keyspace,
    pub edits: Keyspace,
}

impl Store {
    /// How many keyspaces there are.
    pub const KEYSPACES: usize = 4;

    /// Opens the database, and makes it if it does not exist.
    pub fn open(path: &Path, options: &EmbeddedOptions) -> fjall::Result<Self> {
        let db = Database::builder(path)
            .cache_size(options.cache_bytes)
            .worker_threads(options.worker_threads.max(2))
            .max_journaling_size(options.journals_bytes_max)
            .max_cached_files(Some(options.open_files_max))
            .manual_journal_persist(true)
            .open()?;
        let keyspace = |name: &str, block_bytes: u32| {
            db.keyspace(name, || {
                KeyspaceCreateOptions::default()
                    .manual_journal_persist(true)
                    // We see to that ourselves, see `wait_until_writable`.
                    .max_memtable_size(u64::MAX)
                    .data_block_size_policy(BlockSizePolicy::all(block_bytes))
            })
        };
        let bytes = options.memtable_bytes;
        Ok(Self {
            memtables_bytes_max: [bytes / 8, bytes, bytes / 4, bytes / 8],
            rooms: keyspace("rooms", 4 * 1024)?,
            entries: keyspace("entries", 16 * 1024)?,
            snapshots: keyspace("snapshots", 16 * 1024)?,
            edits: keyspace("edits", 4 * 1024)?,
            db,
        })
    }

    /// Returns the keyspaces.
    pub fn keyspaces(&self) -> [&Keyspace; Self::KEYSPACES] {
        [&self.rooms, &self.entries, &self.snapshots, &self.edits]
    }

    /// Fails once a write to the disk has failed, in a commit or behind it: nothing is written any more then.
    pub fn check_health(&self) -> fjall::Result<()> {
        self.db.persist(PersistMode::Buffer)
    }

    /// Waits until everything that the journals held at the opening is in tables.
    pub fn wait_until_flushed(&self) -> fjall::Result<()> {
        self.wait_while(|keyspace| keyspace.sealed_memtable_count() > 0)
    }

    /// Has full memtables written out, and waits until a commit can go through without waiting for fjall's workers.
    ///
    /// fjall would have one of its workers do the former when it comes to it, and on a busy machine that can be late: so many
    /// memtables later that memory is not bounded by anything.
    pub fn wait_until_writable(&self) -> fjall::Result<()> {
        for (keyspace, bytes_max) in self.keyspaces().into_iter().zip(self.memtables_bytes_max) {
            if keyspace.tree.active_memtable().size() > bytes_max {
                keyspace.rotate_memtable()?;
            }
        }
        self.wait_while(|keyspace| {
            keyspace.sealed_memtable_count() >= SEALED_MEMTABLES_MAX
                || keyspace.l0_table_count() >= FIRST_LEVEL_TABLES_MAX
        })
    }

    fn wait_while(&self, busy: impl Fn(&Keyspace) -> bool) -> fjall::Result<()> {
        loop {
            self.check_health()?;
            if !self.keyspaces().into_iter().any(&busy) {
                return Ok(());
            }
            std::thread::sleep(LOOK_AGAIN_AFTER);
        }
    }

    /// Tells whether any room was ever written to.
    pub fn has_rooms(&self) -> bool {
        self.rooms.first_key_value().is_some()
    }

    /// Reads the number that the next room gets.
    pub fn next_room(&self) -> Result<RoomNumber, LogError> {
        let next = self.rooms.get(keys::NEXT_ROOM).map_err(to_log_error)?;
        let decoded = next.map(|next| decode_next_room(&next)).transpose();
        Ok(decoded.map_err(|error| damaged("the next room's number", &error))?.unwrap_or(RoomNumber(0)))
    }

    /// Reads a room's row.
    pub fn room(&self, room: &RoomId) -> Result<Option<RoomRow>, LogError> {
        let row = self.rooms.get(keys::room(room)).map_err(to_log_error)?;
        row.map(|row| decode_room(room.as_str(), &row)).transpose()
    }

    /// Reads one entry, as it was written.
    pub fn entry(&self, room: RoomNumber, seq: Seq) -> Result<Option<UserValue>, LogError> {
        self.entries.get(keys::entry(room, seq)).map_err(to_log_error)
    }

    /// Reads what was written as an entry.
    #[expect(clippy::unused_self, reason = "what is decoded was read from the store")]
    pub fn decode(&self, room: &RoomId, seq: Seq, value: &[u8]) -> Result<Entry, LogError> {
        decode_entry(&mut EntryDecoder::default(), room, seq, value)
    }

    /// Tells whether an entry has lost its body; none where it is not stored.
    pub fn is_redacted(&self, room: RoomNumber, seq: Seq) -> Result<Option<bool>, LogError> {
        Ok(self.entry(room, seq)?.map(|entry| codec::is_redacted(&entry)))
    }

    /// Finds the first of a target's edits within a range.
    pub fn next_edit(&self, room: RoomNumber, target: Seq, within: Range<Seq>) -> Result<Option<Seq>, LogError> {
        if within.is_empty() {
            return Ok(None);
        }
        let keys = keys::edit(room, target, within.start)..keys::edit(room, target, within.end);
        let Some(edit) = self.edits.range(keys).next() else { return Ok(None) };
        number_of(&format!("of room number {}", room.0), &edit.key().map_err(to_log_error)?).map(Some)
    }

    /// Reads the redaction of a target that is under way.
    pub fn redaction(&self, room: RoomNumber, target: Seq) -> Result<Option<Redaction>, LogError> {
        let row = self.rooms.get(keys::redaction(room, target)).map_err(to_log_error)?;
        Ok(row.map(|row| decode_redaction(&row)).transpose()?.map(|(redaction, _)| redaction))
    }

    /// Iterates over the redactions that are under way.
    pub fn redactions(&self) -> impl Iterator<Item = Result<StoredRedaction, LogError>> {
        self.rooms.range(keys::redactions()).map(|row| {
            let (key, value) = row.into_inner().map_err(to_log_error)?;
            let (_, room) = decode_redaction(&value)?;
            Ok(StoredRedaction { room, target: number_of("of a redaction", &key)? })
        })
    }

    /// Reads a page of entries, as they stood at one moment.
    pub fn read(&self, room: &RoomId, range: ReadRange) -> Result<Vec<Entry>, LogError> {
        let first = range.after.next();
        let snapshot = self.db.snapshot();
        let row = snapshot.get(&self.rooms, keys::room(room)).map_err(to_log_error)?;
        let Some(row) = row.map(|row| decode_room(room.as_str(), &row)).transpose()? else { return Ok(Vec::new()) };
        let last = range.through.min(row.last_seq);
        if first < row.floor && first <= range.through {
            return Err(LogError::Expired { floor: row.floor });
        }
        if first > last || range.entries_max == 0 {
            return Ok(Vec::new());
        }

        let expected = usize::try_from(last.since(range.after)).unwrap_or(usize::MAX).min(range.entries_max);
        let mut page = Vec::with_capacity(expected.min(PAGE_CAPACITY_MAX));
        let hidden = Hidden::of(&snapshot, self, row.number)?;
        let keys = keys::entry(row.number, first)..=keys::entry(row.number, last);
        let rows = snapshot.range(&self.entries, keys).take(expected);
        match read_page(room, first, rows, hidden.as_ref(), range.bytes_max, &mut page) {
            // What comes before the damage is as good as ever; whoever goes on from there is told.
            Ok(()) | Err(LogError::Damaged(_)) if !page.is_empty() => Ok(page),
            Ok(()) => Err(missing(room, first)),
            Err(error) => Err(error),
        }
    }

    /// Iterates over the entries from one number up to another, each with its size on the disk in bytes.
    pub fn entries_between<'a>(
        &'a self,
        room: &'a RoomId,
        number: RoomNumber,
        (from, through): (Seq, Seq),
    ) -> impl Iterator<Item = Result<(Entry, usize), LogError>> + 'a {
        let mut decoder = EntryDecoder::default();
        self.entries.range(keys::entry(number, from)..=keys::entry(number, through)).map(move |row| {
            let (key, value) = row.into_inner().map_err(to_log_error)?;
            Ok((decode_entry(&mut decoder, room, number_of_entry(room, &key)?, &value)?, value.len()))
        })
    }

    /// Returns the numbers of a room's snapshots, the newest first.
    pub fn snapshot_seqs(&self, room: RoomNumber) -> Result<Vec<Seq>, LogError> {
        let mut seqs = Vec::new();
        let mut from = Seq::new(NUMBER_MAX);
        while let Some(seq) = self.newest_snapshot(room, from)? {
            seqs.push(seq);
            if seq == Seq::ZERO {
                break;
            }
            from = seq.previous();
        }
        Ok(seqs)
    }

    /// Finds the newest snapshot whose number is at most `at_most`.
    pub fn newest_snapshot(&self, room: RoomNumber, at_most: Seq) -> Result<Option<Seq>, LogError> {
        let from = keys::snapshot_part(room, at_most, 0);
        let through = keys::snapshot_part(room, Seq::ZERO, u32::MAX);
        let Some(part) = self.snapshots.range(from..=through).next() else { return Ok(None) };
        let key = part.key().map_err(to_log_error)?;
        match keys::snapshot_seq(&key) {
            Some(seq) => Ok(Some(seq)),
            None => Err(LogError::Damaged("a snapshot has a key that was never written".to_owned())),
        }
    }

    /// Returns the keys of a snapshot's parts.
    pub fn snapshot_keys(&self, room: RoomNumber, seq: Seq) -> Result<Vec<Vec<u8>>, LogError> {
        let parts = self.snapshots.prefix(keys::snapshot(room, seq));
        parts.map(|part| part.key().map(|key| key.to_vec()).map_err(to_log_error)).collect()
    }

    /// Reads the newest snapshot whose number is at most `at_most`.
    pub fn read_snapshot(&self, room: &RoomId, at_most: Seq) -> Result<Option<StoredSnapshot>, LogError> {
        let Some(number) = self.room(room)?.map(|row| row.number) else { return Ok(None) };
        let Some(seq) = self.newest_snapshot(number, at_most)? else { return Ok(None) };
        let read = |part: Guard| {
            let value = part.value().map_err(to_log_error)?;
            decode_snapshot_part(&value).map_err(|error| damaged(&format!("snapshot {seq} of room {room}"), &error))
        };
        let parts = self.snapshots.prefix(keys::snapshot(number, seq)).map(read).collect::<Result<_, _>>()?;
        Ok(Some(StoredSnapshot { seq, parts }))
    }

    /// Reads the rows of at most `max` rooms, in the order of their names, after one.
    pub fn rooms_after(&self, after: Option<&RoomId>, max: usize) -> Result<Vec<RoomInfo>, LogError> {
        let from = after.map_or(keys::FIRST_ROOM.to_vec(), |after| [keys::room(after), &[0]].concat());
        let read = |row: Guard| {
            let (key, value) = row.into_inner().map_err(to_log_error)?;
            let name = std::str::from_utf8(&key).ok().and_then(|name| RoomId::parse(name).ok());
            let Some(room) = name else {
                return Err(LogError::Damaged("a room has a name that was never written".to_owned()));
            };
            let row = decode_room(room.as_str(), &value)?;
            Ok(RoomInfo { room, tail: row.tail(), floor: row.floor })
        };
        self.rooms.range(from..).take(max).map(read).collect()
    }
}

/// Reads rows onto a page, until it is full or one of them is not good.
fn read_page(
    room: &RoomId,
    first: Seq,
    rows: impl Iterator<Item = Guard>,
    hidden: Option<&Hidden<'_>>,
    bytes_max: usize,
    page: &mut Vec<Entry>,
) -> Result<(), LogError> {
    let mut decoder = EntryDecoder::default();
    let (mut next, mut bytes) = (first, 0);
    for row in rows {
        if !page.is_empty() && bytes >= bytes_max {
            return Ok(());
        }
        let (key, value) = row.into_inner().map_err(to_log_error)?;
        let seq = number_of_entry(room, &key)?;
        if seq != next {
            return Err(missing(room, next));
        }
        let mut entry = decode_entry(&mut decoder, room, seq, &value)?;
        if let Some(hidden) = hidden
            && hidden.hides(&entry)?
        {
            entry.redact();
        }
        bytes += entry.weight_bytes();
        page.push(entry);
        next = next.next();
    }
    Ok(())
}

/// The redactions of a room that are under way, where there are any: what they cover still has its body on the disk.
struct Hidden<'a> {
    snapshot: &'a Snapshot,
    store: &'a Store,
    room: RoomNumber,
}

impl<'a> Hidden<'a> {
    fn of(snapshot: &'a Snapshot, store: &'a Store, room: RoomNumber) -> Result<Option<Self>, LogError> {
        let Some(first) = snapshot.range(&store.rooms, keys::redactions_of(room)).next() else { return Ok(None) };
        first.key().map_err(to_log_error)?;
        Ok(Some(Self { snapshot, store, room }))
    }

    fn hides(&self, entry: &Entry) -> Result<bool, LogError> {
        if entry.is_redacted() || !entry.kind.is_redactable() {
            return Ok(false);
        }
        let edited = entry.target.filter(|_| entry.kind == Kind::Edit);
        for target in edited.into_iter().chain([entry.seq]) {
            let row = self.snapshot.get(&self.store.rooms, keys::redaction(self.room, target)).map_err(to_log_error)?;
            if let Some(row) = row
                && entry.seq < decode_redaction(&row)?.0.before
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn decode_room(name: &str, bytes: &[u8]) -> Result<RoomRow, LogError> {
    RoomRow::decode(bytes).map_err(|error| damaged(&format!("the row of room {name}"), &error))
}

fn decode_entry(decoder: &mut EntryDecoder, room: &RoomId, seq: Seq, bytes: &[u8]) -> Result<Entry, LogError> {
    decoder.decode(seq, bytes).map_err(|error| damaged(&format!("entry {seq} of room {room}"), &error))
}

fn decode_redaction(bytes: &[u8]) -> Result<(Redaction, RoomId), LogError> {
    Redaction::decode(bytes).map_err(|error| damaged("a redaction", &error))
}

fn number_of_entry(room: &RoomId, key: &[u8]) -> Result<Seq, LogError> {
    number_of(&format!("of room {room}"), key)
}

fn number_of(what: &str, key: &[u8]) -> Result<Seq, LogError> {
    keys::last_number(key).ok_or_else(|| LogError::Damaged(format!("a row {what} has a key that was never written")))
}

fn damaged(what: &str, error: &CodecError) -> LogError {
    LogError::Damaged(format!("{what}: {error}"))
}

fn missing(room: &RoomId, seq: Seq) -> LogError {
    LogError::Damaged(format!("entry {seq} of room {room} is missing"))
}

/// Tells what the store could not read from what it could not read now.
pub(super) fn to_log_error(error: fjall::Error) -> LogError {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::InvalidData => {
                LogError::Damaged(error.to_string())
            }
            _ => LogError::Unavailable(error.to_string()),
        },
        fjall::Error::Poisoned => LogError::Unavailable("a write to the disk has failed".to_owned()),
        other => LogError::Damaged(other.to_string()),
    }
}
