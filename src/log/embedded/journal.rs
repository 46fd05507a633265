//! A look at fjall's journals before fjall opens them.
//!
//! fjall cuts a journal at the first bytes that it cannot read, without a word, and refuses to open where a checksum does not
//! match. Each is right in one case and wrong in the other: the last group may be torn, since nobody was told that it
//! committed; but everything before it was synced and acknowledged, and losing that must never pass for a clean start. So the
//! end is cut here where it is a torn group, and anything else is damage.
//!
//! The layout is that of fjall 3's journals (its `journal/entry.rs`): a batch is a start (tag 1, count u32, number u64), items
//! (tag 2, type, compression, keyspace u64, key length u16, value length u32, stored length u32, key, value), and an end
//! (tag 3, xxh3 of the items u64, "FJL" 3), all little-endian.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const TRAILER: [u8; 4] = *b"FJL\x03";
const START_BYTES: usize = 13;
const ITEM_HEADER_BYTES: usize = 1 + 1 + 1 + 8 + 2 + 4 + 4;

/// What the journal adds to the entries of a group at most: headers, keys, rows of rooms and of edits.
const OVERHEAD_FACTOR: u64 = 4;

/// What a journal holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scan {
    /// Up to where it consists of whole batches, in bytes.
    pub whole_bytes: u64,
    /// Up to where it holds anything but zeros, in bytes.
    pub used_bytes: u64,
    /// Whether a whole batch lies beyond one that is not: what was synced after it proves that it was synced too.
    pub whole_batch_beyond: bool,
    /// Whether a batch has a number that is not above the one before it. The checksums do not cover the numbers, and by them
    /// fjall decides what is newer.
    pub numbers_fall: bool,
}

impl Scan {
    /// Says what is wrong, if it is more than one torn group at the end.
    pub fn damage(&self, group_bytes_max: usize) -> Option<String> {
        let unread = self.used_bytes.saturating_sub(self.whole_bytes);
        // One entry of the greatest size may exceed a group's limit.
        let group_bytes_max = (group_bytes_max as u64).max(1 << 20) * OVERHEAD_FACTOR;
        if self.numbers_fall {
            return Some("has batches out of order".to_owned());
        }
        let is_damaged = self.whole_batch_beyond || unread > group_bytes_max;
        is_damaged.then(|| format!("cannot be read from byte {} on, and {unread} bytes follow", self.whole_bytes))
    }
}

/// Lists the journals of a store with their numbers, the oldest first.
pub(super) fn list(store: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut journals = Vec::new();
    for file in std::fs::read_dir(store)? {
        let path = file?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(number) = name.and_then(|name| name.strip_suffix(".jnl")).and_then(|number| number.parse().ok()) {
            journals.push((number, path));
        }
    }
    journals.sort();
    Ok(journals)
}

/// Returns the name of a journal's file.
pub(super) fn file_name(number: u64) -> String {
    format!("{number}.jnl")
}

/// Reads a journal through.
pub(super) fn scan(path: &Path) -> io::Result<Scan> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(256 * 1024, file);
    let (mut whole_bytes, mut last_number, mut numbers_fall) = (0, None, false);
    while let Some(batch) = read_batch(&mut reader, length - whole_bytes)? {
        whole_bytes += batch.bytes;
        numbers_fall |= last_number.is_some_and(|last| batch.number <= last);
        last_number = Some(batch.number);
    }
    let mut file = reader.into_inner();
    let used_bytes = used_bytes(&mut file, whole_bytes..length)?;
    let whole_batch_beyond = finds_batch(&mut file, whole_bytes + 1..used_bytes)?;
    Ok(Scan { whole_bytes, used_bytes, whole_batch_beyond, numbers_fall })
}

/// Cuts a torn group, and the zeros that were set aside, from the end of a journal.
pub(super) fn cut(path: &Path, scan: &Scan) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    if file.metadata()?.len() > scan.whole_bytes {
        file.set_len(scan.whole_bytes)?;
        file.sync_all()?;
    }
    Ok(())
}

/// A whole batch.
struct Batch {
    number: u64,
    bytes: u64,
}

/// Reads one batch; none if what lies there, within `bytes_max`, is not a whole one.
fn read_batch(reader: &mut impl Read, bytes_max: u64) -> io::Result<Option<Batch>> {
    match read_batch_or_end(reader, bytes_max) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        result => result,
    }
}

fn read_batch_or_end(reader: &mut impl Read, bytes_max: u64) -> io::Result<Option<Batch>> {
    let [tag, i0, i1, i2, i3, number @ ..] = read::<START_BYTES>(reader)?;
    if tag != START {
        return Ok(None);
    }
    let mut bytes = START_BYTES as u64;
    let mut hash = Xxh3::new();
    let mut content = Vec::new();
    for _ in 0..u32::from_le_bytes([i0, i1, i2, i3]) {
        let header = read::<ITEM_HEADER_BYTES>(reader)?;
        let key_bytes = u16::from_le_bytes([header[11], header[12]]);
        let value_bytes = u32::from_le_bytes([header[17], header[18], header[19], header[20]]);
        let content_bytes = u64::from(key_bytes) + u64::from(value_bytes);
        bytes += ITEM_HEADER_BYTES as u64 + content_bytes;
        if header[0] != ITEM || bytes > bytes_max {
            return Ok(None);
        }
        content.resize(usize::try_from(content_bytes).expect("the lengths have 32 bits"), 0);
        reader.read_exact(&mut content)?;
        hash.update(&header);
        hash.update(&content);
    }
    let [tag, checksum @ .., t0, t1, t2, t3] = read::<START_BYTES>(reader)?;
    let is_whole = tag == END && u64::from_le_bytes(checksum) == hash.digest() && [t0, t1, t2, t3] == TRAILER;
    Ok(is_whole.then(|| Batch { number: u64::from_le_bytes(number), bytes: bytes + START_BYTES as u64 }))
}

fn read<const N: usize>(reader: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Finds where the zeros begin that fill the file to its end.
fn used_bytes(file: &mut File, range: Range<u64>) -> io::Result<u64> {
    let mut used = range.start;
    let mut at = range.start;
    let mut chunk = vec![0; 64 * 1024];
    let zeros = vec![0; chunk.len()];
    file.seek(SeekFrom::Start(at))?;
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok(used);
        }
        // Nearly all are zeros, which a comparison of memory tells at once.
        if chunk[..read] != zeros[..read]
            && let Some(last) = chunk[..read].iter().rposition(|&byte| byte != 0)
        {
            used = at + last as u64 + 1;
        }
        at += read as u64;
    }
}

/// Tells whether a whole batch begins anywhere in a range.
fn finds_batch(file: &mut File, range: Range<u64>) -> io::Result<bool> {
    if range.is_empty() {
        return Ok(false);
    }
    let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.seek(SeekFrom::Start(range.start))?;
    file.read_exact(&mut bytes)?;
    for at in memchr_all(&bytes, START) {
        let rest = &bytes[at..];
        // Most of these are no starts: the first item's tag tells, before anything is read.
        if rest.get(START_BYTES) == Some(&ITEM) && read_batch(&mut &*rest, rest.len() as u64)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn memchr_all(bytes: &[u8], wanted: u8) -> impl Iterator<Item = usize> {
    bytes.iter().enumerate().filter(move |&(_, &byte)| byte == wanted).map(|(at, _)| at)
}
