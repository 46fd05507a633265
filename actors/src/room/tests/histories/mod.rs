//! Random histories of one room: devices that write, try again, drop and reorder; a log that commits, refuses, stays unknown;
//! owners that are fenced, crash, are drained and start again. Every reply is compared with a naive reference as it comes, and
//! the whole history is judged at its end.

mod naive;
mod steps;
mod verdict;
mod world;

use proptest::prelude::*;

use self::steps::history;
use self::world::World;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn every_history_keeps_the_promises(history in history()) {
        let mut world = World::new();
        for step in history {
            world.take(step);
        }
        verdict::judge(world);
    }
}
