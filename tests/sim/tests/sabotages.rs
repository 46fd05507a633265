//! Each thing that is spoilt alone is noticed, or the simulation would not notice it in the shipped machines either.

use std::sync::Mutex;

use rollcall_sim::many::notice;
use rollcall_sim::sabotage::Sabotage;

#[test]
fn every_sabotage_is_noticed_within_200_seeds() {
    assert!(Sabotage::ALL.len() >= 12);
    let left = Mutex::new(Sabotage::ALL.to_vec());
    let missed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(sabotage) = left.lock().map_or(None, |mut left| left.pop()) {
                    match notice(sabotage, 0) {
                        Some((seed, what)) => println!("{sabotage}: noticed by seed {seed}: {what}"),
                        None => missed.lock().unwrap().push(sabotage),
                    }
                }
            });
        }
    });
    assert_eq!(missed.into_inner().unwrap(), []);
}
