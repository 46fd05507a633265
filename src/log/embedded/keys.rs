//! The keys of the embedded log's keyspaces.
//!
//! ```text
//! rooms      name                               also 0x00: the next room's number,
//!                                               and 0x00 room target: a redaction under way
//! entries    room seq
//! edits      room target seq                    an edit, under the entry that it edits
//! snapshots  room !seq part                     the newest first
//! ```
//! A room has a number of 32 bits in place of its name, so that every key of the large keyspaces has at most 20 bytes: fjall
//! holds such a key in place, while a longer one keeps the whole block alive that it was read from, and a merge of tables
//! holds one key of each block that it writes. With names of 9 bytes that cost 70 MiB, with numbers nothing.
//!
//! Numbers are big-endian, so that keys sort as their numbers do.

use std::ops::RangeInclusive;

use rollcall_protocol::{NUMBER_MAX, RoomId, Seq};

const NUMBER_BYTES: usize = size_of::<u64>();

/// What fjall holds in place, in bytes.
const KEY_BYTES_MAX: usize = 20;

/// The key of the next room's number; no name starts with 0x00.
pub(super) const NEXT_ROOM: [u8; 1] = [0];

/// What the keys of redactions start with, and the key of the next room's number is.
const NO_NAME: [u8; 1] = [0];

/// The least key that a room's row may have.
pub(super) const FIRST_ROOM: [u8; 1] = [1];

/// What stands for a room in keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RoomNumber(pub u32);

/// Returns the key of a room's row.
pub(super) fn room(room: &RoomId) -> &[u8] {
    room.as_str().as_bytes()
}

/// Returns the key of an entry.
pub(super) fn entry(room: RoomNumber, seq: Seq) -> [u8; 12] {
    join([&room.0.to_be_bytes(), &seq.get().to_be_bytes()])
}

/// Returns the key of the row that leads from a target to one of its edits.
pub(super) fn edit(room: RoomNumber, target: Seq, seq: Seq) -> [u8; 20] {
    join([&room.0.to_be_bytes(), &target.get().to_be_bytes(), &seq.get().to_be_bytes()])
}

/// Returns the key of the row that says that a target and its edits are losing their bodies.
pub(super) fn redaction(room: RoomNumber, target: Seq) -> [u8; 13] {
    join([&NO_NAME, &room.0.to_be_bytes(), &target.get().to_be_bytes()])
}

/// Returns the range of the keys of a room's redactions.
pub(super) fn redactions_of(room: RoomNumber) -> RangeInclusive<[u8; 13]> {
    redaction(room, Seq::ZERO)..=redaction(room, Seq::new(NUMBER_MAX))
}

/// Returns the range of the keys of all redactions.
pub(super) fn redactions() -> RangeInclusive<[u8; 13]> {
    redaction(RoomNumber(0), Seq::ZERO)..=redaction(RoomNumber(u32::MAX), Seq::new(NUMBER_MAX))
}

/// Returns the key of a part of a snapshot.
pub(super) fn snapshot_part(room: RoomNumber, seq: Seq, part: u32) -> [u8; 16] {
    join([&room.0.to_be_bytes(), &(!seq.get()).to_be_bytes(), &part.to_be_bytes()])
}

/// Returns what the keys of all parts of a snapshot start with.
pub(super) fn snapshot(room: RoomNumber, seq: Seq) -> [u8; 12] {
    join([&room.0.to_be_bytes(), &(!seq.get()).to_be_bytes()])
}

/// Returns the number at the end of an entry's or an edit's key, which is the entry's or the edit's own.
pub(super) fn last_number(key: &[u8]) -> Option<Seq> {
    let (_, number) = key.split_last_chunk::<NUMBER_BYTES>()?;
    seq(u64::from_be_bytes(*number))
}

/// Returns the snapshot's number in the key of one of its parts.
pub(super) fn snapshot_seq(key: &[u8]) -> Option<Seq> {
    let (number, _) = key.get(size_of::<u32>()..)?.split_first_chunk::<NUMBER_BYTES>()?;
    seq(!u64::from_be_bytes(*number))
}

fn seq(number: u64) -> Option<Seq> {
    (number <= NUMBER_MAX).then(|| Seq::new(number))
}

fn join<const PARTS: usize, const BYTES: usize>(parts: [&[u8]; PARTS]) -> [u8; BYTES] {
    const { assert!(BYTES <= KEY_BYTES_MAX) };
    let mut key = [0; BYTES];
    let mut at = 0;
    for part in parts {
        key[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    assert_eq!(at, BYTES, "a key has the length of its parts");
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn room_number() -> impl Strategy<Value = RoomNumber> {
        prop_oneof![0..3u32, any::<u32>()].prop_map(RoomNumber)
    }

    fn number() -> impl Strategy<Value = Seq> {
        prop_oneof![0..300u64, (NUMBER_MAX - 300)..=NUMBER_MAX].prop_map(Seq::new)
    }

    proptest! {
        #[test]
        fn entries_sort_by_room_and_number(a in (room_number(), number()), b in (room_number(), number())) {
            prop_assert_eq!(entry(a.0, a.1).cmp(&entry(b.0, b.1)), a.cmp(&b));
            prop_assert_eq!(last_number(&entry(a.0, a.1)), Some(a.1));
        }

        #[test]
        fn newer_snapshots_sort_first(room in room_number(), a in (number(), any::<u32>()), b in (number(), any::<u32>())) {
            let (a_key, b_key) = (snapshot_part(room, a.0, a.1), snapshot_part(room, b.0, b.1));
            prop_assert_eq!(a_key.cmp(&b_key), b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
            prop_assert_eq!(a_key.starts_with(&snapshot(room, b.0)), a.0 == b.0);
            prop_assert_eq!(snapshot_seq(&a_key), Some(a.0));
        }

        #[test]
        fn edits_sort_by_their_target(room in room_number(), a in (number(), number()), b in (number(), number())) {
            let key = edit(room, a.0, a.1);
            prop_assert_eq!(key.cmp(&edit(room, b.0, b.1)), a.cmp(&b));
            prop_assert_eq!(last_number(&key), Some(a.1));
        }

        #[test]
        fn redactions_lie_between_the_next_room_and_the_first(room in room_number(), target in number(), other in room_number()) {
            let key = redaction(room, target);
            prop_assert!(NEXT_ROOM[..] < key[..] && key[..] < FIRST_ROOM[..]);
            prop_assert!(redactions().contains(&key));
            prop_assert_eq!(redactions_of(other).contains(&key), other == room);
            prop_assert_eq!(last_number(&key), Some(target));
        }
    }
}
