//! Edits and redactions.

use std::sync::Arc;

use rollcall_protocol::{Entry, Kind, Seq};

use super::desk::*;
use crate::fencing::{Answer, Effect, Looked, Statement, Stop};

fn look(seq: u64) -> Statement {
    Statement::LookAt { bucket: (seq - 1) / 4, seq: Seq::new(seq) }
}

fn note(target: u64, seq: u64) -> Statement {
    Statement::NoteEdit { target: Seq::new(target), seq: Seq::new(seq) }
}

fn redact(seq: u64) -> Statement {
    Statement::Redact { bucket: (seq - 1) / 4, seq: Seq::new(seq) }
}

fn redact_edit(seq: u64, target: u64) -> Statement {
    Statement::RedactEdit { bucket: (seq - 1) / 4, seq: Seq::new(seq), target: Seq::new(target) }
}

fn edits_of(target: u64) -> Statement {
    Statement::ReadEdits { target: Seq::new(target) }
}

fn edits(seqs: &[u64]) -> Answer {
    Answer::Edits(seqs.iter().copied().map(Seq::new).collect())
}

fn batch<const COUNT: usize>(entries: [Entry; COUNT]) -> Arc<[Entry]> {
    Arc::from(entries)
}

/// The numbers of the entries that are stored without a body.
fn hidden(effect: &Effect) -> Vec<u64> {
    let Effect::Run { statement: Statement::Append { entries, .. }, .. } = effect else { panic!("{effect:?}") };
    entries.iter().filter(|entry| entry.is_redacted()).map(|entry| entry.seq.get()).collect()
}

#[test]
fn an_edit_is_noted_after_its_commit_and_before_its_ack() {
    let mut desk = Desk::owner(9);
    let edit = batch([entry(10, 2, Kind::Edit, Some(3))]);
    assert_eq!(desk.append(1, &edit), [run(look(3))]);
    let next = messages(11, 11, 2);
    assert_eq!(desk.append(2, &next), []);
    desk.play([
        (unknown(), vec![again(look(3), 1)]),
        (Answer::Looked(Looked::Whole), vec![run(a(2, &edit))]),
        (Answer::Applied, vec![run(note(3, 10))]),
        (unknown(), vec![again(note(3, 10), 1)]),
        (refused(), vec![again(note(3, 10), 2)]),
        (Answer::Done, vec![committed(1), run(a(2, &next))]),
    ]);
}

#[test]
fn an_edit_of_what_was_redacted_is_stored_without_its_body() {
    for (looked, expected) in [(Looked::Redacted, vec![10]), (Looked::Whole, vec![]), (Looked::Absent, vec![])] {
        let mut desk = Desk::owner(9);
        desk.append(1, &batch([entry(10, 2, Kind::Edit, Some(3)), entry(11, 2, Kind::Edit, Some(9))]));
        assert_eq!(desk.answer(Answer::Looked(Looked::Whole)), [run(look(3))], "9 was looked at");
        let effects = desk.answer(Answer::Looked(looked));
        assert_eq!(hidden(&effects[0]), expected);
        // It is the same that is sent again, and that is noted all the same.
        let repeated = desk.answer(unknown());
        assert_eq!(hidden(&repeated[0]), expected);
        assert_eq!(desk.answer(Answer::Applied), [run(note(3, 10))]);
    }
}

#[test]
fn a_redaction_takes_its_target_and_all_its_edits_before_its_ack() {
    let mut desk = Desk::owner(9);
    let redaction = batch([entry(10, 2, Kind::Redact, Some(3))]);
    assert_eq!(desk.append(1, &redaction), [run(a(2, &redaction))]);
    desk.play([
        (Answer::Applied, vec![run(redact(3))]),
        (unknown(), vec![again(redact(3), 1)]),
        (Answer::Applied, vec![run(edits_of(3))]),
        (unknown(), vec![again(edits_of(3), 1)]),
        (edits(&[4, 9]), vec![run(redact_edit(4, 3))]),
        (unknown(), vec![again(redact_edit(4, 3), 1)]),
        // It has expired, or was never committed.
        (Answer::NotApplied(None), vec![run(redact_edit(9, 3))]),
        (Answer::Applied, vec![committed(1)]),
    ]);
}

#[test]
fn edits_and_redactions_are_finished_in_their_order() {
    let mut desk = Desk::owner(8);
    let all = batch([
        entry(9, 2, Kind::Edit, Some(3)),
        entry(10, 2, Kind::React, Some(3)),
        entry(11, 2, Kind::Redact, Some(4)),
        entry(12, 2, Kind::Edit, Some(5)),
    ]);
    assert_eq!(desk.append(1, &all), [run(look(5))]);
    desk.play([
        (Answer::Looked(Looked::Whole), vec![run(look(3))]),
        (Answer::Looked(Looked::Whole), vec![run(a(2, &all))]),
        (Answer::Applied, vec![run(note(3, 9))]),
        (Answer::Done, vec![run(redact(4))]),
        (Answer::NotApplied(None), vec![run(edits_of(4))]),
        (edits(&[]), vec![run(note(5, 12))]),
        // The bucket is full, and the next one is opened when all is finished.
        (Answer::Done, vec![committed(1), run(c(3, 2))]),
    ]);
}

#[test]
fn what_an_append_takes_from_itself_is_never_stored() {
    let cases = [
        (vec![(Kind::Message, None), (Kind::Redact, Some(9))], vec![9]),
        (vec![(Kind::Edit, Some(3)), (Kind::Redact, Some(3)), (Kind::Edit, Some(3))], vec![9, 11]),
        (vec![(Kind::Edit, Some(3)), (Kind::Redact, Some(9)), (Kind::Edit, Some(3))], vec![9]),
        (
            vec![(Kind::Message, None), (Kind::Edit, Some(9)), (Kind::React, Some(9)), (Kind::Redact, Some(9))],
            vec![9, 10],
        ),
    ];
    for (entries, expected) in cases {
        let mut desk = Desk::owner(8);
        let entries: Arc<[Entry]> =
            (9..).zip(&entries).map(|(seq, &(kind, target))| entry(seq, 2, kind, target)).collect();
        let mut effects = desk.append(1, &entries);
        while let [Effect::Run { statement: Statement::LookAt { .. }, .. }] = &effects[..] {
            effects = desk.answer(Answer::Looked(Looked::Whole));
        }
        assert_eq!(hidden(&effects[0]), expected, "{entries:?}");
    }
}

#[test]
fn a_fenced_owner_finishes_what_it_had_committed() {
    let mut desk = Desk::owner(9);
    desk.append(1, &batch([entry(10, 2, Kind::Redact, Some(3))]));
    desk.append(2, &messages(11, 11, 2));
    let own = Answer::Writers(vec![crate::fencing::Writer { seq: Seq::new(10), fence: fence(2, ME) }]);
    desk.play([
        (unknown(), vec![again(a(2, &batch([entry(10, 2, Kind::Redact, Some(3))])), 1)]),
        (
            not_applied(3, 2, 10),
            vec![run(Statement::ReadWriters { bucket: 2, after: Seq::new(9), through: Seq::new(10) })],
        ),
        (own, vec![run(redact(3))]),
        (Answer::Applied, vec![run(edits_of(3))]),
        (edits(&[]), vec![committed(1), fenced(2), STOP_FENCED]),
    ]);
}

#[test]
fn a_look_that_takes_too_long_refuses_the_edit() {
    let mut desk = Desk::owner(9);
    desk.append(1, &batch([entry(10, 2, Kind::Edit, Some(3))]));
    desk.append(2, &messages(11, 11, 2));
    assert_eq!(desk.deadline(1), [refused_append(1, LATE), refused_append(2, LATE)]);
    let next = messages(10, 10, 2);
    assert_eq!(desk.append(3, &next), [], "one statement is under way at a time");
    desk.play([(unknown(), vec![run(a(2, &next))])]);
}

#[test]
fn a_redaction_that_takes_too_long_to_finish_stays_unknown() {
    let mut desk = Desk::owner(9);
    desk.append(1, &batch([entry(10, 2, Kind::Redact, Some(3))]));
    desk.play([(Answer::Applied, vec![run(redact(3))]), (unknown(), vec![again(redact(3), 1)])]);
    assert_eq!(desk.deadline(1), [lost(1, LATE), Effect::Stop(Stop::OutcomeUnknown)]);
}
