//! Replicas: what each input makes them do.

mod doubts;
mod owners;

use super::Effect::{ArmTimer, Begin, Deliver, FindOwner, ReadEntries, ReadTail, Stop, Watch};
use super::*;
use crate::cluster::test_rooms::{TestRoom, fence, node, room};
use crate::ports::{LogError, LogTail};

/// A replica on node "me", and the log of its room, which node "a" owns.
struct Stage {
    replica: Replica,
    log: TestRoom,
    epoch: u64,
    /// That of the last watch that was sent, and of the last read.
    watch: u64,
    read: u64,
}

impl Stage {
    /// Somebody reads a room that has `head` entries.
    fn new(head: usize) -> Self {
        let mut log = TestRoom::new(room("r"));
        log.append(fence(1), head);
        let replica = Replica::new(room("r"), node("me"), 0, 0);
        let mut stage = Self { replica, log, epoch: 1, watch: 0, read: 0 };
        assert_eq!(stage.at(0, Input::Readers(1)), [FindOwner]);
        stage
    }

    /// The same, and its watch at "a" was confirmed at the time 0.
    fn confirmed(head: usize) -> Self {
        let mut stage = Self::new(head);
        stage.at(0, owned_by("a"));
        assert_eq!(stage.confirm(0), [stage.begin(head)]);
        assert_eq!(stage.replica.confirmed_at(), Some(&node("a")));
        stage
    }

    /// Gives an input and returns what came of it, but for timers.
    fn at(&mut self, now_ms: u64, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.replica.handle(now_ms, input, &mut effects);
        for effect in &effects {
            match *effect {
                Watch { number, .. } => self.watch = number,
                ReadTail { read } | ReadEntries { read, .. } => self.read = read,
                _ => {}
            }
        }
        effects.retain(|effect| !matches!(effect, ArmTimer(_)));
        effects
    }

    fn begin(&self, head: usize) -> Effect {
        Begin { epoch: Epoch::new(self.epoch), head: Seq::new(head as u64) }
    }

    /// "a" confirms the last watch.
    fn confirm(&mut self, now_ms: u64) -> Vec<Effect> {
        let confirmed = Input::Confirmed {
            from: node("a"),
            number: self.watch,
            epoch: Epoch::new(self.epoch),
            head: self.log.head(),
            hash: self.log.hash(),
            floor: Seq::FIRST,
        };
        self.at(now_ms, confirmed)
    }

    /// "a" commits so many entries, and the batch is on its way.
    fn commit(&mut self, count: usize) -> Arc<[Entry]> {
        self.log.append(fence(self.epoch), count).into()
    }

    fn tail(&self) -> Input {
        let tail = LogTail { fence: fence(self.epoch), last_seq: self.log.head() };
        Input::Tail { read: self.read, result: Ok(Some(tail)) }
    }

    /// What the log answers to a read after an entry.
    fn page(&self, after: usize, through: usize) -> Input {
        Input::Entries { read: self.read, result: Ok(self.log.entries[after..through].to_vec()) }
    }
}

fn owned_by(name: &str) -> Input {
    Input::Owner(OwnerAnswer::Owned { by: node(name), epoch: Epoch::new(1) })
}

fn batch(entries: &Arc<[Entry]>) -> Input {
    Input::Batch { from: node("a"), entries: Arc::clone(entries) }
}

fn head(epoch: u64, head: u64) -> Input {
    Input::Head { from: node("a"), epoch: Epoch::new(epoch), head: Seq::new(head) }
}

fn read_entries(read: u64, after: u64, through: u64) -> Effect {
    ReadEntries { read, after: Seq::new(after), through: Seq::new(through) }
}

#[test]
fn batches_are_shown_in_order_each_entry_once() {
    let mut stage = Stage::confirmed(3);
    let [one, two, three] = [stage.commit(2), stage.commit(1), stage.commit(3)];
    assert_eq!(stage.at(1, batch(&one)), [Deliver(Arc::clone(&one))]);
    assert_eq!(stage.at(2, batch(&one)), []);
    assert_eq!(stage.at(3, batch(&three)), []);
    assert_eq!(stage.replica.held(), 3);
    let rest = [&two[..], &three[..]].concat();
    assert_eq!(stage.at(4, batch(&two)), [Deliver(rest.into())]);
    assert_eq!(stage.at(5, batch(&three)), []);
    assert_eq!((stage.replica.head(), stage.replica.hash()), (Some(Seq::new(9)), Some(stage.log.hash())));
}

#[test]
fn a_hole_is_read_from_the_log_once_it_does_not_fill_by_itself() {
    let mut stage = Stage::confirmed(0);
    let [_lost, later] = [stage.commit(2), stage.commit(1)];
    assert_eq!(stage.at(10, batch(&later)), []);
    assert_eq!(stage.at(59, Input::Tick), []);
    assert_eq!(stage.at(60, Input::Tick), [read_entries(1, 0, 2)]);
    let shown = stage.log.entries.clone();
    assert_eq!(stage.at(70, stage.page(0, 2)), [Deliver(shown.into())]);
}

#[test]
fn a_lost_tail_shows_in_a_beacon() {
    let mut stage = Stage::confirmed(3);
    stage.commit(700);
    assert_eq!(stage.at(500, head(1, 703)), []);
    assert_eq!(stage.at(550, Input::Tick), [read_entries(1, 3, 503)]);
    let first = stage.log.entries[3..300].to_vec();
    let effects = stage.at(560, stage.page(3, 300));
    assert_eq!(effects, [Deliver(first.into()), read_entries(2, 300, 703)], "a page may be shorter than asked for");
    let rest = stage.log.entries[300..].to_vec();
    assert_eq!(stage.at(570, stage.page(300, 703)), [Deliver(rest.into())]);
    assert_eq!(stage.at(1_000, head(1, 703)), []);
}

#[test]
fn what_comes_before_the_head_is_known_is_not_lost() {
    let mut stage = Stage::new(3);
    stage.at(0, owned_by("a"));
    let early = stage.log.clone();
    let entries = stage.commit(2);
    assert_eq!(stage.at(1, batch(&entries)), []);
    let (number, epoch) = (stage.watch, Epoch::new(1));
    let (head, hash, floor) = (early.head(), early.hash(), Seq::FIRST);
    let confirmed = Input::Confirmed { from: node("a"), number, epoch, head, hash, floor };
    assert_eq!(stage.at(2, confirmed), [stage.begin(3)]);
    assert_eq!(stage.at(52, Input::Tick), [read_entries(1, 3, 5)]);
    assert_eq!(stage.at(53, stage.page(3, 5)), [Deliver(entries)]);
}

#[test]
fn what_is_held_is_bounded_by_number_and_size_and_the_rest_is_read() {
    let mut stage = Stage::confirmed(0);
    stage.commit(1);
    for _ in 0..10 {
        let entries = stage.commit(200);
        assert_eq!(stage.at(1, batch(&entries)), []);
    }
    assert_eq!(stage.replica.held(), HELD_ENTRIES_MAX);
    assert_eq!(stage.at(51, Input::Tick), [read_entries(1, 0, 1)]);
    let held = 1 + HELD_ENTRIES_MAX;
    let shown = stage.log.entries[..held].to_vec();
    let next = read_entries(2, held as u64, held as u64 + 500);
    assert_eq!(stage.at(52, stage.page(0, 1)), [Deliver(shown.into()), next]);

    let mut stage = Stage::confirmed(0);
    stage.commit(1);
    let long = rollcall_protocol::Body::text(&"x".repeat(90_000)).unwrap();
    for _ in 0..20 {
        stage.commit(1);
        let last = stage.log.entries.last_mut().unwrap();
        last.body = Some(long.clone());
        last.content_hash = hash::content(&last.salt.unwrap(), Some(long.as_str()));
        let before = stage.log.entries[stage.log.entries.len() - 2].hash;
        let last = stage.log.entries.last_mut().unwrap();
        last.hash = last.expected_hash(before);
        let entries: Arc<[Entry]> = [last.clone()].into();
        assert_eq!(stage.at(1, batch(&entries)), []);
    }
    assert_eq!(stage.replica.held(), HELD_BYTES_MAX / 90_011);
}

#[test]
fn a_batch_that_was_damaged_on_the_way_is_dropped_and_the_log_asked() {
    let mut stage = Stage::confirmed(3);
    let entries = stage.commit(2);
    let spoil = |change: fn(&mut Entry)| {
        let mut spoilt = entries.to_vec();
        change(&mut spoilt[1]);
        Arc::from(spoilt)
    };
    let spoilt: [Arc<[Entry]>; 2] = [
        spoil(|entry| entry.body = Some(rollcall_protocol::Body::text("something else").unwrap())),
        spoil(|entry| entry.created_at_ms += 1),
    ];
    for (at, spoilt) in (1..).zip(&spoilt) {
        assert_eq!(stage.at(at, batch(spoilt)), [Watch { at: node("a"), number: at + 1 }]);
        assert_eq!(stage.replica.head(), Some(Seq::new(3)));
    }
    assert_eq!(stage.confirm(5), []);
    assert_eq!(stage.at(55, Input::Tick), [read_entries(1, 3, 5)]);
    assert_eq!(stage.at(56, stage.page(3, 5)), [Deliver(entries)]);
}

#[test]
fn what_does_not_build_on_what_was_shown_ends_the_replica() {
    let diverged = [Effect::Unwatch { at: node("a"), number: 1 }, Stop(StopReason::Diverged)];
    let fork = |head: usize| {
        let mut fork = TestRoom::new(room("another"));
        fork.append(fence(1), head);
        fork
    };
    let mut stage = Stage::confirmed(3);
    stage.log = fork(3);
    let entries = stage.commit(1);
    assert_eq!(stage.at(1, batch(&entries)), diverged);
    assert_eq!(stage.at(2, Input::GapPossible), [], "nothing comes after the end");

    let mut stage = Stage::confirmed(3);
    stage.log = fork(3);
    assert_eq!(stage.confirm(1), diverged, "another hash at the same number");

    let mut stage = Stage::confirmed(3);
    stage.at(0, Input::Expect(Seq::new(9)));
    stage.log = fork(2);
    assert_eq!(stage.at(1, stage.tail()), diverged, "the log ends before what was shown");
}

#[test]
fn a_page_that_comes_too_late_changes_nothing() {
    let mut stage = Stage::confirmed(0);
    let entries = stage.commit(2);
    stage.at(10, head(1, 2));
    assert_eq!(stage.at(60, Input::Tick), [read_entries(1, 0, 2)]);
    let late = stage.page(0, 2);
    assert_eq!(stage.at(4_060, Input::Tick), [read_entries(2, 0, 2)], "a read that is not answered is begun anew");
    assert_eq!(stage.at(4_061, late), []);
    assert_eq!(stage.at(4_062, stage.page(0, 2)), [Deliver(entries)]);
}

#[test]
fn a_log_that_does_not_answer_is_asked_again_and_less_often() {
    let mut stage = Stage::confirmed(0);
    stage.commit(2);
    stage.at(10, head(1, 2));
    stage.at(60, Input::Tick);
    let mut asked = Vec::new();
    let mut now_ms = 60;
    while asked.len() < 6 {
        let error = LogError::Unavailable("down".to_owned());
        stage.at(now_ms, Input::Entries { read: stage.read, result: Err(error) });
        let began = now_ms;
        loop {
            now_ms += 10;
            // The renewals of its watch do not matter here.
            let effects = stage.at(now_ms, Input::Tick);
            if effects.iter().any(|effect| matches!(effect, ReadEntries { .. })) {
                break asked.push(now_ms - began);
            }
        }
    }
    assert_eq!(asked, [100, 200, 400, 800, 1_000, 1_000]);
}

#[test]
fn entries_that_expired_unseen_let_the_room_begin_anew() {
    let mut stage = Stage::confirmed(3);
    stage.commit(7);
    stage.at(10, head(1, 10));
    assert_eq!(stage.at(60, Input::Tick), [read_entries(1, 3, 10)]);
    let expired = Input::Entries { read: 1, result: Err(LogError::Expired { floor: Seq::new(8) }) };
    assert_eq!(stage.at(70, expired), [stage.begin(7), read_entries(2, 7, 10)]);
    assert_eq!(stage.replica.floor(), Seq::new(8));
    let rest = stage.log.entries[7..].to_vec();
    assert_eq!(stage.at(71, stage.page(7, 10)), [Deliver(rest.into())]);
}

#[test]
fn a_head_that_the_log_does_not_have_is_not_believed() {
    let mut stage = Stage::confirmed(3);
    stage.at(10, head(1, 1 << 50));
    assert_eq!(stage.at(60, Input::Tick), [read_entries(1, 3, 503)]);
    assert_eq!(stage.at(61, Input::Entries { read: 1, result: Ok(Vec::new()) }), []);
    assert_eq!(stage.at(161, Input::Tick), [ReadTail { read: 2 }]);
    assert_eq!(stage.at(162, stage.tail()), [Watch { at: node("a"), number: 2 }]);
    assert_eq!(stage.confirm(163), []);
    let entries = stage.commit(1);
    assert_eq!(stage.at(164, batch(&entries)), [Deliver(entries)]);
    assert_eq!(stage.at(1_164, Input::Tick), [], "nothing is missing");
}
