//! Random clean histories are accepted; whatever is spoilt in them is caught, and by the right rule.

mod model;

use std::cell::RefCell;
use std::collections::BTreeSet;

use model::{ROOM, WITHIN_US, chain_again, history, steps};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rollcall_checker::{Checker, DumpEvent, Event, Kind, Outcome, PushEvent, Rule, Verdict, WriteEvent, check_reader};

fn judge(history: &[Event]) -> Verdict {
    let mut checker = Checker::new();
    history.iter().for_each(|event| checker.observe(event));
    checker.finish()
}

proptest! {
    #[test]
    fn clean_histories_are_accepted(steps in steps(), seed: u64) {
        let verdict = judge(&history(&steps, seed));
        prop_assert!(verdict.is_clean(), "{verdict}");
    }

    #[test]
    fn lines_and_typed_events_give_the_same_verdict(steps in steps(), seed: u64) {
        let mut history = history(&steps, seed);
        if seed % 2 == 0 {
            history.pop();
        }
        let lines: String = history.iter().map(|event| format!("{event}\n")).collect();
        prop_assert_eq!(check_reader(lines.as_bytes()).unwrap(), judge(&history));
    }
}

/// Every way to spoil a history: its name, what does it (false if there is nothing to spoil), and the rules of which one must
/// catch it.
type Spoiler = (&'static str, fn(&mut Vec<Event>, usize) -> bool, &'static [Rule]);

const SPOILERS: &[Spoiler] = &[
    ("an acked tail is lost", lose_tail, &[Rule::AckedIsStored]),
    ("an entry is lost", lose_entry, &[Rule::StoredWithoutGap]),
    (
        "a push shows another body",
        |events, pick| change_push(events, pick, |push| push.body_hash = Some([1; 32])),
        &[Rule::PushesEqualLog],
    ),
    (
        "a push shows another epoch",
        |events, pick| change_push(events, pick, |push| push.epoch += 1),
        &[Rule::PushesEqualLog],
    ),
    ("a push is skipped", skip_push, &[Rule::PushesInOrder]),
    ("a push comes twice", repeat_push, &[Rule::PushesInOrder]),
    (
        "an ack was a refusal",
        |events, pick| change_ack(events, pick, |write| write.outcome = Outcome::Failed),
        &[Rule::FailedIsAbsent],
    ),
    (
        "an ack names another seq",
        |events, pick| change_ack(events, pick, |write| write.seq = write.seq.map(|s| s + 1)),
        &[Rule::AckedIsStored],
    ),
    (
        "an ack is of another body",
        |events, pick| change_ack(events, pick, |write| write.body_hash = Some([1; 32])),
        &[Rule::AckedIsStored, Rule::PushesEqualLog],
    ),
    (
        "a stamp is rewritten",
        |events, pick| change_entry(events, pick, |entry| entry.created_at += 1),
        &[Rule::HashChain],
    ),
    (
        "a content is rewritten",
        |events, pick| change_entry(events, pick, |entry| entry.content_hash[0] ^= 1),
        &[Rule::HashChain],
    ),
    ("an epoch falls", |events, pick| fall_epoch(events, pick), &[Rule::EpochsNeverFall]),
    ("a write is stored again", store_again, &[Rule::OneSeqPerWrite, Rule::UnknownAtMostOnce]),
    ("two writes of a device change places", |events, pick| swap_writes(events, pick), &[Rule::DeviceOrder]),
    ("a write begins after a later one was acked", |events, pick| begin_late(events, pick), &[Rule::AckBeforeInvoke]),
    ("the last push is missing", |events, pick| change_last_push(events, pick, false), &[Rule::ReachesHead]),
    ("the last push is late", |events, pick| change_last_push(events, pick, true), &[Rule::ReachesHead]),
];

#[test]
fn whatever_is_spoilt_is_caught() {
    let exercised = RefCell::new(BTreeSet::new());
    let config = Config { cases: 512, failure_persistence: None, ..Config::default() };
    let inputs = (steps(), any::<u64>(), any::<usize>());
    let result = TestRunner::new(config).run(&inputs, |(steps, seed, pick)| {
        let clean = history(&steps, seed);
        for (name, spoil, rules) in SPOILERS {
            let mut spoilt = clean.clone();
            if spoil(&mut spoilt, pick) {
                exercised.borrow_mut().insert(*name);
                let verdict = judge(&spoilt);
                let caught = verdict.totals.iter().any(|(rule, _)| rules.contains(rule));
                prop_assert!(caught, "{name}, not caught: {verdict}");
            }
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    let expected: BTreeSet<&str> = SPOILERS.iter().map(|(name, _, _)| *name).collect();
    assert_eq!(*exercised.borrow(), expected, "every way to spoil a history was tried");
}

/// The places of the events that `select` wants.
fn places(events: &[Event], select: impl Fn(&Event) -> bool) -> Vec<usize> {
    (0..events.len()).filter(|&place| select(&events[place])).collect()
}

fn picked(places: &[usize], pick: usize) -> Option<usize> {
    places.get(pick % places.len().max(1)).copied()
}

fn as_entry(event: &Event) -> Option<&DumpEvent> {
    if let Event::Dump(entry) = event { Some(entry) } else { None }
}

fn as_push(event: &Event) -> Option<&PushEvent> {
    if let Event::Push(push) = event { Some(push) } else { None }
}

fn as_ack(event: &Event) -> Option<&WriteEvent> {
    if let Event::Write(write) = event { Some(write).filter(|write| write.outcome == Outcome::Ok) } else { None }
}

fn head(events: &[Event]) -> u64 {
    events.iter().filter_map(as_entry).map(|entry| entry.seq).max().unwrap_or(0)
}

fn is_acked(events: &[Event], seq: u64) -> bool {
    events.iter().filter_map(as_ack).any(|write| write.seq == Some(seq))
}

fn change_push(events: &mut [Event], pick: usize, change: fn(&mut PushEvent)) -> bool {
    let place = picked(&places(events, |event| as_push(event).is_some_and(|push| push.body_hash.is_some())), pick);
    let Some(Event::Push(push)) = place.map(|place| &mut events[place]) else { return false };
    change(push);
    true
}

fn change_ack(events: &mut [Event], pick: usize, change: fn(&mut WriteEvent)) -> bool {
    // A redacted entry has no content that could differ.
    let erased: Vec<u64> =
        events.iter().filter_map(as_entry).filter(|entry| entry.salt.is_none()).map(|entry| entry.seq).collect();
    let is_kept = |write: &WriteEvent| write.seq.is_some_and(|seq| !erased.contains(&seq));
    let place = picked(&places(events, |event| as_ack(event).is_some_and(is_kept)), pick);
    let Some(Event::Write(write)) = place.map(|place| &mut events[place]) else { return false };
    change(write);
    true
}

fn change_entry(events: &mut [Event], pick: usize, change: fn(&mut DumpEvent)) -> bool {
    let place = picked(&places(events, |event| as_entry(event).is_some()), pick);
    let Some(Event::Dump(entry)) = place.map(|place| &mut events[place]) else { return false };
    change(entry);
    true
}

fn lose_tail(events: &mut Vec<Event>, _pick: usize) -> bool {
    let head = head(events);
    events.retain(|event| as_entry(event).is_none_or(|entry| entry.seq != head));
    is_acked(events, head)
}

fn lose_entry(events: &mut Vec<Event>, pick: usize) -> bool {
    let head = head(events);
    let place = picked(&places(events, |event| as_entry(event).is_some_and(|entry| entry.seq < head)), pick);
    place.map(|place| events.remove(place)).is_some()
}

/// The places of the pushes after which the same connection gets another one without joining again.
fn followed_pushes(events: &[Event]) -> Vec<usize> {
    (0..events.len())
        .filter(|&place| {
            let Some(push) = as_push(&events[place]) else { return false };
            let mut later = events[place + 1..].iter().filter(|event| match event {
                Event::Push(later) => later.conn == push.conn,
                Event::Joined(later) => later.conn == push.conn,
                Event::Left(later) => later.conn == push.conn,
                _ => false,
            });
            later.next().is_some_and(|event| as_push(event).is_some())
        })
        .collect()
}

fn skip_push(events: &mut Vec<Event>, pick: usize) -> bool {
    picked(&followed_pushes(events), pick).map(|place| events.remove(place)).is_some()
}

fn repeat_push(events: &mut Vec<Event>, pick: usize) -> bool {
    let Some(place) = picked(&places(events, |event| as_push(event).is_some()), pick) else { return false };
    events.insert(place, events[place].clone());
    true
}

fn fall_epoch(events: &mut [Event], pick: usize) -> bool {
    let place = picked(&places(events, |event| as_entry(event).is_some_and(|entry| entry.seq > 1)), pick);
    let Some(Event::Dump(entry)) = place.map(|place| &mut events[place]) else { return false };
    entry.epoch = 1;
    true
}

fn store_again(events: &mut Vec<Event>, pick: usize) -> bool {
    let is_clients = |event: &Event| as_entry(event).is_some_and(|entry| entry.n > 0);
    let Some(place) = picked(&places(events, is_clients), pick) else { return false };
    let Event::Dump(mut copy) = events[place].clone() else { return false };
    copy.seq = head(events) + 1;
    copy.epoch = u64::MAX;
    events.push(Event::Dump(copy));
    chain_again(events);
    true
}

fn swap_writes(events: &mut [Event], pick: usize) -> bool {
    let is_message = |event: &Event| as_entry(event).is_some_and(|entry| entry.kind == Kind::Message);
    let messages = places(events, is_message);
    let Some(one) = picked(&messages, pick) else { return false };
    let device = as_entry(&events[one]).and_then(|entry| entry.device.clone());
    let is_same_device = |place: &usize| as_entry(&events[*place]).is_some_and(|entry| entry.device == device);
    let Some(other) = messages.iter().copied().filter(|place| *place > one).find(is_same_device) else { return false };
    let n = |place: usize| as_entry(&events[place]).map_or(0, |entry| entry.n);
    let swapped = [(one, n(other)), (other, n(one))];
    for (place, n) in swapped {
        if let Event::Dump(entry) = &mut events[place] {
            entry.n = n;
        }
    }
    chain_again(events);
    true
}

fn begin_late(events: &mut [Event], pick: usize) -> bool {
    let acks = places(events, |event| as_ack(event).is_some());
    let last = acks.iter().filter_map(|place| as_ack(&events[*place])).max_by_key(|write| write.seq).cloned();
    let Some((place, last)) = picked(&acks, pick).zip(last) else { return false };
    let Event::Write(write) = &mut events[place] else { return false };
    (write.t_invoke, write.t_return) = (last.t_return + 1, last.t_return + 2);
    write.seq < last.seq
}

fn change_last_push(events: &mut Vec<Event>, pick: usize, only_delay: bool) -> bool {
    let head = head(events);
    let faults_end = events.iter().find_map(|event| if let Event::FaultsEnd(end) = event { Some(end.t) } else { None });
    let end = faults_end.unwrap_or(0);
    let is_last = |place: &usize| as_push(&events[*place]).is_some_and(|push| push.seq == head);
    let is_followed = |place: usize, conn: &str| {
        events[place + 1..].iter().any(|event| match event {
            Event::Joined(joined) => joined.conn == conn && joined.room == ROOM,
            Event::Left(left) => left.conn == conn,
            _ => false,
        })
    };
    let mut candidates = places(events, |event| as_push(event).is_some());
    candidates.retain(is_last);
    candidates.retain(|place| as_push(&events[*place]).is_some_and(|push| !is_followed(*place, &push.conn)));
    let Some(place) = picked(&candidates, pick).filter(|_| !only_delay || is_acked(events, head)) else { return false };
    if only_delay {
        let Event::Push(push) = &mut events[place] else { return false };
        // Answers come 40 µs after the last step at most.
        push.t = end + 40 + WITHIN_US + 1;
    } else {
        events.remove(place);
    }
    true
}
