//! Snapshots: when they are taken, and that only a whole one is read.

use std::sync::LazyLock;

use proptest::prelude::*;
use rollcall_protocol::{Entry, Epoch, Hash, Kind, OwnerId, Salt, Seq};

use super::test_log::TestLog;
use super::test_room::{TestRoom, ann, bob, device, send, text, user};
use crate::ports::StoredSnapshot;
use crate::room::snapshot::{SNAPSHOT_FORMAT, SNAPSHOT_PART_BYTES_MAX, SnapshotError, decode, encode};
use crate::room::{Input, REDACTIONS_REMEMBERED_ENTRIES, Role, RoomState, SenderKey, StopReason};

/// The state of a room in which so many devices wrote so many messages each. Hashes do not matter here.
fn state_of(devices: usize, writes: u64) -> RoomState {
    let mut state = RoomState::empty(&TestLog::new().room);
    let names: Vec<_> =
        (0..devices).map(|number| device(&format!("user-{number}"), "a-device-of-usual-name")).collect();
    for n in 1..=writes {
        for key in &names {
            state.apply(&next_entry(&state, key, n));
        }
    }
    state
}

fn next_entry(state: &RoomState, key: &SenderKey, n: u64) -> Entry {
    Entry {
        seq: state.head.next(),
        kind: Kind::Message,
        created_at_ms: 1_700_000_000_000,
        sender: key.user.clone(),
        device: Some(key.device.clone()),
        n,
        target: None,
        body: None,
        salt: Some(Salt([7; 16])),
        content_hash: Hash([1; 32]),
        hash: Hash([2; 32]),
        epoch: Epoch::new(1),
        owner: OwnerId(1),
    }
}

/// Three parts, as a store keeps them.
fn stored() -> StoredSnapshot {
    static STORED: LazyLock<StoredSnapshot> = LazyLock::new(|| encode(&state_of(1_000, 25)));
    assert_eq!(STORED.parts.len(), 3);
    STORED.clone()
}

#[test]
fn an_empty_and_a_full_state_are_read_as_they_were_written() {
    let empty = RoomState::empty(&TestLog::new().room);
    assert_eq!(decode(&encode(&empty)).unwrap(), empty);
    let mut room = TestRoom::with_writes(70);
    room.write(send(&device("eve", "key:1"), 1, "with a key"));
    room.set_role(&bob().user, Some(Role::Banned));
    room.set_role(&user("cid"), Some(Role::Moderator));
    let state = room.core.committed();
    assert_eq!(decode(&encode(state)).unwrap(), *state);
}

#[test]
fn a_state_is_written_in_parts_of_a_limited_size() {
    let state = state_of(1_000, 64);
    let stored = encode(&state);
    assert_eq!(stored.seq, Seq::new(64_000));
    assert!(stored.parts.len() > 3);
    assert!(stored.parts.iter().all(|part| part.len() <= SNAPSHOT_PART_BYTES_MAX));
    assert!(stored.parts.iter().rev().skip(1).all(|part| part.len() > SNAPSHOT_PART_BYTES_MAX / 2));
    assert_eq!(decode(&stored).unwrap(), state);
}

#[test]
fn what_is_not_whole_is_refused() {
    let missing_last = SnapshotError::Damaged("its last part is missing");
    let missing = SnapshotError::Damaged("a part is missing");
    let cut = SnapshotError::Damaged("a part is cut short");
    let hash = SnapshotError::Damaged("its hash does not fit");
    type Damage = fn(&mut StoredSnapshot);
    let table: Vec<(&str, Damage, SnapshotError)> = vec![
        ("no part", |stored| stored.parts.clear(), missing_last.clone()),
        ("the last part is missing", |stored| drop(stored.parts.pop()), missing_last.clone()),
        ("the first part is missing", |stored| drop(stored.parts.remove(0)), missing.clone()),
        ("a middle part is missing", |stored| drop(stored.parts.remove(1)), missing.clone()),
        ("two parts are swapped", |stored| stored.parts.swap(0, 1), missing.clone()),
        ("the last comes early", |stored| stored.parts.swap(1, 2), missing.clone()),
        ("a part is there twice", |stored| stored.parts.insert(1, stored.parts[1].clone()), missing.clone()),
        (
            "a part goes on after the last",
            |stored| stored.parts.push([&[SNAPSHOT_FORMAT, 0, 0, 0, 3, 0], &stored.parts[1][6..]].concat()),
            missing_last.clone(),
        ),
        ("a part follows the last", |stored| stored.parts.push(stored.parts[2].clone()), missing),
        ("an empty part", |stored| stored.parts[1].clear(), cut.clone()),
        ("a cut header", |stored| stored.parts[1].truncate(4), cut.clone()),
        ("a cut header of the last", |stored| stored.parts[2].truncate(40), cut),
        ("an odd mark", |stored| stored.parts[2][5] = 3, SnapshotError::Damaged("a part's header cannot be read")),
        ("a cut part", |stored| stored.parts[1].truncate(1_000), hash.clone()),
        ("a cut last part", |stored| stored.parts[2].truncate(1_000), hash.clone()),
        ("a part that grew", |stored| stored.parts[1].push(0), hash.clone()),
        ("a part of another snapshot", |stored| stored.parts[1] = encode(&state_of(1_000, 26)).parts[1].clone(), hash),
        (
            "another number",
            |stored| stored.seq = stored.seq.next(),
            SnapshotError::Damaged("it is stored under another number than its own"),
        ),
    ];
    let whole = stored();
    for (case, damage, error) in table {
        let mut damaged = whole.clone();
        damage(&mut damaged);
        assert_eq!(decode(&damaged), Err(error), "{case}");
    }
}

#[test]
fn another_format_is_told_from_damage() {
    for found in [0, SNAPSHOT_FORMAT + 1, 255] {
        let mut other = stored();
        other.parts.iter_mut().for_each(|part| part[0] = found);
        assert_eq!(decode(&other), Err(SnapshotError::Format { found }));
    }
}

proptest! {
    /// Every single flipped bit is noticed: in the headers (the first 46 bytes) and in the bodies.
    #[test]
    fn a_flipped_bit_is_noticed(part in 0..3_usize, in_header: bool, at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut damaged = stored();
        let bytes = &mut damaged.parts[part];
        let length = if in_header { 46 } else { bytes.len() };
        bytes[at.index(length)] ^= 1 << bit;
        prop_assert!(decode(&damaged).is_err());
    }
}

/// Writes of these devices in turn, one batch each; returns the heads at which the room took a snapshot.
fn snapshots_of(room: &mut TestRoom, devices: usize, heads: u64) -> Vec<u64> {
    let taken = room.log.snapshots.len();
    for n in 1.. {
        for number in 0..devices {
            if room.log.head() >= Seq::new(heads) {
                return room.log.snapshots[taken..].iter().map(|snapshot| snapshot.seq.get()).collect();
            }
            room.write(send(&device("crowd", &format!("d{number}")), n, "hello"));
        }
    }
    unreachable!("the room grows")
}

#[test]
fn a_small_room_is_snapshotted_every_thousand_entries() {
    let mut room = TestRoom::new();
    assert_eq!(snapshots_of(&mut room, 1, 3_500), [1_000, 2_000, 3_000]);
    let last = room.log.snapshots.last().unwrap();
    assert_eq!(room.log.replay_from(last), *room.core.committed());
}

/// The 999 writes that the first snapshot holds let the log grow by four times as much before the second.
#[test]
fn a_large_room_is_snapshotted_when_it_has_grown_by_four_times_the_snapshot() {
    let mut room = TestRoom::new();
    assert_eq!(snapshots_of(&mut room, 2_000, 5_500), [1_000, 1_000 + 4 * 999]);
}

#[test]
fn the_next_owner_counts_from_the_newest_snapshot() {
    let mut room = TestRoom::new();
    assert_eq!(snapshots_of(&mut room, 1, 1_700), [1_000]);
    room.activate();
    for n in 1_700..=2_000 {
        room.write(send(&device("crowd", "d0"), n, "hello"));
    }
    assert_eq!(room.log.snapshots.last().unwrap().seq, Seq::new(2_000));
    assert_eq!(room.log.snapshots.len(), 2);
}

#[test]
fn redactions_are_remembered_for_so_many_entries() {
    let mut state = state_of(1, 2);
    let mut log = vec![(Kind::Redact, Some(Seq::new(1)))];
    log.extend((1..REDACTIONS_REMEMBERED_ENTRIES).map(|_| (Kind::Message, None)));
    for (kind, target) in log {
        state.apply(&Entry { kind, target, ..next_entry(&state, &ann(), state.head.get()) });
    }
    let edit =
        |state: &RoomState| Entry { kind: Kind::Edit, target: Some(Seq::new(1)), ..next_entry(state, &bob(), 1) };
    let leaves_a_trace = |state: &RoomState| {
        let (mut live, mut replayed) = (state.clone(), decode(&encode(state)).unwrap());
        live.apply(&edit(state));
        replayed.apply(&Entry { salt: None, ..edit(state) });
        live != replayed
    };
    assert!(!leaves_a_trace(&state));
    state.apply(&next_entry(&state, &ann(), state.head.get()));
    assert!(leaves_a_trace(&state));
}

#[test]
fn a_snapshot_is_of_the_committed_state_alone() {
    let mut room = TestRoom::with_writes(2);
    room.submit(send(&ann(), 3, "in flight"));
    room.handle(Input::Drain { goes_on: false });
    let effects = room.reject_full();
    assert_eq!(super::test_room::stopped(&effects), Some(StopReason::Drained));
    assert_eq!(room.log.snapshots, [encode(&room.log.replay())]);
    assert_eq!(room.log.snapshots[0].seq, Seq::new(3));
    assert_eq!(room.log.entry(Seq::new(3)).unwrap().body, Some(text("text 2")));
}
