//! Activation.

use rollcall_protocol::{Epoch, Kind, OwnerId, Seq};

use super::desk::*;
use crate::fencing::{Answer, Effect, FloorRow, Start, Statement, Stop};

fn start(epoch: u64, snapshot: u64, hint: u64) -> Start {
    Start { owner: OwnerId(ME), epoch: Epoch::new(epoch), snapshot: Seq::new(snapshot), hint }
}

fn rows(bucket: u64, after: u64, through: u64) -> Effect {
    run(Statement::ReadRows { bucket, after: Seq::new(after), through: Seq::new(through) })
}

fn floor(floor: u64) -> Answer {
    Answer::Floor(Some(FloorRow { floor: Seq::new(floor), swept: 0 }))
}

#[test]
fn a_room_that_nobody_wrote_to_is_owned_without_a_write() {
    let (mut desk, effects) = Desk::begin(0);
    assert_eq!(effects, [run(r(0))]);
    desk.play([(NOBODY, vec![activated_empty(1)])]);
    let (mut desk, _) = Desk::begin_with(start(9, 0, 0));
    desk.play([(NOBODY, vec![activated_empty(9)])]);
}

#[test]
fn another_owner_is_fenced_and_the_fence_read_again() {
    let (mut desk, effects) = Desk::begin(0);
    assert_eq!(effects, [run(r(0))]);
    desk.play([
        (found(5, 1, 2), vec![run(f(0, fence(5, 1), 6))]),
        (Answer::Applied, vec![run(r(0))]),
        // The old owner had one more append applied before the fence.
        (found(6, ME, 3), vec![rows(0, 0, 3)]),
        (plain_rows(1, 3), vec![activated(6, 3, fence(5, 1))]),
    ]);
}

#[test]
fn the_epoch_is_above_every_one_that_was_read_and_at_least_the_one_given() {
    for (given, read, expected) in [(0, 5, 6), (3, 5, 6), (6, 5, 6), (7, 5, 7), (100, 5, 100)] {
        let (mut desk, _) = Desk::begin_with(start(given, 0, 0));
        assert_eq!(desk.answer(found(read, 1, 2)), [run(f(0, fence(read, 1), expected))], "{given}, {read}");
    }
    // A lower bucket may have a higher epoch than the last one: its fence's owner never came further.
    let (mut desk, _) = Desk::begin(0);
    desk.play([(found(9, 1, 4), vec![run(r(1))]), (found(5, 2, 6), vec![run(f(1, fence(5, 2), 10))])]);
}

#[test]
fn a_fence_that_was_not_applied_is_read_again() {
    let (mut desk, _) = Desk::begin(0);
    desk.play([
        (found(5, 1, 2), vec![run(f(0, fence(5, 1), 6))]),
        (Answer::NotApplied(None), vec![run(r(0))]),
        (found(8, 2, 3), vec![run(f(0, fence(8, 2), 9))]),
        (not_applied(8, 2, 3), vec![run(r(0))]),
        (found(8, 2, 3), vec![run(f(0, fence(8, 2), 9))]),
        (Answer::Applied, vec![run(r(0))]),
        (found(9, ME, 3), vec![rows(0, 0, 3)]),
    ]);
}

#[test]
fn what_became_of_an_unknown_fence_is_read() {
    let before = [(found(5, 1, 2), vec![run(f(0, fence(5, 1), 6))]), (unknown(), vec![run(r(0))])];
    let (mut desk, _) = Desk::begin(0);
    desk.play(before);
    let mut applied = desk.clone();
    applied.play([(found(6, ME, 2), vec![rows(0, 0, 2)])]);
    // Not yet: the same again, and only one of the two copies can be applied.
    desk.play([(found(5, 1, 2), vec![run(f(0, fence(5, 1), 6))]), (not_applied(6, ME, 2), vec![run(r(0))])]);
    desk.play([(found(6, ME, 2), vec![rows(0, 0, 2)])]);
}

#[test]
fn an_activation_that_is_overtaken_ends() {
    let (mut desk, _) = Desk::begin(0);
    desk.play([
        (found(5, 1, 2), vec![run(f(0, fence(5, 1), 6))]),
        (Answer::Applied, vec![run(r(0))]),
        (found(7, 2, 2), vec![STOP_FENCED]),
    ]);
    assert!(desk.machine.is_stopped());
    assert_eq!(desk.append(1, &messages(3, 3, 6)), [fenced(1)]);
}

#[test]
fn an_earlier_activation_of_the_same_name_is_fenced_like_any_other() {
    let (mut desk, _) = Desk::begin(0);
    desk.play([
        (found(5, ME, 2), vec![run(f(0, fence(5, ME), 6))]),
        (Answer::Applied, vec![run(r(0))]),
        (found(6, ME, 2), vec![rows(0, 0, 2)]),
    ]);
    // Also where it is met further up.
    let (mut desk, _) = Desk::begin(0);
    desk.play([
        (found(5, 1, 3), vec![run(f(0, fence(5, 1), 6))]),
        (Answer::Applied, vec![run(r(0))]),
        (found(6, ME, 4), vec![run(r(1))]),
        (found(5, ME, 5), vec![run(f(1, fence(5, ME), 6))]),
    ]);
}

#[test]
fn a_full_bucket_is_fenced_too_and_leads_to_the_next() {
    let (mut desk, _) = Desk::begin(0);
    desk.play([
        (found(5, 1, 3), vec![run(f(0, fence(5, 1), 6))]),
        (Answer::Applied, vec![run(r(0))]),
        (found(6, ME, 4), vec![run(r(1))]),
        // It was opened meanwhile.
        (found(5, 1, 5), vec![run(f(1, fence(5, 1), 6))]),
        (Answer::Applied, vec![run(r(1))]),
        (found(6, ME, 8), vec![run(r(2))]),
        (NOBODY, vec![run(c(2, 6))]),
        (Answer::Applied, vec![rows(0, 0, 4)]),
        (plain_rows(1, 4), vec![rows(1, 4, 8)]),
        (plain_rows(5, 8), vec![activated(6, 8, fence(5, 1))]),
    ]);
}

#[test]
fn the_creation_of_a_bucket_that_is_not_applied_or_unknown_is_read() {
    let (mut desk, _) = Desk::begin_with(start(0, 4, 0));
    desk.play([
        (found(5, 1, 4), vec![run(r(1))]),
        (NOBODY, vec![run(f(0, fence(5, 1), 6))]),
        (Answer::Applied, vec![run(r(0))]),
        (found(6, ME, 4), vec![run(r(1))]),
        (NOBODY, vec![run(c(1, 6))]),
        (unknown(), vec![run(r(1))]),
        (NOBODY, vec![run(c(1, 6))]),
        (not_applied(8, 2, 4), vec![run(r(1))]),
    ]);
    let mut own = desk.clone();
    own.play([(found(6, ME, 4), vec![activated(6, 4, fence(5, 1))])]);
    desk.play([(found(8, 2, 5), vec![run(f(1, fence(8, 2), 9))])]);
}

#[test]
fn reads_are_tried_until_they_are_answered() {
    let (mut desk, _) = Desk::begin(3);
    desk.play([
        (unknown(), vec![again(r(3), 1)]),
        (unknown(), vec![again(r(3), 2)]),
        (NOBODY, vec![run(r(2))]),
        (unknown(), vec![again(r(2), 1)]),
    ]);
}

#[test]
fn what_the_store_refuses_ends_the_activation() {
    let unavailable = vec![Effect::Stop(Stop::Unavailable("unauthorized".to_owned()))];
    let (mut desk, _) = Desk::begin(0);
    desk.clone().play([(refused(), unavailable.clone())]);
    desk.play([(found(5, 1, 2), vec![run(f(0, fence(5, 1), 6))]), (refused(), unavailable)]);
}

#[test]
fn damage_ends_the_activation() {
    let own = [(found(5, 1, 2), vec![run(f(0, fence(5, 1), 6))]), (Answer::Applied, vec![run(r(0))])];
    let with = |answer: Answer, reason: &str| own.clone().into_iter().chain([(answer, vec![stop_damaged(reason)])]);
    let cases = [
        (start(0, 0, 0), vec![(Answer::Garbled("epoch is null".into()), vec![stop_damaged("epoch is null")])]),
        (start(0, 0, 0), with(NOBODY, "bucket 0 was there and is gone").collect()),
        (start(0, 0, 0), with(found(6, ME, 5), "bucket 0 cannot end with 5").collect()),
        (start(0, 3, 0), with(found(6, ME, 2), "there is a snapshot at 3, but the log ends with 2").collect()),
        (start(0, 3, 0), vec![(NOBODY, vec![stop_damaged("there is a snapshot at 3, but no entry")])]),
    ];
    for (start, script) in cases {
        Desk::begin_with(start).0.play(script);
    }
    for (answer, missing) in [(plain_rows(1, 1), 2), (plain_rows(2, 2), 1), (plain_rows(1, 0), 1)] {
        let (mut desk, _) = Desk::begin(0);
        desk.play(own.clone());
        desk.play([(found(6, ME, 2), vec![rows(0, 0, 2)])]);
        desk.play([(answer, vec![run(Statement::ReadFloor)]), (unknown(), vec![again(Statement::ReadFloor, 1)])]);
        for floor in [Answer::Floor(None), floor(missing)] {
            desk.clone().play([(floor, vec![stop_damaged(&format!("entry {missing} is missing"))])]);
        }
    }
}

#[test]
fn what_expired_meanwhile_was_finished() {
    let (mut desk, _) = Desk::begin_with(start(0, 1, 1));
    desk.play([
        (found(5, 1, 6), vec![run(f(1, fence(5, 1), 6))]),
        (Answer::Applied, vec![run(r(1))]),
        (found(6, ME, 6), vec![rows(0, 1, 4)]),
        (plain_rows(1, 0), vec![run(Statement::ReadFloor)]),
    ]);
    desk.clone().play([(floor(5), vec![rows(1, 4, 6)]), (plain_rows(5, 6), vec![activated(6, 6, fence(5, 1))])]);
    desk.clone().play([(floor(7), vec![activated(6, 6, fence(5, 1))])]);
    // Somebody must have come after us, to have written so far.
    desk.play([(floor(8), vec![STOP_FENCED])]);
}

#[test]
fn what_follows_the_snapshot_is_finished_in_order() {
    let (mut desk, effects) = Desk::begin_with(start(0, 2, 0));
    assert_eq!(effects, [run(r(0))]);
    let in_first = [entry(3, 1, Kind::Message, None), entry(4, 1, Kind::Edit, Some(1))];
    let in_second = [entry(5, 1, Kind::React, Some(1)), entry(6, 1, Kind::Redact, Some(1))];
    let seq = Seq::new;
    desk.play([
        (found(1, 1, 4), vec![run(r(1))]),
        (found(1, 1, 6), vec![run(f(1, fence(1, 1), 2))]),
        (Answer::Applied, vec![run(r(1))]),
        (found(2, ME, 6), vec![rows(0, 2, 4)]),
        (rows_of(&in_first), vec![rows(1, 4, 6)]),
        (rows_of(&in_second), vec![run(Statement::NoteEdit { target: seq(1), seq: seq(4) })]),
        (Answer::Done, vec![run(Statement::Redact { bucket: 0, seq: seq(1) })]),
        (unknown(), vec![again(Statement::Redact { bucket: 0, seq: seq(1) }, 1)]),
        (Answer::Applied, vec![run(Statement::ReadEdits { target: seq(1) })]),
        (Answer::Edits(vec![seq(4)]), vec![run(Statement::RedactEdit { bucket: 0, seq: seq(4), target: seq(1) })]),
        (Answer::Applied, vec![activated(2, 6, fence(1, 1))]),
    ]);
}

/// Whoever appended has finished all that was there before: however old the snapshot is, no more than a batch is looked at.
#[test]
fn no_more_than_the_last_batch_can_be_unfinished() {
    let (mut desk, _) = Desk::begin_with(start(0, 2, 249));
    desk.play([
        (found(1, 1, 998), vec![run(f(249, fence(1, 1), 2))]),
        (Answer::Applied, vec![run(r(249))]),
        (found(2, ME, 998), vec![rows(185, 742, 744)]),
    ]);
}

/// Whoever took the full bucket and has not come further is no owner, and neither is who was looked at but not replaced.
#[test]
fn the_last_fence_that_was_replaced_is_told() {
    let (mut desk, _) = Desk::begin(0);
    desk.play([
        (found(5, 1, 3), vec![run(f(0, fence(5, 1), 6))]),
        (Answer::NotApplied(None), vec![run(r(0))]),
        (found(6, 3, 4), vec![run(f(0, fence(6, 3), 7))]),
        (Answer::Applied, vec![run(r(0))]),
        (found(7, ME, 4), vec![run(r(1))]),
        (found(6, 2, 5), vec![run(f(1, fence(6, 2), 7))]),
        (unknown(), vec![run(r(1))]),
        (found(7, ME, 5), vec![rows(0, 0, 4)]),
        (plain_rows(1, 4), vec![rows(1, 4, 5)]),
        (plain_rows(5, 5), vec![activated(7, 5, fence(6, 2))]),
    ]);
}
