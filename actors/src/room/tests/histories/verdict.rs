//! What must hold of every history, found from the log and the answers alone.

use std::collections::BTreeMap;

use rollcall_protocol::{Ack, Entry, Seq};

use super::world::{Copy, World};
use crate::room::tests::test_log::TestLog;
use crate::room::{Refusal, RoomState, SenderKey, snapshot};

/// Finishes a history and judges it.
pub fn judge(mut world: World) {
    world.commit_all();
    let stored = numbers_of_each_device(&world.room.log);
    let mut copies: BTreeMap<(&SenderKey, u64), Vec<&Copy>> = BTreeMap::new();
    for copy in &world.copies {
        if let Some(key) = &copy.key {
            copies.entry((key, copy.n)).or_default().push(copy);
        }
    }
    for ((key, n), copies) in copies {
        let entry = stored.get(&(key.clone(), n)).map(|&seq| world.room.log.entry(seq).unwrap());
        for copy in &copies {
            judge_answer(copy, entry);
        }
        if let [copy] = copies.as_slice() {
            judge_only_copy(copy, entry);
        }
    }
    judge_snapshots(&world);
}

/// Checks that each device's n rise with the numbers of the room, which shows that each has one at most.
fn numbers_of_each_device(log: &TestLog) -> BTreeMap<(SenderKey, u64), Seq> {
    let mut last_n: BTreeMap<SenderKey, u64> = BTreeMap::new();
    let mut numbers = BTreeMap::new();
    for (entry, seq) in log.entries.iter().zip(1..) {
        assert_eq!(entry.seq, Seq::new(seq), "numbers are contiguous");
        let Some(device) = entry.device.clone() else { continue };
        let key = SenderKey { user: entry.sender.clone(), device };
        let before = last_n.insert(key.clone(), entry.n).unwrap_or(0);
        assert!(before < entry.n, "a device's writes are in its order: {before} before {}", entry.n);
        numbers.insert((key, entry.n), entry.seq);
    }
    numbers
}

fn judge_answer(copy: &Copy, entry: Option<&Entry>) {
    let is_same = |entry: &Entry| entry.target == copy.target && entry.body == copy.body;
    match &copy.answer {
        Some(Ok(Ack { seq, .. })) => {
            let entry = entry.expect("what was acknowledged is stored");
            assert_eq!(entry.seq, *seq, "a write has one number");
            assert!(entry.is_redacted() || is_same(entry), "with its content");
        }
        Some(Err(Refusal::Conflict)) => {
            let entry = entry.expect("there is something to be in conflict with");
            assert!(entry.is_redacted() || !is_same(entry), "another content has the number");
        }
        Some(Err(Refusal::Skipped)) => assert_eq!(entry, None, "what was passed over is never stored"),
        Some(Err(Refusal::TooOld)) => {
            assert!(entry.is_none_or(|entry| entry.seq <= copy.head), "what is too old is not stored any more");
        }
        Some(Err(_)) | None => {}
    }
}

fn judge_only_copy(copy: &Copy, entry: Option<&Entry>) {
    let may_be_stored = matches!(copy.answer, Some(Ok(_) | Err(Refusal::OutcomeUnknown)) | None);
    assert!(may_be_stored || entry.is_none(), "{:?} says that the only copy is not stored", copy.answer);
}

/// Checks that every snapshot with what follows it, and one written and read after every single entry, give what all entries
/// give, byte for byte.
fn judge_snapshots(world: &World) {
    let log = &world.room.log;
    let whole = log.replay();
    let bytes = snapshot::encode(&whole);
    for stored in &world.snapshots {
        let state = log.replay_from(stored);
        assert!(state == whole && snapshot::encode(&state) == bytes, "the snapshot at {} gives the state", stored.seq);
    }
    let mut state = RoomState::empty(&log.room);
    for entry in &log.entries {
        state.apply(entry);
        state = snapshot::decode(&snapshot::encode(&state)).unwrap();
    }
    assert!(state == whole, "a snapshot at every entry gives the state");
}
