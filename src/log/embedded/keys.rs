//! The keys of the embedded log's keyspaces.
//!
//! ```text
//! rooms      room
//! entries    room 0x00 seq
//! edits      room 0x00 target seq               an edit, under the entry that it edits
//! snapshots  room 0x00 !seq part                the newest first
//! ```
//! Numbers are big-endian, so that keys sort as their numbers do. No room's name contains 0x00, so no room's keys lie among
//! another's.

use rollcall_protocol::{RoomId, Seq};

const NUMBER_BYTES: usize = size_of::<u64>();

/// Returns the key of a room's row.
pub(super) fn room(room: &RoomId) -> &[u8] {
    room.as_str().as_bytes()
}

/// Returns the key of an entry.
pub(super) fn entry(room: &RoomId, seq: Seq) -> Vec<u8> {
    with_prefix(room, &[&seq.get().to_be_bytes()])
}

/// Returns the key of the row that leads from a target to one of its edits.
pub(super) fn edit(room: &RoomId, target: Seq, seq: Seq) -> Vec<u8> {
    with_prefix(room, &[&target.get().to_be_bytes(), &seq.get().to_be_bytes()])
}

/// Returns what the keys of all edits of a target start with.
pub(super) fn edits_of(room: &RoomId, target: Seq) -> Vec<u8> {
    with_prefix(room, &[&target.get().to_be_bytes()])
}

/// Returns the key of a part of a snapshot.
pub(super) fn snapshot_part(room: &RoomId, seq: Seq, part: u32) -> Vec<u8> {
    with_prefix(room, &[&(!seq.get()).to_be_bytes(), &part.to_be_bytes()])
}

/// Returns what the keys of all parts of a snapshot start with.
pub(super) fn snapshot(room: &RoomId, seq: Seq) -> Vec<u8> {
    with_prefix(room, &[&(!seq.get()).to_be_bytes()])
}

/// Returns the number at the end of an entry's or an edit's key, which is the entry's or the edit's own.
pub(super) fn last_number(key: &[u8]) -> Option<Seq> {
    let (_, number) = key.split_last_chunk::<NUMBER_BYTES>()?;
    seq(u64::from_be_bytes(*number))
}

/// Returns the snapshot's number in the key of one of its parts.
pub(super) fn snapshot_seq(room: &RoomId, key: &[u8]) -> Option<Seq> {
    let (number, _) = key.get(room.as_str().len() + 1..)?.split_first_chunk::<NUMBER_BYTES>()?;
    seq(!u64::from_be_bytes(*number))
}

fn seq(number: u64) -> Option<Seq> {
    (number <= rollcall_protocol::NUMBER_MAX).then(|| Seq::new(number))
}

fn with_prefix(room: &RoomId, parts: &[&[u8]]) -> Vec<u8> {
    let name = room.as_str().as_bytes();
    let mut key = Vec::with_capacity(name.len() + 1 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.extend_from_slice(name);
    key.push(0);
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn room_id() -> impl Strategy<Value = RoomId> {
        "[a-b][a-b.]{0,3}".prop_map(|text| RoomId::parse(&text).unwrap())
    }

    fn number() -> impl Strategy<Value = Seq> {
        prop_oneof![0..300u64, (rollcall_protocol::NUMBER_MAX - 300)..=rollcall_protocol::NUMBER_MAX].prop_map(Seq::new)
    }

    proptest! {
        #[test]
        fn entries_sort_by_room_and_number(a in (room_id(), number()), b in (room_id(), number())) {
            if a.0 == b.0 {
                prop_assert_eq!(entry(&a.0, a.1).cmp(&entry(&b.0, b.1)), a.1.cmp(&b.1));
            } else {
                prop_assert!(!entry(&b.0, b.1).starts_with(&with_prefix(&a.0, &[])));
            }
            prop_assert_eq!(last_number(&entry(&a.0, a.1)), Some(a.1));
        }

        #[test]
        fn newer_snapshots_sort_first(room in room_id(), a in (number(), any::<u32>()), b in (number(), any::<u32>())) {
            let (a_key, b_key) = (snapshot_part(&room, a.0, a.1), snapshot_part(&room, b.0, b.1));
            prop_assert_eq!(a_key.cmp(&b_key), b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
            prop_assert_eq!(snapshot_seq(&room, &a_key), Some(a.0));
        }

        #[test]
        fn edits_lie_under_their_target(room in room_id(), a in (number(), number()), other in number()) {
            let key = edit(&room, a.0, a.1);
            prop_assert_eq!(key.starts_with(&edits_of(&room, other)), other == a.0);
            prop_assert_eq!(last_number(&key), Some(a.1));
        }
    }
}
