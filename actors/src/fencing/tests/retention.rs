//! Retention.

use rollcall_protocol::{Kind, Seq};

use super::desk::{BUCKETS, entry, not_applied, plain_rows, refused, rows_of, unknown};
use crate::fencing::{Answer, FloorRow, Retention, RetentionStep, Statement, Stop};

const fn seq(number: u64) -> Seq {
    Seq::new(number)
}

fn row(floor: u64, swept: u64) -> Answer {
    Answer::Floor(Some(FloorRow { floor: seq(floor), swept }))
}

fn raise(expected: Option<u64>, floor: u64) -> RetentionStep {
    RetentionStep::Run(Statement::RaiseFloor { expected: expected.map(seq), floor: seq(floor) })
}

fn read(bucket: u64) -> RetentionStep {
    let (after, through) = (seq(bucket * 4), seq(bucket * 4 + 4));
    RetentionStep::Run(Statement::ReadRows { bucket, after, through })
}

fn expire(bucket: u64) -> RetentionStep {
    RetentionStep::Run(Statement::ExpireBucket { bucket, last_seq: seq(bucket * 4 + 4) })
}

fn rows(bucket: u64) -> Answer {
    plain_rows(bucket * 4 + 1, bucket * 4 + 4)
}

const READ_FLOOR: RetentionStep = RetentionStep::Run(Statement::ReadFloor);

fn swept(bucket: u64) -> RetentionStep {
    RetentionStep::Run(Statement::NoteSwept { bucket })
}

fn finished(floor: u64) -> RetentionStep {
    RetentionStep::Finished(Some(seq(floor)))
}

fn play(wanted: u64, snapshot: u64, last_seq: u64, script: impl IntoIterator<Item = (Answer, RetentionStep)>) {
    let (mut retention, first) = Retention::start(BUCKETS, seq(wanted), seq(snapshot), seq(last_seq));
    assert_eq!(first, Statement::ReadFloor);
    for (step, (answer, expected)) in script.into_iter().enumerate() {
        assert_eq!(retention.take(answer), expected, "step {step}");
    }
}

#[test]
fn the_floor_rises_first_and_then_full_buckets_go() {
    play(
        11,
        20,
        20,
        [
            (Answer::Floor(None), raise(None, 11)),
            (Answer::Applied, READ_FLOOR),
            (row(11, 0), read(0)),
            (rows(0), expire(0)),
            (unknown(), expire(0)),
            (Answer::Applied, read(1)),
            (rows(1), expire(1)),
            (Answer::Applied, swept(2)),
            (unknown(), swept(2)),
            (Answer::Applied, finished(11)),
        ],
    );
}

#[test]
fn a_bucket_goes_when_all_of_it_lies_below_the_floor() {
    for (floor, goes) in [(4, false), (5, true)] {
        let next = if goes { read(0) } else { finished(floor) };
        play(floor, 20, 20, [(row(floor, 0), next)]);
    }
}

#[test]
fn the_floor_never_rises_above_what_can_be_rebuilt() {
    play(100, 6, 20, [(Answer::Floor(None), raise(None, 7))]);
    play(100, 60, 20, [(Answer::Floor(None), raise(None, 21))]);
    play(100, 0, 20, [(Answer::Floor(None), RetentionStep::Finished(None))]);
}

#[test]
fn the_floor_never_falls() {
    play(3, 20, 20, [(row(9, 2), finished(9))]);
    // Another one was faster.
    play(7, 20, 20, [(row(6, 1), raise(Some(6), 7)), (Answer::NotApplied(None), READ_FLOOR), (row(8, 1), finished(8))]);
    play(7, 20, 20, [(row(6, 1), raise(Some(6), 7)), (unknown(), READ_FLOOR), (row(6, 1), raise(Some(6), 7))]);
}

#[test]
fn an_interrupted_run_is_finished_by_the_next() {
    play(
        0,
        0,
        0,
        [
            (row(9, 1), read(1)),
            // Its rows went before the crash.
            (Answer::Rows(vec![]), expire(1)),
            (Answer::Applied, swept(2)),
            (Answer::NotApplied(None), finished(9)),
        ],
    );
    play(0, 0, 0, [(Answer::Floor(None), RetentionStep::Finished(None))]);
}

#[test]
fn edits_are_forgotten_before_they_go() {
    let entries = [
        entry(5, 1, Kind::Edit, Some(2)),
        entry(6, 1, Kind::Redact, Some(2)),
        entry(7, 1, Kind::Message, None),
        entry(8, 1, Kind::Edit, Some(7)),
    ];
    let forget = Statement::ForgetEdits { edits: vec![(seq(2), seq(5)), (seq(7), seq(8))] };
    play(
        9,
        20,
        20,
        [
            (row(9, 1), read(1)),
            (rows_of(&entries), RetentionStep::Run(forget.clone())),
            (unknown(), RetentionStep::Run(forget)),
            (Answer::Done, expire(1)),
        ],
    );
}

#[test]
fn a_bucket_below_the_floor_that_is_not_full_is_damage() {
    for answer in [Answer::NotApplied(None), not_applied(1, 1, 3)] {
        let (mut retention, _) = Retention::start(BUCKETS, seq(9), seq(20), seq(20));
        retention.take(row(9, 0));
        retention.take(rows(0));
        let step = retention.take(answer);
        assert!(matches!(step, RetentionStep::Failed(Stop::Damaged(_))), "{step:?}");
    }
    play(9, 20, 20, [(refused(), RetentionStep::Failed(Stop::Unavailable("unauthorized".to_owned())))]);
}
