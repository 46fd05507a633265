//! Whom a replica watches: owners found, lost, refused and asked for.

use super::*;
use crate::cluster::replica::Effect::{AskToActivate, Promote, Unwatch};
use crate::cluster::replica::watching::WATCH_RENEW_MS;

fn nobody(preferred: &str) -> Input {
    Input::Owner(OwnerAnswer::Nobody { preferred: node(preferred) })
}

fn watch(at: &str, number: u64) -> Effect {
    Watch { at: node(at), number }
}

fn unwatch(at: &str, number: u64) -> Effect {
    Unwatch { at: node(at), number }
}

fn not_owner(from: &str, hint: Option<&str>) -> Input {
    Input::NotOwner { from: node(from), hint: hint.map(node) }
}

#[test]
fn the_owner_is_looked_for_and_watched() {
    let mut stage = Stage::new(3);
    assert_eq!(stage.at(5, owned_by("a")), [watch("a", 1)]);
    assert_eq!(stage.at(6, owned_by("a")), [], "an answer that comes twice");
    assert_eq!(stage.confirm(7), [stage.begin(3)]);
    assert_eq!(stage.at(8, nobody("b")), [], "who confirms is the owner, even where its key was wiped");
    assert_eq!(stage.at(9, Input::Owner(OwnerAnswer::Unknown)), []);
    assert_eq!(stage.at(10, owned_by("b")), [], "of no higher epoch");
}

#[test]
fn the_epoch_of_an_owner_that_has_stored_nothing_says_nothing_of_others() {
    let mut stage = Stage::new(0);
    stage.at(0, owned_by("a"));
    stage.epoch = 6;
    assert_eq!(stage.confirm(0), [stage.begin(0)]);
    assert_eq!((stage.replica.epoch(), stage.replica.stored_epoch()), (Epoch::new(6), Epoch::ZERO));
    assert_eq!(stage.at(1, head(6, 0)), []);
    // Redis was emptied: the one who stored first has a lower one.
    stage.epoch = 2;
    let stored = stage.commit(1);
    assert_eq!(stage.at(2, batch(&stored)), [Deliver(stored)]);
    assert_eq!((stage.replica.epoch(), stage.replica.stored_epoch()), (Epoch::new(2), Epoch::new(2)));
}

#[test]
fn where_nobody_owns_it_the_preferred_node_is_asked_and_the_log_read() {
    let mut stage = Stage::new(3);
    assert_eq!(stage.at(5, nobody("a")), [AskToActivate(node("a")), ReadTail { read: 1 }]);
    assert_eq!(stage.at(6, stage.tail()), [stage.begin(3)]);
    assert_eq!(stage.at(105, Input::Tick), [FindOwner, watch("a", 1)]);
    assert_eq!(stage.confirm(106), []);
    assert_eq!(stage.replica.confirmed_at(), Some(&node("a")));
}

#[test]
fn where_this_node_should_own_it_it_is_promoted_if_anybody_reads_it() {
    let mut stage = Stage::new(0);
    assert_eq!(stage.at(5, nobody("me")), [Promote, ReadTail { read: 1 }]);
    assert_eq!(stage.at(6, owned_by("me")), [Promote]);
    stage.at(7, Input::Readers(0));
    assert_eq!(stage.at(8, nobody("me")), []);
}

#[test]
fn while_the_owner_cannot_be_found_out_the_log_is_enough() {
    let mut stage = Stage::new(3);
    assert_eq!(stage.at(5, Input::Owner(OwnerAnswer::Unknown)), [ReadTail { read: 1 }]);
    assert_eq!(stage.at(6, stage.tail()), [stage.begin(3)]);
    stage.commit(1);
    let mut polled = 0;
    for now_ms in 7..=2_100 {
        for effect in stage.at(now_ms, Input::Tick) {
            match effect {
                ReadTail { .. } => polled += stage.at(now_ms, stage.tail()).len().min(1),
                FindOwner => assert_eq!(stage.at(now_ms, Input::Owner(OwnerAnswer::Unknown)), []),
                _ => {}
            }
        }
    }
    assert!(polled > 0);
}

#[test]
fn a_room_that_nobody_wrote_to_begins_at_nothing() {
    let mut stage = Stage::new(0);
    stage.at(5, Input::Owner(OwnerAnswer::Unknown));
    let begin = Begin { epoch: Epoch::ZERO, head: Seq::ZERO };
    assert_eq!(stage.at(6, Input::Tail { read: 1, result: Ok(None) }), [begin]);
    assert_eq!(stage.replica.hash(), Some(hash::genesis(&room("r"))));
}

#[test]
fn a_hint_is_followed_but_not_round_and_round() {
    let mut stage = Stage::confirmed(3);
    assert_eq!(stage.at(100, not_owner("b", None)), [], "that is not who is watched");
    assert_eq!(stage.at(100, not_owner("a", Some("b"))), [unwatch("a", 1), watch("b", 2)]);
    assert_eq!(stage.at(101, not_owner("b", Some("a"))), [unwatch("b", 2), FindOwner]);
    assert_eq!(stage.at(102, owned_by("a")), [watch("a", 3)]);
    assert_eq!(stage.confirm(103), []);
    assert_eq!(stage.replica.confirmed_at(), Some(&node("a")));
}

#[test]
fn a_node_that_is_named_and_says_no_is_asked_to_activate() {
    let mut stage = Stage::confirmed(3);
    assert_eq!(stage.at(100, not_owner("a", None)), [unwatch("a", 1), FindOwner]);
    assert_eq!(stage.at(101, owned_by("a")), [AskToActivate(node("a"))]);
    assert_eq!(stage.at(201, Input::Tick), [FindOwner, watch("a", 2)]);
    assert_eq!(stage.at(202, not_owner("a", None)), [unwatch("a", 2)], "it is not looked for without a pause");
}

#[test]
fn a_dead_owner_is_left_at_once() {
    let mut stage = Stage::confirmed(3);
    assert_eq!(stage.at(100, Input::NodeGone(node("b"))), []);
    assert_eq!(stage.at(100, Input::NodeGone(node("a"))), [unwatch("a", 1), FindOwner]);
    let newer = OwnerAnswer::Owned { by: node("b"), epoch: Epoch::new(2) };
    assert_eq!(stage.at(101, Input::Owner(newer)), [watch("b", 2)]);
}

#[test]
fn a_dead_owner_is_replaced_at_once_however_often_it_was_looked_for_while_it_seemed_to_live() {
    let mut stage = Stage::confirmed(3);
    stage.at(100, Input::GapPossible);
    let looks: Vec<u64> = (101..8_000).filter(|&now_ms| stage.at(now_ms, Input::Tick).contains(&FindOwner)).collect();
    let [.., before, last] = looks[..] else { panic!("{looks:?}") };
    assert_eq!(last - before, 1_000);
    assert!(stage.at(last + 1, Input::NodeGone(node("a"))).contains(&FindOwner));
}

#[test]
fn lower_epochs_are_ignored_and_put_the_owner_in_doubt() {
    let mut stage = Stage::confirmed(3);
    stage.epoch = 2;
    stage.log.append(fence(2), 1);
    stage.at(110, Input::Expect(Seq::new(4)));
    // The log tells of another owner.
    assert_eq!(stage.at(111, stage.tail()), [FindOwner, watch("a", 2), read_entries(2, 3, 4)]);
    let shown = stage.log.entries[3..].to_vec();
    assert_eq!(stage.at(112, stage.page(3, 4)), [Deliver(shown.into())]);
    assert_eq!(stage.at(113, owned_by("a")), []);
    stage.epoch = 1;
    let stale = stage.commit(1);
    assert_eq!(stage.confirm(114), []);
    assert_eq!(stage.at(115, batch(&stale)), []);
    assert_eq!(stage.at(116, head(1, 5)), []);
    assert_eq!((stage.replica.confirmed_at(), stage.replica.head()), (None, Some(Seq::new(4))));
    let newer = OwnerAnswer::Owned { by: node("b"), epoch: Epoch::new(2) };
    assert_eq!(stage.at(117, Input::Owner(newer)), [unwatch("a", 2), watch("b", 3)]);
}

#[test]
fn a_takeover_makes_the_tail_be_read_at_once() {
    let mut stage = Stage::confirmed(3);
    assert_eq!(stage.at(110, Input::TakenOver(Epoch::new(1))), [], "that is known");
    let effects = stage.at(111, Input::TakenOver(Epoch::new(2)));
    assert_eq!(effects, [FindOwner, watch("a", 2), ReadTail { read: 1 }]);
    assert_eq!(stage.confirm(112), [], "the owner before does not know yet");
    assert_eq!(stage.replica.confirmed_at(), None);
}

#[test]
fn a_higher_epoch_of_another_node_puts_the_owner_in_doubt() {
    let mut stage = Stage::confirmed(3);
    stage.epoch = 2;
    let entries = stage.commit(1);
    let from_b = Input::Batch { from: node("b"), entries: Arc::clone(&entries) };
    assert_eq!(stage.at(110, from_b), [Deliver(entries), FindOwner, watch("a", 2)]);
    let newer = OwnerAnswer::Owned { by: node("b"), epoch: Epoch::new(2) };
    assert_eq!(stage.at(111, Input::Owner(newer)), [unwatch("a", 2), watch("b", 3)]);
}

#[test]
fn a_replica_that_nobody_reads_ends_after_a_while() {
    let mut stage = Stage::confirmed(3);
    stage.at(100, Input::Readers(0));
    stage.at(200, Input::Readers(2));
    stage.at(300, Input::Readers(0));
    stage.at(400, Input::Readers(0));
    let end = 300 + REPLICA_LINGER_MS;
    assert_eq!(stage.at(WATCH_RENEW_MS, Input::Tick), [watch("a", 2)]);
    assert_eq!(stage.at(end - 1, Input::Tick), []);
    assert_eq!(stage.at(end, Input::Tick), [unwatch("a", 2), Stop(StopReason::Idle)]);
}

#[test]
fn the_timer_is_armed_for_what_comes_first_and_only_where_that_changes() {
    let mut replica = Replica::new(room("r"), node("me"), 0, 0);
    let mut effects = Vec::new();
    replica.handle(0, Input::Readers(1), &mut effects);
    assert_eq!(effects, [FindOwner, ArmTimer(spread_ms(&room("r")).min(100))]);
    effects.clear();
    replica.handle(1, Input::Tick, &mut effects);
    assert_eq!(effects, []);
    let from = node("a");
    replica.handle(2, owned_by("a"), &mut effects);
    let (hash, floor) = (hash::genesis(&room("r")), Seq::FIRST);
    effects.clear();
    let confirmed = Input::Confirmed { from, number: 1, epoch: Epoch::new(1), head: Seq::ZERO, hash, floor };
    replica.handle(3, confirmed, &mut effects);
    let begin = Begin { epoch: Epoch::new(1), head: Seq::ZERO };
    assert_eq!(effects, [begin, ArmTimer(3 + WATCH_RENEW_MS)]);
}
