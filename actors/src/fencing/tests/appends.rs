//! Appends that meet no trouble, and buckets that fill up.

use std::sync::Arc;

use super::desk::*;
use crate::fencing::{Answer, Stop};

#[test]
fn one_append_is_in_flight_and_the_others_follow_in_order() {
    let mut desk = Desk::owner(1);
    let batches = [messages(2, 2, 2), messages(3, 3, 2), messages(4, 4, 2)];
    assert_eq!(desk.append(1, &batches[0]), [run(a(2, &batches[0]))]);
    assert_eq!(desk.append(2, &batches[1]), []);
    assert_eq!(desk.append(3, &batches[2]), []);
    desk.play([
        (Answer::Applied, vec![committed(1), run(a(2, &batches[1]))]),
        (Answer::Applied, vec![committed(2), run(a(2, &batches[2]))]),
        (Answer::Applied, vec![committed(3), run(c(1, 2))]),
    ]);
}

#[test]
fn an_append_that_does_not_follow_the_last_one_is_fenced_and_nothing_else_happens() {
    let mut desk = Desk::owner(1);
    for (first, last, epoch) in [(3, 3, 2), (1, 1, 2), (2, 3, 1)] {
        assert_eq!(desk.append(1, &messages(first, last, epoch)), [fenced(1)]);
    }
    let batch = messages(2, 3, 2);
    assert_eq!(desk.append(2, &batch), [run(a(2, &batch))]);
    assert_eq!(desk.append(3, &batch), [fenced(3)]);
}

#[test]
#[should_panic(expected = "an append is of one bucket")]
fn an_append_across_buckets_is_a_fault_of_the_caller() {
    Desk::owner(1).append(1, &messages(2, 5, 2));
}

#[test]
#[should_panic(expected = "an append has no gap")]
fn an_append_with_a_gap_is_a_fault_of_the_caller() {
    let entries = [messages(2, 2, 2), messages(4, 4, 2)].concat();
    Desk::owner(1).append(1, &Arc::from(entries));
}

#[test]
fn the_first_write_makes_the_room() {
    let mut desk = Desk::empty();
    let (first, second) = (messages(1, 2, 1), messages(3, 3, 1));
    assert_eq!(desk.append(1, &first), [run(c(0, 1))]);
    assert_eq!(desk.append(2, &second), []);
    desk.play([
        (Answer::Applied, vec![run(a(1, &first))]),
        (Answer::Applied, vec![committed(1), run(a(1, &second))]),
        (Answer::Applied, vec![committed(2)]),
    ]);
}

#[test]
fn another_one_may_make_the_room_first() {
    let mut desk = Desk::empty();
    desk.append(1, &messages(1, 1, 1));
    desk.append(2, &messages(2, 2, 1));
    desk.play([(not_applied(1, 1, 0), vec![fenced(1), fenced(2), STOP_FENCED])]);
}

#[test]
fn the_next_bucket_is_opened_when_one_is_full() {
    let mut desk = Desk::owner(2);
    let (fills, next) = (messages(3, 4, 2), messages(5, 6, 2));
    assert_eq!(desk.append(1, &fills), [run(a(2, &fills))]);
    desk.play([(Answer::Applied, vec![committed(1), run(c(1, 2))])]);
    assert_eq!(desk.append(2, &next), [], "it waits for its bucket");
    desk.play([(Answer::Applied, vec![run(a(2, &next))]), (Answer::Applied, vec![committed(2)])]);
}

#[test]
fn who_finds_another_owner_in_the_next_bucket_is_fenced() {
    let mut desk = Desk::owner(3);
    desk.append(1, &messages(4, 4, 2));
    desk.append(2, &messages(5, 5, 2));
    desk.play([
        (Answer::Applied, vec![committed(1), run(c(1, 2))]),
        (not_applied(3, 2, 4), vec![fenced(2), STOP_FENCED]),
    ]);
    assert_eq!(desk.append(3, &messages(5, 5, 2)), [fenced(3)]);
}

#[test]
fn an_unknown_creation_is_sent_again_until_it_is_answered() {
    let mut desk = Desk::owner(3);
    desk.append(1, &messages(4, 4, 2));
    desk.play([
        (Answer::Applied, vec![committed(1), run(c(1, 2))]),
        (unknown(), vec![again(c(1, 2), 1)]),
        (unknown(), vec![again(c(1, 2), 2)]),
        // The first copy was applied.
        (not_applied(2, ME, 4), vec![]),
    ]);
    let batch = messages(5, 5, 2);
    assert_eq!(desk.append(2, &batch), [run(a(2, &batch))]);
}

#[test]
fn a_bucket_that_is_there_as_nobody_made_it_is_damage() {
    for answer in [Answer::NotApplied(None), not_applied(2, ME, 5)] {
        let mut desk = Desk::owner(3);
        desk.append(1, &messages(4, 4, 2));
        desk.answer(Answer::Applied);
        desk.append(2, &messages(5, 5, 2));
        let effects = desk.answer(answer);
        assert_eq!(effects[0], fenced(2));
        assert!(matches!(&effects[1..], [crate::fencing::Effect::Stop(Stop::Damaged(_))]), "{effects:?}");
    }
}

#[test]
fn what_waits_for_a_bucket_is_refused_at_its_deadline_and_may_be_tried_again() {
    let mut desk = Desk::empty();
    let batch = messages(1, 1, 1);
    desk.append(1, &batch);
    desk.append(2, &messages(2, 2, 1));
    desk.append(3, &messages(3, 3, 1));
    desk.play([(unknown(), vec![again(c(0, 1), 1)])]);
    // The later ones build on the second.
    assert_eq!(desk.deadline(2), [refused_append(2, LATE), refused_append(3, LATE)]);
    assert_eq!(desk.deadline(3), []);
    assert_eq!(desk.deadline(1), [refused_append(1, LATE)]);
    assert_eq!(desk.append(4, &batch), []);
    desk.play([(Answer::Applied, vec![run(a(1, &batch))])]);
}

#[test]
fn a_refused_creation_is_tried_again_with_the_next_append() {
    let mut desk = Desk::empty();
    let batch = messages(1, 1, 1);
    desk.append(1, &batch);
    desk.play([(refused(), vec![refused_append(1, "unauthorized")])]);
    assert_eq!(desk.append(2, &batch), [run(c(0, 1))]);
}
