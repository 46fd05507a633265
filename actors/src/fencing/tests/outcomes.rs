//! Appends of which nobody knows what became.

use rollcall_protocol::Seq;

use super::desk::*;
use crate::fencing::{Answer, Effect, Statement, Stop, Writer};

/// An owner with numbers 2 and 3 in flight, and 4 behind them.
fn in_flight() -> Desk {
    let mut desk = Desk::owner(1);
    let batch = messages(2, 3, 2);
    assert_eq!(desk.append(1, &batch), [run(a(2, &batch))]);
    assert_eq!(desk.append(2, &messages(4, 4, 2)), []);
    desk
}

fn resend(attempt: u32) -> Effect {
    again(a(2, &messages(2, 3, 2)), attempt)
}

fn next() -> Effect {
    run(a(2, &messages(4, 4, 2)))
}

fn writers(from: &[(u64, u64, u128)]) -> Answer {
    let writer = |&(seq, epoch, owner): &_| Writer { seq: Seq::new(seq), fence: fence(epoch, owner) };
    Answer::Writers(from.iter().map(writer).collect())
}

fn ask() -> Effect {
    run(Statement::ReadWriters { bucket: 0, after: Seq::new(1), through: Seq::new(3) })
}

#[test]
fn the_identical_batch_is_sent_again() {
    let mut desk = in_flight();
    desk.play([
        (unknown(), vec![resend(1)]),
        (unknown(), vec![resend(2)]),
        // From the second attempt on an error says nothing, whichever it is.
        (refused(), vec![resend(3)]),
        (Answer::Applied, vec![committed(1), next()]),
    ]);
}

#[test]
fn our_fence_with_our_last_number_shows_that_an_earlier_copy_won() {
    let mut desk = in_flight();
    desk.play([(unknown(), vec![resend(1)]), (not_applied(2, ME, 3), vec![committed(1), next()])]);
    // Also where the store itself sent a copy, and never said so.
    in_flight().play([(not_applied(2, ME, 3), vec![committed(1), next()])]);
}

#[test]
fn an_error_that_is_definite_at_the_first_attempt_refuses_what_builds_on_it_too() {
    let mut desk = in_flight();
    desk.play([(refused(), vec![refused_append(1, "unauthorized"), refused_append(2, "unauthorized")])]);
    let batch = messages(2, 2, 2);
    assert_eq!(desk.append(3, &batch), [run(a(2, &batch))], "the numbers are free");
}

#[test]
fn another_owner_over_our_last_number_is_a_definite_failure() {
    for attempts in [0, 1, 3] {
        let mut desk = in_flight();
        for attempt in 0..attempts {
            assert_eq!(desk.answer(unknown()), [resend(attempt + 1)]);
        }
        desk.play([(not_applied(3, 2, 1), vec![fenced(1), STOP_FENCED].into_iter().collect())].map(
            |(answer, effects): (_, Vec<Effect>)| (answer, [&effects[..1], &[fenced(2)], &effects[1..]].concat()),
        ));
        assert!(desk.machine.is_stopped());
    }
}

#[test]
fn another_owner_beyond_our_numbers_is_asked_who_wrote_them() {
    let both = vec![fenced(1), fenced(2), STOP_FENCED];
    let cases = [
        (writers(&[(2, 2, ME), (3, 2, ME)]), vec![committed(1), fenced(2), STOP_FENCED]),
        (writers(&[(2, 3, 2), (3, 3, 2)]), both.clone()),
        (writers(&[(2, 3, 2)]), both.clone()),
        // The same owner's name under another epoch is another fence.
        (writers(&[(2, 3, ME), (3, 3, ME)]), both),
        // Deleted below a floor, so nobody can tell.
        (writers(&[]), vec![lost(1, LATE), fenced(2), Effect::Stop(Stop::OutcomeUnknown)]),
    ];
    for (answer, expected) in cases {
        let mut desk = in_flight();
        desk.play([
            (unknown(), vec![resend(1)]),
            (not_applied(3, 2, 3), vec![ask()]),
            (unknown(), vec![again(Statement::ReadWriters { bucket: 0, after: Seq::new(1), through: Seq::new(3) }, 1)]),
            (answer, expected),
        ]);
    }
}

#[test]
fn answers_that_no_protocol_leads_to_are_damage() {
    let damaged =
        |reason: &str| vec![lost(1, &format!("the log is damaged: {reason}")), fenced(2), stop_damaged(reason)];
    let cases = [
        (Answer::NotApplied(None), damaged("the fence of a bucket is gone")),
        (not_applied(2, ME, 1), damaged("after 1 the bucket ends with 1 under our own fence")),
        (not_applied(2, ME, 2), damaged("after 1 the bucket ends with 2 under our own fence")),
        (Answer::Garbled("last_seq is -1".into()), damaged("last_seq is -1")),
    ];
    for (answer, expected) in cases {
        let mut desk = in_flight();
        desk.clone().play([(answer.clone(), expected.clone())]);
        desk.play([(unknown(), vec![resend(1)]), (answer, expected)]);
    }
    let mut desk = in_flight();
    desk.answer(not_applied(3, 2, 3));
    desk.play([(writers(&[(2, 2, ME)]), damaged("1 of 2 entries after 1 are there"))]);
}

#[test]
fn after_the_deadline_the_outcome_stays_unknown_and_the_ownership_ends() {
    let mut sent = in_flight();
    let stop = Effect::Stop(Stop::OutcomeUnknown);
    assert_eq!(sent.clone().deadline(1), [lost(1, LATE), fenced(2), stop.clone()]);
    sent.answer(unknown());
    assert_eq!(sent.deadline(1), [lost(1, "timed out"), fenced(2), stop.clone()]);
    // The answer comes after all.
    assert_eq!(sent.answer(Answer::Applied), []);
    assert_eq!(sent.append(3, &messages(2, 2, 2)), [fenced(3)], "its numbers are never used again");

    let mut asking = in_flight();
    asking.answer(not_applied(3, 2, 3));
    assert_eq!(asking.deadline(1), [lost(1, LATE), fenced(2), stop]);
}

#[test]
fn what_was_not_sent_is_refused_at_its_deadline() {
    let mut desk = in_flight();
    assert_eq!(desk.deadline(2), [refused_append(2, LATE)]);
    assert_eq!(desk.deadline(2), []);
    let batch = messages(4, 4, 2);
    assert_eq!(desk.append(3, &batch), []);
    desk.play([(Answer::Applied, vec![committed(1), run(a(2, &batch))])]);
}
