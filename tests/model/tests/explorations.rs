//! Small explorations, for every build: the shipped protocol is clean, and the model has eyes. The large ones are the program's.

use rollcall_model::{Cluster, Limits, Weakening, explore, find_shortest};

fn small() -> Limits {
    Limits { writes: 2, crashes: 0, ..Limits::bounded() }
}

#[test]
fn the_shipped_protocol_is_clean_and_meets_every_end() {
    let exploration = explore(&Cluster { limits: small(), weakening: None }, 2);
    assert!(exploration.broken.is_empty(), "{exploration}");
    assert!(exploration.missed.is_empty(), "{exploration}");
    assert!(exploration.states > 10_000, "{exploration}");
}

#[test]
fn what_is_weakened_is_caught() {
    let three_writes = [Weakening::RedisEpochTrusted, Weakening::NoOwnerNonce];
    let two_writes = [
        Weakening::TimeoutForgotten,
        Weakening::TimeoutTakenForDone,
        Weakening::WritersNotAsked,
        Weakening::AckBeforeCommit,
    ];
    let three_writes = three_writes.map(|weakening| (weakening, Limits { writes: 3, ..small() }));
    for (weakening, limits) in three_writes.into_iter().chain(two_writes.map(|weakening| (weakening, small()))) {
        let exploration = find_shortest(&Cluster { limits, weakening: Some(weakening) });
        assert!(!exploration.broken.is_empty(), "{weakening:?}: {exploration}");
    }
}

#[test]
fn the_next_bucket_rests_on_the_one_before_being_full_and_not_on_its_fence() {
    let limits = Limits { told_by_redis: vec![(1, 0), (2, 1)], ..small() };
    let opened_by_hint = Cluster { limits: limits.clone(), weakening: Some(Weakening::NextBucketOpenedByHint) };
    let exploration = find_shortest(&opened_by_hint);
    let broken: Vec<_> = exploration.broken.iter().map(|(promise, _)| *promise).collect();
    assert_eq!(broken, ["numbers have no gap"], "{exploration}");

    let limits = Limits { lost_replies: 0, ..limits };
    let not_fenced = Cluster { limits, weakening: Some(Weakening::FullBucketNotFenced) };
    let exploration = explore(&not_fenced, 2);
    assert!(exploration.broken.is_empty(), "{exploration}");
    assert!(exploration.met.contains(&"a bucket is full and the next one open"), "{exploration}");
}

#[test]
fn an_exploration_tells_what_it_has_found() {
    let exploration = find_shortest(&Cluster { limits: small(), weakening: Some(Weakening::AckBeforeCommit) });
    let told = exploration.to_string();
    assert!(told.contains("  broken after 4 events: what was acked is stored\n"), "{told}");
    assert!(told.contains("     1 Start { node: 0, epoch: 1, hint: 0 }\n"), "{told}");
    assert!(told.ends_with("     4 Submit { node: 0, write: 0 }\n"), "{told}");
}
