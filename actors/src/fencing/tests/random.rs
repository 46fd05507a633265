//! Owners at random.

use std::cell::RefCell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rollcall_protocol::Kind;

use super::totals::Totals;
use super::world::{Fate, NODES, World};

#[derive(Debug, Clone)]
enum Step {
    Start {
        at: usize,
        epoch: u64,
        hint: u64,
    },
    Append {
        at: usize,
        kinds: Vec<(Kind, u64)>,
    },
    Decide {
        at: usize,
        fate: Fate,
    },
    /// A node is left alone for a while.
    Quiet {
        at: usize,
        statements: usize,
    },
    Deadline {
        at: usize,
    },
    Crash {
        at: usize,
    },
    Land {
        which: usize,
    },
    Snapshot,
    Expire {
        floor: u64,
        statements: usize,
    },
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![3 => Just(Kind::Message), 1 => Just(Kind::Edit), 1 => Just(Kind::Redact)]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        10 => Just(Fate::Answered),
        2 => Just(Fate::AnswerLost),
        2 => Just(Fate::Lost),
        2 => Just(Fate::Delayed),
        1 => Just(Fate::Twice),
        1 => Just(Fate::Refused),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let at = 0..NODES;
    prop_oneof![
        2 => (at.clone(), 0..4u64, 0..6u64).prop_map(|(at, epoch, hint)| Step::Start { at, epoch, hint }),
        6 => (at.clone(), vec((kind(), any::<u64>()), 1..4)).prop_map(|(at, kinds)| Step::Append { at, kinds }),
        16 => (at.clone(), fate()).prop_map(|(at, fate)| Step::Decide { at, fate }),
        6 => (at.clone(), 1..25usize).prop_map(|(at, statements)| Step::Quiet { at, statements }),
        1 => at.clone().prop_map(|at| Step::Deadline { at }),
        1 => at.prop_map(|at| Step::Crash { at }),
        3 => any::<usize>().prop_map(|which| Step::Land { which }),
        1 => Just(Step::Snapshot),
        1 => (0..30u64, 0..20usize).prop_map(|(floor, statements)| Step::Expire { floor, statements }),
    ]
}

fn live(steps: Vec<Step>) -> Totals {
    let mut world = World::new();
    for step in steps {
        match step {
            Step::Start { at, epoch, hint } => {
                world.crash(at);
                world.start(at, epoch, hint);
            }
            Step::Append { at, kinds } => world.append(at, &kinds),
            Step::Decide { at, fate } => world.decide(at, fate),
            Step::Quiet { at, statements } => (0..statements).for_each(|_| world.decide(at, Fate::Answered)),
            Step::Deadline { at } => world.deadline(at),
            Step::Crash { at } => world.crash(at),
            Step::Land { which } => world.land(which),
            Step::Snapshot => world.snapshot(),
            Step::Expire { floor, statements } => world.expire(floor, statements),
        }
        world.check();
    }
    world.heal()
}

#[test]
fn owners_at_random_keep_the_promises_and_meet_every_end() {
    let met = RefCell::new(Totals::default());
    let cases = Config::default().cases.max(1_500);
    let mut runner = TestRunner::new(Config { cases, ..Config::with_source_file(file!()) });
    let outcome = runner.run(&vec(step(), 1..250), |steps| {
        met.borrow_mut().add(live(steps));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    met.borrow().assert_all_met();
}
