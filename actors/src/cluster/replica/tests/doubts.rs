//! What puts a replica in doubt, what it does then, and what ends the doubt.

use super::*;

fn watch(number: u64) -> Effect {
    Watch { at: node("a"), number }
}

fn spread() -> u64 {
    spread_ms(&room("r"))
}

#[test]
fn a_doubt_ends_with_the_confirmation_of_a_watch_that_was_sent_after_it_began() {
    let mut stage = Stage::confirmed(3);
    let before = Input::Confirmed {
        from: node("a"),
        number: stage.watch,
        epoch: Epoch::new(1),
        head: stage.log.head(),
        hash: stage.log.hash(),
        floor: Seq::FIRST,
    };
    assert_eq!(stage.at(100, Input::GapPossible), [watch(2)]);
    assert_eq!(stage.replica.confirmed_at(), None);
    stage.at(101, before);
    assert_eq!(stage.replica.confirmed_at(), None, "that watch is older than the doubt");
    stage.confirm(102);
    assert_eq!(stage.replica.confirmed_at(), Some(&node("a")));
    assert_eq!(stage.at(1_500, Input::Tick), [], "the log is not asked");
}

#[test]
fn in_doubt_the_tail_is_read_within_half_a_second_and_then_each_second() {
    let mut stage = Stage::confirmed(3);
    stage.at(100, Input::GapPossible);
    let first = 100 + spread();
    assert!(first < 600);
    let mut reads = Vec::new();
    for now_ms in 101..=3_700 {
        if stage.at(now_ms, Input::Tick).iter().any(|effect| matches!(effect, ReadTail { .. })) {
            reads.push(now_ms);
            stage.at(now_ms, stage.tail());
        }
    }
    assert_eq!(reads, [first, first + 1_000, first + 2_000, first + 3_000]);
    let entries = stage.commit(2);
    let found = (3_701..4_700).find_map(|now_ms| match stage.at(now_ms, Input::Tick)[..] {
        [.., ReadTail { .. }] => Some((now_ms, stage.at(now_ms, stage.tail()))),
        _ => None,
    });
    let (now_ms, effects) = found.unwrap();
    assert_eq!(effects, [read_entries(stage.read, 3, 5)], "what the log has for sure is read at once");
    assert_eq!(stage.at(now_ms, stage.page(3, 5)), [Deliver(entries)]);
}

#[test]
fn in_doubt_the_watch_is_sent_each_second_and_the_owner_looked_for() {
    let mut stage = Stage::confirmed(3);
    assert_eq!(stage.at(100, Input::GapPossible), [watch(2)]);
    let (mut watches, mut searches) = (Vec::new(), Vec::new());
    for now_ms in 101..=3_200 {
        for effect in stage.at(now_ms, Input::Tick) {
            match effect {
                Watch { .. } => watches.push(now_ms),
                FindOwner => searches.push(now_ms),
                _ => {}
            }
        }
    }
    assert_eq!(watches, [1_100, 2_100, 3_100]);
    assert_eq!(searches, [400, 500, 700, 1_100, 1_900, 2_900]);
    stage.at(3_201, Input::GapPossible);
    stage.at(3_202, owned_by("a"));
    stage.confirm(3_203);
    assert_eq!(stage.replica.confirmed_at(), Some(&node("a")));
}

#[test]
fn a_slow_confirmation_counts_once_it_answers_a_watch_sent_in_doubt() {
    let mut stage = Stage::confirmed(3);
    stage.at(100, Input::GapPossible);
    let first = stage.watch;
    stage.at(1_100, Input::Tick);
    stage.at(2_100, Input::Tick);
    assert_eq!(stage.watch, first + 2);
    stage.watch = first;
    stage.confirm(2_200);
    assert_eq!(stage.replica.confirmed_at(), Some(&node("a")));
}

#[test]
fn a_watch_is_renewed_and_one_that_is_not_confirmed_for_long_is_doubted() {
    let mut stage = Stage::confirmed(3);
    assert_eq!(stage.at(4_999, Input::Tick), []);
    assert_eq!(stage.at(5_000, Input::Tick), [watch(2)]);
    stage.confirm(5_300);
    assert_eq!(stage.at(10_299, Input::Tick), []);
    assert_eq!(stage.at(10_300, Input::Tick), [watch(3)]);
    for now_ms in 10_301..19_000 {
        stage.at(now_ms, Input::Tick);
    }
    assert_eq!(stage.replica.confirmed_at(), Some(&node("a")));
    // Sent at 5,000, so it expires at the owner at 20,000 or later.
    stage.at(19_000, Input::Tick);
    assert_eq!(stage.replica.confirmed_at(), None);
}

#[test]
fn a_reader_that_knows_more_makes_the_tail_be_read_at_once() {
    let mut stage = Stage::confirmed(3);
    assert_eq!(stage.at(10, Input::Expect(Seq::new(3))), []);
    assert_eq!(stage.at(11, Input::Expect(Seq::new(4))), [ReadTail { read: 1 }]);
    let entries = stage.commit(1);
    assert_eq!(stage.at(12, stage.tail()), [read_entries(2, 3, 4)]);
    assert_eq!(stage.at(13, stage.page(3, 4)), [Deliver(entries)]);
    assert_eq!(stage.at(14, Input::Expect(Seq::new(9))), []);
    assert_eq!(stage.at(211, Input::Tick), [ReadTail { read: 3 }], "not for each of many such readers");
    assert_eq!(stage.at(212, stage.tail()), []);
    assert_eq!(stage.at(2_000, Input::Tick), []);
}
