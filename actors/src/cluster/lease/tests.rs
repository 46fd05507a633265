use super::*;
use crate::cluster::ownership::{RedisKeys, node_key};
use crate::cluster::parse_node_id;

/// A time of day at which nothing is near zero.
const EPOCH_MS: i64 = 1_790_000_000_000;

fn now(mono_ms: u64) -> Now {
    Now { mono_ms, wall_ms: EPOCH_MS + mono_ms.cast_signed() }
}

fn life(incarnation: u64) -> NodeRef {
    NodeRef::new(parse_node_id("n1").unwrap(), Incarnation(incarnation))
}

fn text(incarnation: u64, takes_rooms: bool) -> Arc<str> {
    NodeRecord { incarnation: Incarnation(incarnation), takes_rooms, connect: None }.to_string().into()
}

fn renewal(held: Option<Arc<str>>, held_ttl_ms: u64, mono_ms: u64) -> LeaseInput {
    LeaseInput::Answer(RedisAnswer::Renewal { held, held_ttl_ms, redis_ms: EPOCH_MS + mono_ms.cast_signed() })
}

fn failed() -> LeaseInput {
    LeaseInput::Answer(RedisAnswer::Failed("away".to_owned()))
}

fn renew(incarnation: u64, takes_rooms: bool) -> LeaseEffect {
    let record = NodeRecord { incarnation: Incarnation(incarnation), takes_rooms, connect: None };
    LeaseEffect::Run(RedisCommand::RenewNode { node: life(incarnation).node, record, ttl_ms: LEASE_MS })
}

fn feed(lease: &mut Lease, at: Now, input: LeaseInput) -> Vec<LeaseEffect> {
    let mut effects = Vec::new();
    lease.handle(at, input, &mut effects);
    effects
}

/// A lease that was claimed at 0 and said to be open.
fn member() -> Lease {
    let mut lease = Lease::new(life(1), None);
    assert_eq!(feed(&mut lease, now(0), LeaseInput::Tick), [renew(1, false)]);
    assert_eq!(
        feed(&mut lease, now(2), renewal(None, 0, 1)),
        [LeaseEffect::Renewed { sent_at_ms: 0 }, LeaseEffect::Standing(Standing::Member), renew(1, true)]
    );
    let renewed = feed(&mut lease, now(4), renewal(Some(text(1, false)), 3_000, 3));
    assert_eq!(renewed, [LeaseEffect::Renewed { sent_at_ms: 2 }]);
    lease
}

#[test]
fn it_is_renewed_each_second() {
    let mut lease = member();
    assert_eq!(lease.wakes_at_ms(), Some(1_002));
    assert_eq!(feed(&mut lease, now(1_001), LeaseInput::Tick), []);
    assert_eq!(feed(&mut lease, now(1_002), LeaseInput::Tick), [renew(1, true)]);
    assert_eq!(lease.wakes_at_ms(), None);
    // Timed from its sending.
    let renewed = feed(&mut lease, now(1_500), renewal(Some(text(1, true)), 2_000, 1_400));
    assert_eq!(renewed, [LeaseEffect::Renewed { sent_at_ms: 1_002 }]);
    assert_eq!(lease.wakes_at_ms(), Some(2_002));
}

#[test]
fn a_key_that_is_gone_is_written_again_and_said() {
    let mut lease = member();
    feed(&mut lease, now(1_002), LeaseInput::Tick);
    let answered = feed(&mut lease, now(1_003), renewal(None, 0, 1_003));
    assert_eq!(answered, [LeaseEffect::Lost, LeaseEffect::Renewed { sent_at_ms: 1_002 }]);
    assert_eq!(lease.standing(), Standing::Member);
}

#[test]
fn redis_goes_and_comes_back() {
    let mut lease = member();
    feed(&mut lease, now(1_002), LeaseInput::Tick);
    assert_eq!(feed(&mut lease, now(2_002), failed()), [renew(1, true)]);
    assert!(lease.is_away() && lease.takes_rooms());
    let answered = feed(&mut lease, now(2_100), renewal(Some(text(1, true)), 900, 2_050));
    assert_eq!(answered, [LeaseEffect::Returned, LeaseEffect::Renewed { sent_at_ms: 2_002 }]);
    assert!(!lease.is_away());
}

#[test]
fn without_redis_nobody_becomes_a_member() {
    let mut lease = Lease::new(life(1), None);
    feed(&mut lease, now(0), LeaseInput::Tick);
    assert_eq!(feed(&mut lease, now(500), failed()), []);
    assert_eq!((lease.standing(), lease.takes_rooms()), (Standing::Claiming, false));
}

#[test]
fn a_name_is_free_when_the_lease_of_a_process_that_was_killed_has_ended() {
    let mut lease = Lease::new(life(2), None);
    feed(&mut lease, now(0), LeaseInput::Tick);
    for at in [0, 1_000, 2_000] {
        assert_eq!(feed(&mut lease, now(at), renewal(Some(text(1, true)), 2_500 - at, at)), []);
        assert_eq!(feed(&mut lease, now(at + 1_000), LeaseInput::Tick), [renew(2, false)]);
    }
    let answered = feed(&mut lease, now(3_001), renewal(None, 0, 3_001));
    let member = [LeaseEffect::Renewed { sent_at_ms: 3_000 }, LeaseEffect::Standing(Standing::Member), renew(2, true)];
    assert_eq!(answered, member);
}

#[test]
fn a_name_that_another_process_keeps_alive_is_taken() {
    let mut lease = Lease::new(life(2), None);
    feed(&mut lease, now(0), LeaseInput::Tick);
    feed(&mut lease, now(0), renewal(Some(text(1, true)), 2_500, 0));
    feed(&mut lease, now(1_000), LeaseInput::Tick);
    let answered = feed(&mut lease, now(1_000), renewal(Some(text(1, true)), 2_300, 1_000));
    assert_eq!(answered, [LeaseEffect::Standing(Standing::NameTaken { by: Incarnation(1) })]);
    assert!(!lease.takes_rooms());
}

#[test]
fn a_key_that_never_ends_is_not_waited_for_without_end() {
    for garbage in ["garbage", ""] {
        let mut lease = Lease::new(life(2), None);
        let mut at = 0;
        while lease.standing() == Standing::Claiming {
            assert!(at <= CLAIM_MS_MAX);
            feed(&mut lease, now(at), LeaseInput::Tick);
            feed(&mut lease, now(at), renewal(Some(garbage.into()), 0, at));
            at += 1_000;
        }
        assert_eq!(lease.standing(), Standing::NameTaken { by: Incarnation(0) });
    }
}

#[test]
fn a_node_that_slept_while_another_took_its_name_is_the_later_one() {
    let mut lease = member();
    let woken = now(9_000);
    feed(&mut lease, woken, LeaseInput::Tick);
    let answered = feed(&mut lease, woken, renewal(Some(text(2, true)), 2_500, 9_000));
    assert_eq!(answered, [LeaseEffect::Lost, LeaseEffect::Standing(Standing::Claiming)]);
    feed(&mut lease, now(10_000), LeaseInput::Tick);
    let answered = feed(&mut lease, now(10_000), renewal(Some(text(2, true)), 2_500, 10_000));
    assert_eq!(answered, [LeaseEffect::Standing(Standing::NameTaken { by: Incarnation(2) })]);
    // It gives nothing back that is not its own.
    assert_eq!(feed(&mut lease, now(10_001), LeaseInput::Stop), [LeaseEffect::Over]);
}

#[test]
fn a_clock_that_is_wrong_takes_no_rooms() {
    for (ahead_ms, standing) in [
        (5_000, Standing::Member),
        (-5_000, Standing::Member),
        (5_001, Standing::ClockWrong { ahead_ms: 5_001 }),
        (3_600_000, Standing::ClockWrong { ahead_ms: 3_600_000 }),
        (-5_001, Standing::ClockWrong { ahead_ms: -5_001 }),
    ] {
        let mut lease = Lease::new(life(1), None);
        let at = Now { mono_ms: 0, wall_ms: EPOCH_MS + ahead_ms };
        feed(&mut lease, at, LeaseInput::Tick);
        feed(&mut lease, at, renewal(None, 0, 0));
        assert_eq!(lease.standing(), standing, "{ahead_ms}");
        assert_eq!(lease.takes_rooms(), standing == Standing::Member);
    }
}

#[test]
fn a_slow_answer_is_no_wrong_clock() {
    let mut lease = Lease::new(life(1), None);
    feed(&mut lease, now(0), LeaseInput::Tick);
    feed(&mut lease, now(20_000), renewal(None, 0, 10_000));
    assert_eq!(lease.standing(), Standing::Member);
}

#[test]
fn a_clock_that_was_set_right_takes_rooms_and_says_so_at_once() {
    let mut lease = member();
    let wrong = |mono_ms| Now { mono_ms, wall_ms: now(mono_ms).wall_ms + 60_000 };
    feed(&mut lease, wrong(1_002), LeaseInput::Tick);
    let answered = feed(&mut lease, wrong(1_003), renewal(Some(text(1, true)), 2_000, 1_003));
    let standing = LeaseEffect::Standing(Standing::ClockWrong { ahead_ms: 59_999 });
    assert_eq!(answered, [LeaseEffect::Renewed { sent_at_ms: 1_002 }, standing, renew(1, false)]);
    let answered = feed(&mut lease, wrong(1_004), renewal(Some(text(1, true)), 3_000, 1_004));
    assert_eq!(answered, [LeaseEffect::Renewed { sent_at_ms: 1_003 }]);
    feed(&mut lease, now(2_003), LeaseInput::Tick);
    let answered = feed(&mut lease, now(2_004), renewal(Some(text(1, false)), 2_000, 2_004));
    let standing = LeaseEffect::Standing(Standing::Member);
    assert_eq!(answered, [LeaseEffect::Renewed { sent_at_ms: 2_003 }, standing, renew(1, true)]);
}

#[test]
fn a_node_that_drains_says_so_at_once() {
    let mut lease = member();
    assert_eq!(feed(&mut lease, now(100), LeaseInput::TakesRooms(false)), [renew(1, false)]);
    assert!(!lease.takes_rooms());
}

#[test]
fn a_stop_deletes_its_own_key_after_the_renewal_that_is_under_way() {
    let mut lease = member();
    feed(&mut lease, now(1_002), LeaseInput::Tick);
    assert_eq!(feed(&mut lease, now(1_003), LeaseInput::Stop), []);
    let delete = RedisCommand::DeleteNode { node: life(1).node, incarnation: Incarnation(1) };
    let answered = feed(&mut lease, now(1_004), renewal(Some(text(1, true)), 2_000, 1_004));
    assert_eq!(answered, [LeaseEffect::Renewed { sent_at_ms: 1_002 }, LeaseEffect::Run(delete)]);
    assert_eq!(feed(&mut lease, now(1_005), LeaseInput::Answer(RedisAnswer::Done)), [LeaseEffect::Over]);
    assert_eq!(feed(&mut lease, now(9_000), LeaseInput::Tick), []);
}

#[test]
fn a_clock_is_known_to_be_right_as_long_as_it_runs_evenly_after_it_was_checked() {
    let set_by = |mono_ms: u64, ms: i64| Now { wall_ms: now(mono_ms).wall_ms + ms, ..now(mono_ms) };
    let is_right = |lease: &Lease, at: Now| lease.clock().is_some_and(|clock| clock.has_run_evenly(at));
    let mut lease = Lease::new(life(1), None);
    assert_eq!(lease.clock(), None, "nobody was asked");
    feed(&mut lease, now(0), LeaseInput::Tick);
    feed(&mut lease, now(2), renewal(None, 0, 1));
    feed(&mut lease, now(4), renewal(Some(text(1, true)), 3_000, 3));
    assert!(is_right(&lease, now(900)));
    assert!(!is_right(&lease, set_by(900, 3_600_000)), "set before anybody has looked");

    // While Redis is away nobody compares them, and what was right runs on.
    feed(&mut lease, now(1_002), LeaseInput::Tick);
    feed(&mut lease, now(2_002), failed());
    assert!(is_right(&lease, now(600_000)) && !is_right(&lease, set_by(600_000, 6_000)));

    // Set between question and answer, which tell nothing of it by themselves.
    let answered = feed(&mut lease, set_by(2_100, 3_600_000), renewal(Some(text(1, true)), 900, 2_050));
    assert!(!answered.iter().any(|effect| matches!(effect, LeaseEffect::Standing(_))), "{answered:?}");
    assert_eq!((lease.standing(), lease.clock()), (Standing::Member, None));

    // Then it is found to be wrong, and right again once it was mended.
    feed(&mut lease, set_by(3_200, 3_600_000), LeaseInput::Tick);
    feed(&mut lease, set_by(3_201, 3_600_000), renewal(Some(text(1, true)), 2_000, 3_200));
    assert!(matches!(lease.standing(), Standing::ClockWrong { .. }));
    assert_eq!(lease.clock(), None);
    // It has said so at once, and then asks each second.
    feed(&mut lease, set_by(3_202, 3_600_000), renewal(Some(text(1, false)), 2_000, 3_202));
    feed(&mut lease, now(4_300), LeaseInput::Tick);
    feed(&mut lease, now(4_301), renewal(Some(text(1, false)), 2_000, 4_300));
    assert!(lease.standing() == Standing::Member && is_right(&lease, now(4_302)));
}

/// Of many lives of one name that start, sleep and wake, no two are members while both renew, and one becomes a member when the
/// others are gone.
mod lives_at_random {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const LIVES: usize = 3;

    #[derive(Debug, Clone)]
    enum Step {
        /// Lives that are awake now.
        Second(Vec<bool>),
        Lose,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![9 => vec(prop::bool::weighted(0.8), LIVES).prop_map(Step::Second), 1 => Just(Step::Lose)]
    }

    fn second(lease: &mut Lease, keys: &mut RedisKeys, at: u64) {
        let mut effects = feed(lease, now(at), LeaseInput::Tick);
        while let Some(LeaseEffect::Run(command)) = effects.last() {
            let answer = keys.run(now(at).wall_ms.cast_unsigned(), command);
            effects = feed(lease, now(at), LeaseInput::Answer(answer));
        }
    }

    proptest! {
        #[test]
        fn one_at_most_is_a_member(steps in vec(step(), 1..60)) {
            let mut leases: Vec<Lease> = (1..=LIVES as u64).map(|it| Lease::new(life(it), None)).collect();
            let mut keys = RedisKeys::default();
            let mut at = 10_000;
            for step in steps {
                let awake = match step {
                    Step::Lose => {
                        keys = RedisKeys::default();
                        vec![true; LIVES]
                    }
                    Step::Second(awake) => awake,
                };
                at += 1_000;
                for (lease, _) in leases.iter_mut().zip(&awake).filter(|(_, awake)| **awake) {
                    second(lease, &mut keys, at);
                    // Whoever has just heard that it is a member has the key.
                    if lease.standing() == Standing::Member {
                        let held = keys.get(&node_key(&lease.me.node)).and_then(NodeRecord::parse);
                        prop_assert_eq!(held.map(|held| held.incarnation), Some(lease.me.incarnation));
                    }
                }
            }
            let mut last = Lease::new(life(9), None);
            for _ in 0..5 {
                at += 1_000;
                second(&mut last, &mut keys, at);
            }
            prop_assert_eq!(last.standing(), Standing::Member);
        }
    }
}
