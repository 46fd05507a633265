use proptest::collection::vec;
use proptest::prelude::*;
use rollcall_protocol::{OwnerId, Seq};

use super::*;

fn room(name: &str) -> RoomId {
    RoomId::parse(name).unwrap()
}

fn fence(epoch: u64) -> Fence {
    Fence { epoch: Epoch::new(epoch), owner: OwnerId(u128::from(epoch)) }
}

fn tail(epoch: u64) -> LogTail {
    LogTail { fence: fence(epoch), last_seq: Seq::new(epoch) }
}

fn feed(trust: &mut Trust, now_ms: u64, input: TrustInput) -> Vec<TrustEffect> {
    let mut effects = Vec::new();
    trust.handle(now_ms, input, &mut effects);
    effects
}

fn owns(since_ms: u64, stored: bool) -> TrustInput {
    TrustInput::Owns { room: room("r"), fence: fence(5), since_ms, stored }
}

fn rows(sent_at_ms: u64, rows: &[(&str, u64)]) -> TrustInput {
    let rows = rows.iter().map(|&(name, epoch)| Takeover { room: room(name), epoch: Epoch::new(epoch) }).collect();
    TrustInput::TakeoversRead { sent_at_ms, rows: Some(rows) }
}

fn read_takeovers(sent_at_ms: u64) -> TrustEffect {
    TrustEffect::ReadTakeovers { sent_at_ms }
}

fn read_tail(number: u64) -> TrustEffect {
    TrustEffect::ReadTail { room: room("r"), number }
}

fn found(number: u64, found: Result<Option<LogTail>, ()>) -> TrustInput {
    TrustInput::Tail { room: room("r"), number, found }
}

fn subscribers(any: bool) -> TrustInput {
    TrustInput::Subscribers { room: room("r"), any }
}

/// Owns the room since 99,990 and is trusted at 100,000; the next read is due at 101,000.
fn trusted() -> Trust {
    let mut trust = Trust::new();
    feed(&mut trust, 100_000, owns(99_990, true));
    // The first input has already asked for the takeovers.
    feed(&mut trust, 100_000, TrustInput::Renewed { sent_at_ms: 100_000 });
    assert_eq!(feed(&mut trust, 100_000, rows(100_000, &[])), []);
    assert_eq!(feed(&mut trust, 100_000, subscribers(true)), []);
    assert!(trust.is_trusted(100_000, &room("r")));
    trust
}

#[test]
fn takeovers_are_read_each_second_however_slow_the_log_is() {
    let mut trust = Trust::new();
    assert_eq!(feed(&mut trust, 10, TrustInput::Tick), [read_takeovers(10)]);
    assert_eq!(trust.wakes_at_ms(), 1_010);
    assert_eq!(feed(&mut trust, 1_010, TrustInput::Tick), [read_takeovers(1_010)]);
    assert_eq!(feed(&mut trust, 2_010, TrustInput::Tick), [read_takeovers(2_010)]);
    assert_eq!(feed(&mut trust, 3_010, TrustInput::Tick), []);
    let failed = TrustInput::TakeoversRead { sent_at_ms: 10, rows: None };
    assert_eq!(feed(&mut trust, 3_020, failed), [read_takeovers(3_020)]);
}

#[test]
fn an_owner_trusts_its_tail_while_both_signs_are_young_from_their_sending() {
    let is_trusted = |renewed, read, now| {
        let mut trust = Trust::new();
        feed(&mut trust, 100_000, owns(100_000, true));
        feed(&mut trust, 103_000, TrustInput::Renewed { sent_at_ms: renewed });
        feed(&mut trust, 103_000, rows(read, &[]));
        trust.is_trusted(now, &room("r"))
    };
    assert!(is_trusted(102_000, 102_500, 103_999));
    assert!(!is_trusted(102_000, 102_500, 104_000));
    assert!(is_trusted(102_500, 102_000, 103_999));
    assert!(!is_trusted(102_500, 102_000, 104_000));
}

#[test]
fn neither_sign_alone_is_enough() {
    let mut trust = Trust::new();
    feed(&mut trust, 100_000, owns(100_000, true));
    feed(&mut trust, 100_000, TrustInput::Renewed { sent_at_ms: 100_000 });
    assert!(!trust.is_trusted(100_000, &room("r")));
    let mut trust = Trust::new();
    feed(&mut trust, 100_000, owns(100_000, true));
    feed(&mut trust, 100_000, rows(100_000, &[]));
    assert!(!trust.is_trusted(100_000, &room("r")));
}

#[test]
fn a_lease_that_was_lost_ends_trust_at_once() {
    let mut trust = trusted();
    assert_eq!(feed(&mut trust, 100_001, TrustInput::LeaseLost), [read_tail(1)]);
    assert!(!trust.is_trusted(100_001, &room("r")));
}

#[test]
fn without_trust_the_fence_is_read_each_second_while_somebody_reads() {
    let mut trust = trusted();
    assert_eq!(trust.wakes_at_ms(), 101_000);
    assert_eq!(feed(&mut trust, 101_000, TrustInput::Tick), [read_takeovers(101_000)]);
    assert_eq!(trust.wakes_at_ms(), 102_000);
    assert_eq!(feed(&mut trust, 102_000, TrustInput::Tick), [read_takeovers(102_000), read_tail(1)]);
    assert_eq!(feed(&mut trust, 102_003, found(1, Ok(Some(tail(5))))), []);
    assert_eq!(feed(&mut trust, 102_999, TrustInput::Tick), []);
    assert_eq!(feed(&mut trust, 103_000, TrustInput::Tick), [read_takeovers(103_000), read_tail(2)]);
    // A read that fails is no reason to stop.
    assert_eq!(feed(&mut trust, 103_500, found(2, Err(()))), []);
    assert_eq!(feed(&mut trust, 104_000, TrustInput::Tick), [read_tail(3)]);
    feed(&mut trust, 104_100, found(3, Ok(Some(tail(5)))));
    assert_eq!(feed(&mut trust, 104_200, subscribers(false)), []);
    assert_eq!(feed(&mut trust, 110_000, TrustInput::Tick), []);
    assert_eq!(feed(&mut trust, 110_000, subscribers(true)), [read_tail(4)]);
}

#[test]
fn trust_comes_back_with_its_signs() {
    let mut trust = trusted();
    feed(&mut trust, 103_000, TrustInput::Tick);
    feed(&mut trust, 103_000, rows(103_000, &[]));
    assert!(!trust.is_trusted(103_000, &room("r")));
    feed(&mut trust, 103_100, TrustInput::Renewed { sent_at_ms: 103_050 });
    assert!(trust.is_trusted(103_100, &room("r")));
}

#[test]
fn a_foreign_owner_makes_a_replica() {
    let mut trust = trusted();
    feed(&mut trust, 100_001, TrustInput::LeaseLost);
    let fenced = TrustEffect::Fenced { room: room("r"), tail: tail(6) };
    assert_eq!(feed(&mut trust, 100_003, found(1, Ok(Some(tail(6))))), [fenced]);
    assert!(!trust.is_trusted(100_003, &room("r")));
    // The same epoch under another owner is another ownership too.
    let mut trust = trusted();
    feed(&mut trust, 100_001, TrustInput::LeaseLost);
    let twin = LogTail { fence: Fence { epoch: Epoch::new(5), owner: OwnerId(99) }, last_seq: Seq::ZERO };
    let fenced = TrustEffect::Fenced { room: room("r"), tail: twin };
    assert_eq!(feed(&mut trust, 100_003, found(1, Ok(Some(twin)))), [fenced]);
}

#[test]
fn a_takeover_of_a_room_of_this_node_is_looked_into_at_once() {
    let mut trust = trusted();
    assert_eq!(feed(&mut trust, 101_000, TrustInput::Tick), [read_takeovers(101_000)]);
    assert_eq!(feed(&mut trust, 101_001, rows(101_000, &[("other", 9), ("r", 5), ("r", 6)])), [read_tail(1)]);
    assert!(!trust.is_trusted(101_001, &room("r")));
    // The same row while the fence is being read, and a rumour that was none.
    feed(&mut trust, 102_000, TrustInput::Tick);
    assert_eq!(feed(&mut trust, 102_001, rows(102_000, &[("r", 6)])), []);
    let fenced = TrustEffect::Fenced { room: room("r"), tail: tail(6) };
    assert_eq!(feed(&mut trust, 102_002, found(1, Ok(Some(tail(6))))), [fenced]);
}

#[test]
fn a_room_that_nobody_reads_is_looked_into_all_the_same() {
    let mut trust = trusted();
    feed(&mut trust, 100_000, subscribers(false));
    feed(&mut trust, 101_000, TrustInput::Tick);
    assert_eq!(feed(&mut trust, 101_001, rows(101_000, &[("r", 6)])), [read_tail(1)]);
}

#[test]
fn a_read_that_was_sent_before_a_doubt_does_not_end_it() {
    let mut trust = trusted();
    feed(&mut trust, 100_001, TrustInput::LeaseLost);
    feed(&mut trust, 100_002, TrustInput::Renewed { sent_at_ms: 100_001 });
    feed(&mut trust, 100_002, TrustInput::Doubted(room("r")));
    assert_eq!(feed(&mut trust, 100_003, found(1, Ok(Some(tail(5))))), [read_tail(2)]);
    assert!(!trust.is_trusted(100_003, &room("r")));
    assert_eq!(feed(&mut trust, 100_004, found(2, Ok(Some(tail(5))))), []);
    assert!(trust.is_trusted(100_004, &room("r")));
}

#[test]
fn an_owner_in_doubt_yields_where_the_log_does_not_answer() {
    let mut trust = trusted();
    assert_eq!(feed(&mut trust, 100_100, TrustInput::Doubted(room("r"))), [read_tail(1)]);
    feed(&mut trust, 100_300, found(1, Err(())));
    // It is read again, and the doubt grows no younger by being repeated.
    feed(&mut trust, 101_100, TrustInput::Doubted(room("r")));
    assert!(!feed(&mut trust, 102_099, TrustInput::Tick).contains(&TrustEffect::Yields(room("r"))));
    assert!(feed(&mut trust, 102_100, TrustInput::Tick).contains(&TrustEffect::Yields(room("r"))));
    assert!(!trust.is_trusted(102_100, &room("r")));
}

#[test]
fn an_owner_that_has_stored_nothing_yields_where_the_log_does_not_answer_while_it_is_read() {
    let yields = |effects: Vec<TrustEffect>| effects.contains(&TrustEffect::Yields(room("r")));
    let mut trust = Trust::new();
    feed(&mut trust, 100_000, owns(100_000, false));
    assert!(!yields(feed(&mut trust, 109_000, TrustInput::Tick)), "nobody reads it");
    feed(&mut trust, 110_000, subscribers(true));
    feed(&mut trust, 110_010, found(1, Ok(None)));
    assert!(!yields(feed(&mut trust, 111_000, TrustInput::Tick)));
    feed(&mut trust, 111_010, found(2, Err(())));
    assert!(!yields(feed(&mut trust, 111_999, TrustInput::Tick)));
    assert!(
        yields(feed(&mut trust, 112_000, TrustInput::Tick)),
        "two seconds after the last read was sent that was answered"
    );
    // One that has stored its fence cannot be replaced without a word.
    let mut trust = Trust::new();
    feed(&mut trust, 100_000, owns(100_000, false));
    feed(&mut trust, 100_000, subscribers(true));
    feed(&mut trust, 100_100, TrustInput::Stored(room("r")));
    assert!(!yields(feed(&mut trust, 130_000, TrustInput::Tick)));
}

#[test]
fn a_doubt_that_the_log_has_answered_ends() {
    let mut trust = trusted();
    feed(&mut trust, 100_100, TrustInput::Doubted(room("r")));
    feed(&mut trust, 100_300, found(1, Ok(Some(tail(5)))));
    assert!(trust.is_trusted(100_300, &room("r")));
    assert!(!feed(&mut trust, 110_000, TrustInput::Tick).contains(&TrustEffect::Yields(room("r"))));
}

#[test]
fn what_was_read_for_an_earlier_ownership_says_nothing() {
    let mut trust = trusted();
    feed(&mut trust, 100_001, TrustInput::LeaseLost);
    feed(&mut trust, 100_001, TrustInput::Left(room("r")));
    let again = TrustInput::Owns { room: room("r"), fence: fence(7), since_ms: 100_001, stored: true };
    feed(&mut trust, 100_001, again);
    assert_eq!(feed(&mut trust, 100_001, subscribers(true)), [read_tail(2)]);
    assert_eq!(feed(&mut trust, 100_002, found(1, Ok(Some(tail(6))))), []);
}

#[test]
fn a_watched_room_that_was_taken_over_is_said_once() {
    let mut trust = Trust::new();
    feed(&mut trust, 100_000, TrustInput::Watches { room: room("r"), epoch: Epoch::new(5) });
    assert_eq!(feed(&mut trust, 100_001, rows(100_000, &[("r", 5), ("r", 4)])), []);
    let taken = TrustEffect::TakenOver(Takeover { room: room("r"), epoch: Epoch::new(6) });
    assert_eq!(feed(&mut trust, 100_001, rows(100_000, &[("r", 6)])), [taken]);
    assert_eq!(feed(&mut trust, 100_001, rows(100_000, &[("r", 6)])), []);
}

#[test]
fn the_owner_of_a_room_that_nobody_wrote_to_has_fenced_nobody() {
    let mut trust = trusted();
    feed(&mut trust, 100_000, owns(100_000, false));
    assert!(!trust.is_trusted(100_000, &room("r")));
    assert_eq!(feed(&mut trust, 100_000, subscribers(true)), [read_tail(1)]);
    assert_eq!(feed(&mut trust, 100_001, found(1, Ok(None))), []);
    assert_eq!(feed(&mut trust, 101_000, TrustInput::Tick), [read_takeovers(101_000), read_tail(2)]);
    feed(&mut trust, 101_001, rows(101_000, &[]));
    feed(&mut trust, 101_001, TrustInput::Renewed { sent_at_ms: 101_000 });
    feed(&mut trust, 101_001, found(2, Ok(None)));
    assert_eq!(feed(&mut trust, 101_002, TrustInput::Stored(room("r"))), []);
    assert!(trust.is_trusted(101_002, &room("r")));
}

#[test]
fn a_node_that_slept_for_longer_than_a_read_covers_reads_the_fences_again() {
    for (slept_ms, is_trusted) in [(50_000, true), (50_001, false), (600_000, false)] {
        let mut trust = trusted();
        let now_ms = 100_000 + slept_ms;
        feed(&mut trust, now_ms, TrustInput::Renewed { sent_at_ms: now_ms });
        feed(&mut trust, now_ms, rows(now_ms, &[]));
        assert_eq!(trust.is_trusted(now_ms, &room("r")), is_trusted, "{slept_ms}");
        let own = feed(&mut trust, now_ms, found(1, Ok(Some(tail(5)))));
        assert_eq!(own, []);
        assert!(trust.is_trusted(now_ms, &room("r")));
    }
}

#[test]
fn many_fences_are_read_a_few_at_a_time() {
    let mut trust = Trust::new();
    let mut asked = Vec::new();
    for number in 0..200 {
        let room = room(&format!("room-{number}"));
        let owns = TrustInput::Owns { room: room.clone(), fence: fence(5), since_ms: 0, stored: true };
        trust.handle(100_000, owns, &mut asked);
        trust.handle(100_000, TrustInput::Subscribers { room, any: true }, &mut asked);
    }
    asked.retain(|effect| matches!(effect, TrustEffect::ReadTail { .. }));
    assert_eq!(asked.len(), 64);
    let mut answered = 0;
    while let Some(TrustEffect::ReadTail { room, number }) = asked.pop() {
        answered += 1;
        asked.extend(feed(&mut trust, 100_000, TrustInput::Tail { room, number, found: Ok(Some(tail(5))) }));
    }
    assert_eq!(answered, 200);
}

/// A log, its takeovers, and an owner whose reads and renewals are late, lost or answered in any order. It never trusts a tail
/// that another one could have moved on from more than [`TRUST_MS`] ago; and when all answers come it knows within two seconds.
#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    /// Another node fences the room, says so, and goes on.
    TakeOver,
    /// This node activates it again.
    Own,
    Answer {
        which: usize,
        comes: bool,
    },
    Renew,
    Lose,
}

#[derive(Debug, Clone)]
enum Asked {
    Takeovers { sent_at_ms: u64, rows: Vec<Takeover> },
    Tail { number: u64, tail: LogTail },
}

struct World {
    now_ms: u64,
    trust: Trust,
    log: LogTail,
    own: Option<Fence>,
    taken_at_ms: Option<u64>,
    rows: Vec<(u64, Takeover)>,
    asked: Vec<Asked>,
}

impl World {
    fn feed(&mut self, input: TrustInput) {
        for effect in feed(&mut self.trust, self.now_ms, input) {
            match effect {
                // Read when it is sent, the worst moment.
                TrustEffect::ReadTakeovers { sent_at_ms } => {
                    let recent = self.rows.iter().filter(|(at_ms, _)| at_ms + TAKEOVERS_READ_MS >= self.now_ms);
                    let rows = recent.map(|(_, row)| row.clone()).collect();
                    self.asked.push(Asked::Takeovers { sent_at_ms, rows });
                }
                TrustEffect::ReadTail { number, .. } => self.asked.push(Asked::Tail { number, tail: self.log }),
                TrustEffect::Fenced { tail, .. } => {
                    assert_ne!(Some(tail.fence), self.own, "it was not fenced");
                    self.own = None;
                }
                // Only after a row or an answer said that it was fenced, and here nobody lies.
                TrustEffect::Yields(_) => {
                    assert_ne!(Some(self.log.fence), self.own, "it was not fenced");
                    self.own = None;
                }
                TrustEffect::TakenOver(_) => {}
            }
        }
    }

    fn answer(&mut self, which: usize, comes: bool) {
        if self.asked.is_empty() {
            return;
        }
        let input = match self.asked.remove(which % self.asked.len()) {
            Asked::Takeovers { sent_at_ms, rows } => {
                TrustInput::TakeoversRead { sent_at_ms, rows: comes.then_some(rows) }
            }
            Asked::Tail { number, tail } => found(number, if comes { Ok(Some(tail)) } else { Err(()) }),
        };
        self.feed(input);
    }

    fn take_over(&mut self) {
        let epoch = self.log.fence.epoch.next();
        self.log = LogTail { fence: Fence { epoch, owner: OwnerId(u128::from(epoch.get())) }, ..self.log };
        self.rows.push((self.now_ms, Takeover { room: room("r"), epoch }));
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Pass(ms) => {
                self.now_ms += ms;
                self.feed(TrustInput::Tick);
            }
            Step::TakeOver => {
                self.take_over();
                self.taken_at_ms = self.taken_at_ms.or(Some(self.now_ms));
            }
            Step::Own => {
                self.take_over();
                self.taken_at_ms = None;
                self.own = Some(self.log.fence);
                let (fence, since_ms) = (self.log.fence, self.now_ms);
                self.feed(TrustInput::Owns { room: room("r"), fence, since_ms, stored: true });
                self.feed(subscribers(true));
            }
            Step::Answer { which, comes } => self.answer(which, comes),
            Step::Renew => self.feed(TrustInput::Renewed { sent_at_ms: self.now_ms }),
            Step::Lose => self.feed(TrustInput::LeaseLost),
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..900u64).prop_map(Step::Pass),
        1 => (1..90_000u64).prop_map(Step::Pass),
        1 => Just(Step::TakeOver),
        1 => Just(Step::Own),
        8 => (any::<usize>(), prop::bool::weighted(0.8)).prop_map(|(which, comes)| Step::Answer { which, comes }),
        4 => Just(Step::Renew),
        1 => Just(Step::Lose),
    ]
}

proptest! {
    #[test]
    fn nobody_trusts_a_tail_that_another_has_moved_on_from(steps in vec(step(), 1..200)) {
        let log = tail(1);
        let mut world = World {
            now_ms: 200_000,
            trust: Trust::new(),
            log,
            own: None,
            taken_at_ms: None,
            rows: Vec::new(),
            asked: Vec::new(),
        };
        for step in &steps {
            world.step(step);
            if let Some(taken_at_ms) = world.taken_at_ms {
                let is_trusted = world.trust.is_trusted(world.now_ms, &room("r"));
                prop_assert!(!is_trusted || world.now_ms - taken_at_ms < TRUST_MS);
            }
        }
        // Faults end: everything is answered at once, each second.
        for _ in 0..20 {
            world.step(&Step::Pass(100));
            world.step(&Step::Renew);
            while !world.asked.is_empty() {
                world.answer(0, true);
            }
        }
        prop_assert!(world.own.is_none_or(|own| own == world.log.fence), "it has not noticed that it was fenced");
        prop_assert_eq!(world.trust.is_trusted(world.now_ms, &room("r")), world.own.is_some());
    }
}
