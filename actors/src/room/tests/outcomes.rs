//! What becomes of writes when an append fails, stays unknown, or the room is given up.

use rollcall_protocol::{Seq, WriteOp};

use super::test_room::{
    TestRoom, ack, ann, appended, bob, device, duplicate, replies, send, stopped, text, unavailable, user,
};
use crate::ports::NotCommitted;
use crate::room::{ChangeKind, Effect, Input, MemberChange, Refusal, Role, RoomChange, StopReason, Submit, snapshot};

/// A room with one committed write; then Ann's n = 2 in flight as number 3, Bob's n = 1 queued as 4, and held for them a
/// duplicate of each (20, 10) and a refusal (99).
fn busy_room() -> TestRoom {
    let mut room = TestRoom::with_writes(1);
    assert_eq!(appended(&room.submit(send(&ann(), 2, "in flight"))), [[3]]);
    assert_eq!(room.submit(send(&bob(), 1, "queued")), []);
    assert_eq!(room.submit(Submit { reply: 20, ..send(&ann(), 2, "in flight") }), []);
    assert_eq!(room.submit(Submit { reply: 10, ..send(&bob(), 1, "queued") }), []);
    assert_eq!(room.submit(Submit { reply: 99, ..send(&ann(), 4, "out of order") }), []);
    room
}

#[test]
fn all_of_it_is_answered_when_the_log_commits() {
    let mut room = busy_room();
    assert_eq!(replies(&room.commit()), [(2, ack(3)), (20, duplicate(3))]);
    let held = Err(Refusal::OutOfOrder { last: 2 });
    assert_eq!(replies(&room.commit()), [(1, ack(4)), (10, duplicate(4)), (99, held)]);
}

#[test]
fn a_refused_append_is_tried_again_by_its_senders_under_the_same_numbers() {
    let mut room = busy_room();
    let full = unavailable("the room's log takes no writes now");
    let effects = room.reject_full();
    let all = [2, 1, 20, 10, 99].map(|reply| Effect::Reply(reply, full.clone()));
    assert_eq!(effects, all, "the batch, the queue, and what was held");
    assert_eq!(room.core.pending(), 0);
    assert_eq!(room.core.committed().head, Seq::new(2));

    assert_eq!(room.write(send(&device("eve", "tab"), 1, "another was faster")), Seq::new(3));
    assert_eq!(room.write(send(&bob(), 1, "queued")), Seq::new(4));
    assert_eq!(room.write(send(&ann(), 2, "in flight")), Seq::new(5));
    assert_eq!(room.log.replay(), *room.core.committed());
}

/// A state is copied when the first write comes, not at each of the tries that a full disk refuses.
#[test]
fn refused_appends_do_not_cost_a_copy_of_the_state_each() {
    let mut room = TestRoom::with_writes(70);
    for _ in 0..3 {
        room.submit(send(&ann(), 71, "refused"));
        let before: *const _ = room.core.second_state().unwrap();
        room.reject_full();
        assert!(room.core.second_state().is_some_and(|after| std::ptr::eq(before, after)), "it was kept");
    }
    assert_eq!(room.write(send(&ann(), 71, "refused")), Seq::new(72));
}

#[test]
fn a_room_at_rest_holds_its_state_once() {
    let mut room = TestRoom::with_writes(3);
    assert!(room.core.second_state().is_some());
    assert_eq!(room.handle(Input::Rest), []);
    assert!(room.core.second_state().is_none());
    room.submit(send(&ann(), 4, "in flight"));
    assert_eq!(room.handle(Input::Rest), []);
    assert_eq!(replies(&room.submit(send(&ann(), 6, "out of order"))), [], "what is in flight is not forgotten");
    assert_eq!(replies(&room.commit()), [(4, ack(5)), (6, Err(Refusal::OutOfOrder { last: 4 }))]);
}

/// Of a state in which each of many writes is remembered, what a refused batch changed is put right: senders that it pushed out,
/// tags that it cleared, roles, settings, and redactions that it pushed out of memory.
#[test]
fn whatever_a_refused_batch_did_is_taken_back() {
    let mut room = TestRoom::with_writes(3);
    room.write(Submit { target: Some(room.log.look_at(Seq::new(2))), ..about(4, WriteOp::Edit, Some("edited")) });
    room.set_role(&bob().user, Some(Role::Moderator));
    let state = room.core.committed().clone();
    room.submit(Submit { target: Some(room.log.look_at(Seq::new(2))), ..about(5, WriteOp::Redact, None) });
    room.submit(send(&device("eve", "key:1"), 1, "with a key"));
    room.change(90, ChangeKind::Member(MemberChange { user: bob().user, role: Some(Role::Banned) }));
    room.change(91, ChangeKind::Member(MemberChange { user: user("cid"), role: Some(Role::Member) }));
    room.change(92, ChangeKind::Room(RoomChange { members_only: Some(true), ..RoomChange::default() }));
    room.reject_full();
    assert_eq!(room.core.second_state(), Some(&state));
}

/// A write of Ann's phone about an entry.
fn about(n: u64, op: WriteOp, said: Option<&str>) -> Submit<u32> {
    Submit { op, body: said.map(text), ..send(&ann(), n, "") }
}

#[test]
fn a_refused_append_frees_the_writes_that_may_be_unanswered() {
    let mut room = TestRoom::new();
    for round in 0..3 {
        for n in 1..=64 {
            assert_eq!(replies(&room.submit(send(&ann(), n, "again"))), [], "round {round}");
        }
        assert_eq!(replies(&room.reject_full()).len(), 64);
    }
}

#[test]
fn a_room_whose_first_append_is_refused_is_still_nobodys() {
    let mut room = TestRoom::new();
    room.submit(send(&ann(), 1, "hello"));
    room.reject_full();
    assert_eq!(appended(&room.submit(send(&bob(), 1, "hello"))), [[1, 2]]);
    room.commit();
    assert_eq!(room.log.entries[0].sender, bob().user, "who comes next creates it");
}

#[test]
fn a_fenced_room_answers_everybody_and_stops() {
    let mut room = busy_room();
    let effects = room.reject(NotCommitted::Fenced);
    let fenced = unavailable("another node owns the room now");
    let mut all: Vec<_> = [2, 1, 20, 10, 99].map(|reply| Effect::Reply(reply, fenced.clone())).into();
    all.push(Effect::Stop(StopReason::Fenced));
    assert_eq!(effects, all);
    let moving = unavailable("the room is moving");
    assert_eq!(room.submit(send(&ann(), 2, "in flight")), [Effect::Reply(2, moving)]);
}

/// The reason may name files of the node: it is not for clients.
#[test]
fn a_damaged_log_stops_the_room_and_is_told_in_one_fixed_text() {
    let mut room = busy_room();
    let effects = room.reject(NotCommitted::Damaged("entry 7 in /var/lib: it ends too early".to_owned()));
    let told = unavailable("the room's log takes no writes now");
    let mut all: Vec<_> = [2, 1, 20, 10, 99].map(|reply| Effect::Reply(reply, told.clone())).into();
    all.push(Effect::Stop(StopReason::Damaged));
    assert_eq!(effects, all);
}

/// Who waits for the append itself, be it by a copy, cannot be told that nothing was stored.
#[test]
fn an_unknown_outcome_is_told_as_such_and_stops_the_room() {
    let mut room = busy_room();
    let effects = room.lose();
    let rest = unavailable("the room is being recovered");
    assert_eq!(
        effects,
        [
            Effect::Reply(2, Err(Refusal::OutcomeUnknown)),
            Effect::Reply(20, Err(Refusal::OutcomeUnknown)),
            Effect::Reply(1, rest.clone()),
            Effect::Reply(10, rest.clone()),
            Effect::Reply(99, rest),
            Effect::Stop(StopReason::OutcomeUnknown),
        ]
    );
    let moving = unavailable("the room is moving");
    assert_eq!(room.submit(send(&bob(), 1, "queued")), [Effect::Reply(1, moving.clone())]);
    let ban = ChangeKind::Member(MemberChange { user: bob().user, role: Some(Role::Banned) });
    assert_eq!(room.change(5, ban), [Effect::Reply(5, moving)]);
    assert_eq!(room.handle(Input::Drain { goes_on: false }), [], "it has stopped already");
}

#[test]
fn the_next_activation_finds_out_what_became_of_it() {
    for stored in [true, false] {
        let mut room = busy_room();
        if stored {
            room.store();
        }
        room.lose();
        room.activate();
        let again = room.submit(send(&ann(), 2, "in flight"));
        if stored {
            assert_eq!(replies(&again), [(2, duplicate(3))]);
        } else {
            assert_eq!(replies(&room.commit()), [(2, ack(3))]);
        }
        assert_eq!(room.write(send(&bob(), 1, "queued")), Seq::new(4));
    }
}

#[test]
fn a_drained_room_finishes_what_it_took_snapshots_and_stops() {
    let mut room = busy_room();
    assert_eq!(room.handle(Input::Drain { goes_on: false }), []);
    let moving = unavailable("the room is moving");
    assert_eq!(room.submit(send(&ann(), 3, "late")), [Effect::Reply(3, moving)]);
    assert_eq!(stopped(&room.commit()), None, "the queue is not empty yet");
    let effects = room.commit();
    let state = snapshot::encode(&room.log.replay());
    assert_eq!(effects.last_chunk(), Some(&[Effect::Snapshot(state), Effect::Stop(StopReason::Drained)]));
    assert_eq!(replies(&effects).len(), 3);
}

#[test]
fn a_drained_room_whose_append_is_refused_or_lost_stops_too() {
    let mut room = busy_room();
    room.handle(Input::Drain { goes_on: false });
    let effects = room.reject_full();
    assert_eq!(replies(&effects).len(), 5);
    let state = snapshot::encode(&room.log.replay());
    assert_eq!(effects.last_chunk(), Some(&[Effect::Snapshot(state), Effect::Stop(StopReason::Drained)]));

    for (fails, reason) in [(true, StopReason::Fenced), (false, StopReason::OutcomeUnknown)] {
        let mut room = busy_room();
        room.handle(Input::Drain { goes_on: false });
        let effects = if fails { room.reject(NotCommitted::Fenced) } else { room.lose() };
        assert_eq!(replies(&effects).len(), 5);
        assert_eq!(effects.last(), Some(&Effect::Stop(reason)));
    }
}

#[test]
fn an_idle_room_is_drained_at_once_with_a_snapshot_of_what_is_new() {
    let mut room = TestRoom::with_writes(3);
    let state = snapshot::encode(room.core.committed());
    let drained = [Effect::Snapshot(state), Effect::Stop(StopReason::Drained)];
    assert_eq!(room.handle(Input::Drain { goes_on: false }), drained);
    assert_eq!(room.handle(Input::Drain { goes_on: false }), [], "once");

    room.activate();
    assert_eq!(room.handle(Input::Drain { goes_on: false }), [Effect::Stop(StopReason::Drained)], "nothing is new");

    assert_eq!(TestRoom::new().handle(Input::Drain { goes_on: false }), [Effect::Stop(StopReason::Drained)]);
}

#[test]
fn a_room_that_goes_on_elsewhere_leaves_a_snapshot_where_much_is_new() {
    // Its creation is an entry too.
    for (writes, stores) in [(3, false), (254, false), (255, true)] {
        let mut room = TestRoom::with_writes(writes);
        let state = snapshot::encode(room.core.committed());
        let snapshot = stores.then_some(Effect::Snapshot(state));
        let drained: Vec<_> = snapshot.into_iter().chain([Effect::Stop(StopReason::Drained)]).collect();
        assert_eq!(room.handle(Input::Drain { goes_on: true }), drained, "{writes} writes");
    }
}
