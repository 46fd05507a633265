//! The ring by example: what a cursor gets, and what stays in memory.

use rollcall_protocol::{Epoch, Format, Incoming};

use crate::shell::tail::*;
use crate::shell::test_entries::TestEntries;

const ALL: usize = usize::MAX;

/// Three frames: 11 to 13, 14, 15 to 16; the room had ten entries when it was activated.
fn tail() -> (Arc<Tail>, TestEntries) {
    let mut room = TestEntries::new();
    let tail = Tail::new(room.room.clone(), RingLimits { entries_max: 256, bytes_max: 1024 * 1024 });
    room.head = Seq::new(10);
    tail.begin(room.head);
    for count in [3, 1, 2] {
        tail.push(room.messages(count).into());
    }
    (tail, room)
}

/// What a pull gave, in short: the ranges of its frames.
#[derive(Debug, PartialEq)]
enum Got {
    Frames(Vec<(u64, u64)>),
    Nothing,
    Behind(u64),
    Ended,
}

fn pull(tail: &Tail, cursor: u64, frames_max: usize, bytes_max: usize) -> Got {
    match tail.pull(Seq::new(cursor), frames_max, bytes_max) {
        Pulled::Frames(frames) => {
            Got::Frames(frames.iter().map(|frame| (frame.first().get(), frame.last().get())).collect())
        }
        Pulled::Nothing => Got::Nothing,
        Pulled::Behind(head) => Got::Behind(head.get()),
        Pulled::Ended(_) => Got::Ended,
    }
}

#[test]
fn each_cursor_gets_what_lies_past_it() {
    let (tail, _) = tail();
    for behind in 0..10 {
        assert_eq!(pull(&tail, behind, ALL, ALL), Got::Behind(16), "{behind} lies before the ring");
    }
    for cursor in [10, 11, 12] {
        assert_eq!(pull(&tail, cursor, ALL, ALL), Got::Frames(vec![(11, 13), (14, 14), (15, 16)]), "after {cursor}");
    }
    assert_eq!(pull(&tail, 13, ALL, ALL), Got::Frames(vec![(14, 14), (15, 16)]));
    for cursor in [14, 15] {
        assert_eq!(pull(&tail, cursor, ALL, ALL), Got::Frames(vec![(15, 16)]), "after {cursor}");
    }
    for cursor in [16, 17, rollcall_protocol::NUMBER_MAX] {
        assert_eq!(pull(&tail, cursor, ALL, ALL), Got::Nothing, "{cursor} is at or beyond the head");
    }
    tail.end(TailEnd::Moved);
    for cursor in [0, 12, 16, 99] {
        assert_eq!(pull(&tail, cursor, ALL, ALL), Got::Ended);
    }
}

#[test]
fn a_tail_without_frames_has_nothing_or_is_behind() {
    let tail = Tail::new(TestEntries::new().room, RingLimits { entries_max: 1, bytes_max: 1 });
    assert_eq!(pull(&tail, 0, ALL, ALL), Got::Nothing, "nobody wrote to the room");
    tail.begin(Seq::new(5));
    assert_eq!(pull(&tail, 4, ALL, ALL), Got::Behind(5));
    assert_eq!(pull(&tail, 5, ALL, ALL), Got::Nothing);
}

#[test]
fn a_pull_stops_at_its_limits_and_gives_one_frame_at_least() {
    let (tail, _) = tail();
    assert_eq!(pull(&tail, 10, 2, ALL), Got::Frames(vec![(11, 13), (14, 14)]));
    let first = 3 * r#"{"text":"11"}"#.len();
    assert_eq!(pull(&tail, 10, ALL, first), Got::Frames(vec![(11, 13)]));
    assert_eq!(pull(&tail, 10, ALL, first + 1), Got::Frames(vec![(11, 13), (14, 14)]));
    for (frames_max, bytes_max) in [(1, ALL), (ALL, 1), (0, ALL), (ALL, 0), (0, 0)] {
        assert_eq!(pull(&tail, 12, frames_max, bytes_max), Got::Frames(vec![(11, 13)]), "{frames_max}, {bytes_max}");
    }
}

#[test]
fn frames_without_bodies_weigh_nothing_and_still_come_one_by_one() {
    let mut room = TestEntries::new();
    let tail = Tail::new(room.room.clone(), RingLimits { entries_max: 256, bytes_max: 1 });
    for _ in 0..3 {
        tail.push(vec![room.redact(99)].into());
    }
    assert_eq!(pull(&tail, 0, ALL, 0), Got::Frames(vec![(1, 1)]));
    assert_eq!(pull(&tail, 0, ALL, 1), Got::Frames(vec![(1, 1), (2, 2), (3, 3)]));
}

#[test]
fn the_ring_keeps_its_limit_of_entries() {
    let mut room = TestEntries::new();
    let tail = Tail::new(room.room.clone(), RingLimits { entries_max: 5, bytes_max: ALL });
    for count in [2, 2, 1] {
        tail.push(room.messages(count).into());
    }
    assert_eq!(pull(&tail, 0, ALL, ALL), Got::Frames(vec![(1, 2), (3, 4), (5, 5)]));
    tail.push(room.messages(1).into());
    assert_eq!(pull(&tail, 1, ALL, ALL), Got::Behind(6));
    assert_eq!(pull(&tail, 2, ALL, ALL), Got::Frames(vec![(3, 4), (5, 5), (6, 6)]));
    tail.push(room.messages(9).into());
    assert_eq!(pull(&tail, 5, ALL, ALL), Got::Behind(15));
    assert_eq!(pull(&tail, 6, ALL, ALL), Got::Frames(vec![(7, 15)]), "the last frame always stays");
}

#[test]
fn the_ring_keeps_its_limit_of_bytes() {
    let mut room = TestEntries::new();
    let one = room.message("0123456789").weight_bytes();
    room.head = Seq::ZERO;
    let tail = Tail::new(room.room.clone(), RingLimits { entries_max: 256, bytes_max: 3 * one });
    for _ in 0..4 {
        tail.push(vec![room.message("0123456789")].into());
    }
    assert_eq!(pull(&tail, 0, ALL, ALL), Got::Behind(4));
    assert_eq!(pull(&tail, 1, ALL, ALL), Got::Frames(vec![(2, 2), (3, 3), (4, 4)]));
    tail.push(vec![room.message(&"x".repeat(9 * one))].into());
    assert_eq!(pull(&tail, 4, ALL, ALL), Got::Frames(vec![(5, 5)]), "the last frame always stays");
    tail.push(vec![room.redact(5)].into());
    assert_eq!(pull(&tail, 4, ALL, ALL), Got::Behind(6), "it goes when another came");
}

#[test]
fn what_a_redaction_frees_is_free_for_others() {
    let mut room = TestEntries::new();
    let large = room.message(&"x".repeat(1_000)).weight_bytes();
    room.head = Seq::ZERO;
    let tail = Tail::new(room.room.clone(), RingLimits { entries_max: 256, bytes_max: 2 * large });
    for entry in [room.message(&"x".repeat(1_000)), room.message(&"x".repeat(1_000)), room.redact(2)] {
        tail.push(vec![entry].into());
    }
    tail.push(vec![room.message(&"y".repeat(1_000))].into());
    assert_eq!(pull(&tail, 0, ALL, ALL), Got::Frames(vec![(1, 1), (2, 2), (3, 3), (4, 4)]));
}

#[test]
fn entries_are_found_while_they_lie_in_the_ring() {
    let (tail, _) = tail();
    let found: Vec<Option<u64>> = (0..=18).map(|seq| tail.find(Seq::new(seq), |entry| entry.seq.get())).collect();
    let expected: Vec<Option<u64>> = (0..=18).map(|seq| Some(seq).filter(|seq| (11..=16).contains(seq))).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_redacted_body_is_never_given_out_again() {
    let (tail, mut room) = tail();
    tail.push(vec![room.message("secret one"), room.message("public")].into());
    tail.push(vec![room.edit(17, "secret two")].into());
    let given_before = frames(&tail, 16);
    assert!(given_before.iter().any(|frame| shows_secret(frame, 16)));
    // One more edit of it shares the redaction's own batch.
    tail.push(vec![room.redact(17), room.edit(17, "secret three"), room.redact(14)].into());
    for cursor in 13..22 {
        for frame in frames(&tail, cursor) {
            assert!(!shows_secret(&frame, cursor), "{} to {} after {cursor}", frame.first(), frame.last());
        }
    }
    let redacted: Vec<bool> = (14..=22).map(|seq| tail.find(Seq::new(seq), Entry::is_redacted).unwrap()).collect();
    assert_eq!(redacted, [true, false, false, true, false, true, false, true, false]);
    let untouched = &frames(&tail, 14)[0];
    let again = &frames(&tail, 14)[0];
    assert!(Arc::ptr_eq(untouched, again), "a frame that holds nothing of it stays as it is encoded");
}

fn frames(tail: &Tail, cursor: u64) -> Vec<Arc<Frame>> {
    match tail.pull(Seq::new(cursor), ALL, ALL) {
        Pulled::Frames(frames) => frames,
        other => panic!("no frames after {cursor}: {other:?}"),
    }
}

fn shows_secret(frame: &Frame, cursor: u64) -> bool {
    let cursor = Seq::new(cursor).max(frame.first().previous());
    Format::ALL.into_iter().any(|format| frame.bytes_after(cursor, format).windows(6).any(|part| part == b"secret"))
}

/// What a replica has repaired from the log may begin under one owner and end under the next.
#[test]
fn what_is_shown_at_once_is_told_under_the_epochs_that_it_was_written_under() {
    let (tail, mut room) = tail();
    let mut entries = room.messages(2);
    room.epoch = room.epoch.next();
    entries.extend(room.messages(1));
    let epochs: Vec<Epoch> = entries.iter().map(|entry| entry.epoch).collect();
    tail.push(entries.into());
    let Pulled::Frames(frames) = tail.pull(Seq::new(16), ALL, ALL) else { panic!("nothing is shown") };
    let told = frames.iter().flat_map(|frame| {
        let bytes = frame.bytes_after(frame.first().previous(), Format::Json);
        let Ok(Incoming::Entries(told)) = Format::Json.decode(&bytes) else { panic!("not a frame of entries") };
        told.list.iter().map(|_| told.epoch).collect::<Vec<_>>()
    });
    assert_eq!(told.collect::<Vec<_>>(), epochs);
}
