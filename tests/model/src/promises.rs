//! What must hold at every moment, and what an exploration must have met to have shown anything.

use std::collections::BTreeSet;

use rollcall_protocol::Seq;
use stateright::Property;

use crate::cluster::Cluster;
use crate::node::write_of;
use crate::state::State;
use crate::weakening::Weakening;

/// Returns the promises, as far as they mean something under a weakening.
pub fn all(weakening: Option<Weakening>) -> Vec<Property<Cluster>> {
    let mut properties = vec![
        Property::<Cluster>::always("no entry is overwritten", |_, state| !state.store.overwritten),
        Property::<Cluster>::always("what was acked is stored", |_, state| acked_is_stored(state)),
        Property::<Cluster>::always("numbers have no gap", has_no_gap),
        Property::<Cluster>::always("a write is stored once", |_, state| is_stored_once(state)),
        Property::<Cluster>::always("a write is acked under one number", |_, state| !state.told.acked_twice),
        Property::<Cluster>::always("what was shown stays", |_, state| shown_stays(state)),
        Property::<Cluster>::always("no write is refused for no reason", |_, state| !state.told.misjudged),
        Property::<Cluster>::sometimes("two nodes think themselves owner", |_, state| {
            state.nodes.iter().flatten().filter(|node| node.is_active()).count() == 2
        }),
        Property::<Cluster>::sometimes("a bucket is full and the next one open", |_, state| {
            state.store.fences().count() > 1
        }),
        Property::<Cluster>::sometimes("an append is fenced", |_, state| !state.told.not_committed.is_empty()),
        Property::<Cluster>::sometimes("an unknown append proves committed", |_, state| {
            state.told.unknown_was_committed
        }),
        Property::<Cluster>::sometimes("an unknown append proves failed", |_, state| {
            state.told.unknown_was_not_committed
        }),
    ];
    // Under one name another node's row cannot be told from one's own.
    if !weakening.is_some_and(Weakening::is_nameless) {
        properties.push(Property::always("what failed is never stored", |_, state| failed_is_absent(state)));
    }
    // What is weakened damages the log, and that the machines notice is well.
    if weakening.is_none_or(Weakening::is_harmless) {
        properties.push(Property::<Cluster>::always("the log is not damaged", |_, state| !state.told.damaged));
    }
    properties
}

fn acked_is_stored(state: &State) -> bool {
    let is_stored = |write: u8, seq: Seq| state.store.entry(seq).is_some_and(|entry| write_of(entry) == Some(write));
    state.told.acked.iter().all(|(&write, &seq)| is_stored(write, seq))
}

fn has_no_gap(cluster: &Cluster, state: &State) -> bool {
    let buckets = cluster.limits.buckets;
    let rows_follow = (1..).zip(state.store.entries()).all(|(number, entry)| entry.seq == Seq::new(number));
    let last = state.store.fences().map(|(bucket, _)| bucket).last();
    let full_but_last =
        state.store.fences().all(|(bucket, tail)| Some(bucket) == last || tail.last_seq == buckets.last(bucket));
    let buckets_follow = (0..).zip(state.store.fences()).all(|(number, (bucket, _))| bucket == number);
    rows_follow && full_but_last && buckets_follow
}

fn is_stored_once(state: &State) -> bool {
    let mut seen = BTreeSet::new();
    state.store.entries().filter_map(write_of).all(|write| seen.insert(write))
}

fn failed_is_absent(state: &State) -> bool {
    let is_stored = |&(seq, owner, write): &_| {
        state.store.entry(seq).is_some_and(|entry| entry.owner == owner && write_of(entry) == write)
    };
    !state.told.not_committed.iter().any(is_stored)
}

fn shown_stays(state: &State) -> bool {
    let stays =
        |(&seq, &what): (&Seq, &_)| state.store.entry(seq).is_some_and(|entry| (entry.owner, write_of(entry)) == what);
    !state.told.shown_two && state.told.shown.iter().all(stays)
}
