use rollcall_protocol::{DeviceId, RoomId, UserId};

use super::support::{
    RIGHTS, ack, answer, feed, forwarding, large, life, numbers, refused, reply, room, sent, submit_all, write,
};
use crate::cluster::Incarnation;
use crate::cluster::envelope::SubmitReply;
use crate::cluster::forwarding::{Correlations, ForwardEffect, ForwardInput, Forwarding};
use crate::room::{Refusal, Rights};

fn out_of_order(last: u64) -> Refusal {
    Refusal::OutOfOrder { last }
}

#[test]
fn a_write_goes_out_at_once_and_its_answer_comes_back() {
    let mut forwarding = forwarding();
    let submits = submit_all(&mut forwarding, 0, 2);
    assert_eq!(
        submits.iter().map(|submit| submit.correlation.counter).collect::<Vec<_>>(),
        [(3 << 32) + 1, (3 << 32) + 2]
    );
    assert_eq!(feed(&mut forwarding, 1, reply(&submits[1], 2, ack(11))), [answer(2, ack(11))]);
    assert_eq!(feed(&mut forwarding, 1, reply(&submits[0], 1, ack(10))), [answer(1, ack(10))]);
    assert_eq!((forwarding.unanswered(), forwarding.wakes_at_ms()), (0, None));
}

#[test]
fn what_is_not_answered_in_two_seconds_is_sent_again_from_there_in_one_envelope() {
    let mut forwarding = forwarding();
    let first = submit_all(&mut forwarding, 0, 1);
    let later: Vec<_> = (2..=4)
        .flat_map(|n| sent(feed(&mut forwarding, 500, ForwardInput::Submit(write("phone", n, n - 1)))))
        .collect();
    feed(&mut forwarding, 600, reply(&first[0], 1, ack(1)));
    assert_eq!(forwarding.wakes_at_ms(), Some(2_500));
    feed(&mut forwarding, 600, reply(&later[1], 3, ack(3)));
    assert_eq!(feed(&mut forwarding, 2_499, ForwardInput::Tick), []);
    let effects = feed(&mut forwarding, 2_500, ForwardInput::Tick);
    assert_eq!(effects.len(), 1);
    assert_eq!(numbers(&sent(effects)), [2, 4]);
    assert_eq!(forwarding.wakes_at_ms(), Some(4_500));
    // The answer to the first copy is an answer.
    assert_eq!(feed(&mut forwarding, 2_600, reply(&later[0], 2, ack(2))), [answer(2, ack(2))]);
}

#[test]
fn a_new_owner_gets_everything_at_once() {
    let mut forwarding = forwarding();
    submit_all(&mut forwarding, 0, 3);
    let effects = feed(&mut forwarding, 10, ForwardInput::Owner(Some(life("n3", 1))));
    let [ForwardEffect::Send { to, submits }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((to, numbers(submits)), (&life("n3", 1), vec![1, 2, 3]));
    // Another life of the same node is another owner, and the same one is none.
    assert_eq!(feed(&mut forwarding, 20, ForwardInput::Owner(Some(life("n3", 2)))).len(), 1);
    assert_eq!(feed(&mut forwarding, 20, ForwardInput::Owner(Some(life("n3", 2)))), []);
}

#[test]
fn without_an_owner_writes_wait_and_one_is_looked_for() {
    let mut forwarding = Forwarding::new(room(), Correlations::new(Incarnation(7), 0));
    let wanted = feed(&mut forwarding, 0, ForwardInput::Submit(write("phone", 1, 0)));
    assert_eq!(wanted, [ForwardEffect::FindOwner]);
    assert_eq!(feed(&mut forwarding, 0, ForwardInput::Submit(write("phone", 2, 1))), []);
    // Nobody was found: a little later.
    assert_eq!(feed(&mut forwarding, 10, ForwardInput::Owner(None)), []);
    assert_eq!(forwarding.wakes_at_ms(), Some(260));
    assert_eq!(feed(&mut forwarding, 260, ForwardInput::Tick), [ForwardEffect::FindOwner]);
    let submits = sent(feed(&mut forwarding, 300, ForwardInput::Owner(Some(life("n2", 1)))));
    assert_eq!(numbers(&submits), [1, 2]);
}

#[test]
fn who_says_that_it_is_not_the_owner_is_asked_no_more() {
    let mut forwarding = forwarding();
    submit_all(&mut forwarding, 0, 2);
    assert_eq!(feed(&mut forwarding, 1, ForwardInput::NotOwner { from: life("n9", 1) }), []);
    assert_eq!(feed(&mut forwarding, 1, ForwardInput::NotOwner { from: life("n2", 1) }), [ForwardEffect::FindOwner]);
    assert_eq!(forwarding.owner(), None);
    let submits = sent(feed(&mut forwarding, 2, ForwardInput::Owner(Some(life("n2", 1)))));
    assert_eq!(numbers(&submits), [1, 2]);
}

#[test]
fn a_missing_write_that_is_held_is_sent_again_from_there() {
    let mut forwarding = forwarding();
    let submits = submit_all(&mut forwarding, 0, 5);
    feed(&mut forwarding, 1, reply(&submits[0], 1, ack(1)));
    // 2 was lost; 3 is refused for it.
    let again = sent(feed(&mut forwarding, 2, reply(&submits[2], 3, refused(&out_of_order(1)))));
    assert_eq!(numbers(&again), [2, 3, 4, 5]);
    // So are 4 and 5, in copies that were sent before.
    for n in [4, 5] {
        assert_eq!(feed(&mut forwarding, 3, reply(&submits[n - 1], n as u64, refused(&out_of_order(1)))), []);
    }
    for n in 2..=5 {
        assert_eq!(feed(&mut forwarding, 4, reply(&again[0], n, ack(n))), [answer(n, ack(n))]);
    }
}

#[test]
fn a_missing_write_that_is_not_held_is_the_clients_matter() {
    let mut forwarding = forwarding();
    let submit = |forwarding: &mut Forwarding<u64>, n, prev| {
        sent(feed(forwarding, 0, ForwardInput::Submit(write("phone", n, prev)))).remove(0)
    };
    let (five, six) = (submit(&mut forwarding, 5, 4), submit(&mut forwarding, 6, 5));
    let mut passed_on = out_of_order(3).to_frame(true);
    assert!(passed_on.is_final);
    let effects = feed(&mut forwarding, 1, reply(&five, 5, refused(&out_of_order(3))));
    assert_eq!(effects, [answer(5, Err(passed_on))]);
    // Its successor's predecessor is not held any more either.
    passed_on = out_of_order(3).to_frame(true);
    let effects = feed(&mut forwarding, 1, reply(&six, 6, refused(&out_of_order(3))));
    assert_eq!(effects, [answer(6, Err(passed_on))]);
    // The owner has more than the sender thinks: nothing is missing.
    let (eight, nine) = (submit(&mut forwarding, 8, 6), submit(&mut forwarding, 9, 6));
    let effects = feed(&mut forwarding, 1, reply(&nine, 9, refused(&out_of_order(8))));
    assert_eq!(effects, [answer(9, Err(out_of_order(8).to_frame(true)))]);
    assert_eq!(feed(&mut forwarding, 1, reply(&eight, 8, ack(8))), [answer(8, ack(8))]);
}

#[test]
fn a_refusal_is_final_only_if_one_copy_was_sent_in_all() {
    let forbidden = Refusal::Forbidden("no");
    let mut forwarding = forwarding();
    let submits = submit_all(&mut forwarding, 0, 3);
    let effects = feed(&mut forwarding, 1, reply(&submits[0], 1, refused(&forbidden)));
    assert_eq!(effects, [answer(1, Err(forbidden.to_frame(true)))]);
    let again = sent(feed(&mut forwarding, 2_000, ForwardInput::Tick));
    for (of, n) in [(&submits[1], 2), (&again[0], 3)] {
        let effects = feed(&mut forwarding, 2_001, reply(of, n, refused(&forbidden)));
        assert_eq!(effects, [answer(n, Err(forbidden.to_frame(false)))]);
        assert!(!forbidden.to_frame(false).is_final);
    }
    // Some are final whatever else was sent, and some never are.
    for refusal in [Refusal::Conflict, Refusal::Skipped, Refusal::TooOld, Refusal::Busy, Refusal::OutcomeUnknown] {
        let mut forwarding = forwarding_again();
        let again = sent(feed(&mut forwarding, 2_000, ForwardInput::Tick));
        let effects = feed(&mut forwarding, 2_001, reply(&again[0], 1, refused(&refusal)));
        assert_eq!(effects, [answer(1, Err(refusal.to_frame(false)))]);
        assert_eq!(refusal.to_frame(false).is_final, refusal.is_final_for_every_copy());
    }
}

fn forwarding_again() -> Forwarding<u64> {
    let mut forwarding = forwarding();
    submit_all(&mut forwarding, 0, 1);
    forwarding
}

#[test]
fn an_answer_must_name_what_was_asked() {
    let mut forwarding = forwarding();
    let submit = submit_all(&mut forwarding, 0, 1).remove(0);
    let right = SubmitReply {
        correlation: submit.correlation,
        room: room(),
        user: submit.user.clone(),
        device: submit.device.clone(),
        n: 1,
        result: ack(1),
    };
    let other_counter = crate::cluster::Correlation { counter: 1, ..submit.correlation };
    let other_life = crate::cluster::Correlation { incarnation: Incarnation(8), ..submit.correlation };
    for stray in [
        SubmitReply { correlation: other_counter, ..right.clone() },
        SubmitReply { correlation: other_life, ..right.clone() },
        SubmitReply { room: RoomId::parse("other").unwrap(), ..right.clone() },
        SubmitReply { user: UserId::parse("bob").unwrap(), ..right.clone() },
        SubmitReply { device: DeviceId::parse("laptop").unwrap(), ..right.clone() },
        SubmitReply { n: 2, ..right.clone() },
    ] {
        assert_eq!(feed(&mut forwarding, 1, ForwardInput::Reply(stray)), [ForwardEffect::Stray]);
    }
    assert_eq!(feed(&mut forwarding, 1, ForwardInput::Reply(right.clone())), [answer(1, ack(1))]);
    // Once.
    assert_eq!(feed(&mut forwarding, 1, ForwardInput::Reply(right)), [ForwardEffect::Stray]);
}

#[test]
fn a_device_has_64_unanswered_writes_at_most() {
    let mut forwarding = forwarding();
    submit_all(&mut forwarding, 0, 64);
    let effects = feed(&mut forwarding, 1, ForwardInput::Submit(write("phone", 65, 64)));
    assert_eq!(effects, [answer(65, Err(Refusal::TooManyUnanswered.to_frame(true)))]);
    let effects = feed(&mut forwarding, 1, ForwardInput::Submit(write("laptop", 1, 0)));
    assert_eq!(sent(effects).len(), 1);
}

#[test]
fn a_change_of_rights_is_told_apart() {
    let mut forwarding = Forwarding::new(room(), Correlations::new(Incarnation(7), 0));
    for (n, moderate) in [(1, false), (2, false), (3, true), (4, false)] {
        let forward = write("phone", n, n - 1);
        let rights = Rights { moderate, ..RIGHTS };
        feed(&mut forwarding, 0, ForwardInput::Submit(super::super::ToForward { rights, ..forward }));
    }
    let effects = feed(&mut forwarding, 0, ForwardInput::Owner(Some(life("n2", 1))));
    assert_eq!(effects.len(), 1);
    let submits = sent(effects);
    let split: Vec<_> = submits.iter().map(|submit| numbers(std::slice::from_ref(submit))).collect();
    assert_eq!(split, [vec![1, 2], vec![3], vec![4]]);
}

#[test]
fn large_writes_follow_each_other() {
    let mut forwarding = forwarding();
    let submits: Vec<_> =
        (1..=5).flat_map(|n| sent(feed(&mut forwarding, 0, ForwardInput::Submit(large("phone", n, n - 1))))).collect();
    assert_eq!(numbers(&submits), [1, 2]);
    // A small one does not overtake what waits.
    assert_eq!(feed(&mut forwarding, 0, ForwardInput::Submit(write("phone", 6, 5))), []);
    let effects = feed(&mut forwarding, 1, reply(&submits[0], 1, ack(1)));
    assert_eq!(effects[0], answer(1, ack(1)));
    assert_eq!(numbers(&sent(effects[1..].to_vec())), [3]);
    // What is sent again keeps to that too.
    let again = sent(feed(&mut forwarding, 2_000, ForwardInput::Tick));
    assert_eq!(numbers(&again), [2, 3]);
    let effects = feed(&mut forwarding, 2_001, reply(&again[0], 3, ack(3)));
    assert_eq!(numbers(&sent(effects[1..].to_vec())), [4]);
}

#[test]
fn a_write_that_is_never_answered_is_given_up_as_unknown() {
    let mut forwarding = forwarding();
    submit_all(&mut forwarding, 0, 2);
    let mut unknown = Vec::new();
    while let Some(at_ms) = forwarding.wakes_at_ms() {
        assert!(at_ms <= 30_000);
        let effects = feed(&mut forwarding, at_ms, ForwardInput::Tick);
        unknown.extend(effects.into_iter().filter(|effect| matches!(effect, ForwardEffect::Answer { .. })));
    }
    let error = Err(Refusal::OutcomeUnknown.to_frame(false));
    assert_eq!(unknown, [answer(1, error.clone()), answer(2, error)]);
}

#[test]
fn an_owner_that_answers_nothing_is_looked_for_again_and_goes_on_being_sent_to() {
    let mut forwarding = forwarding();
    let submits = submit_all(&mut forwarding, 0, 1);
    assert_eq!(sent(feed(&mut forwarding, 2_000, ForwardInput::Tick)).len(), 1);
    let mut effects = feed(&mut forwarding, 4_000, ForwardInput::Tick);
    assert_eq!(effects.pop(), Some(ForwardEffect::FindOwner));
    assert_eq!(numbers(&sent(effects)), [1]);
    // It is the same one: nothing is sent twice for that.
    assert_eq!(feed(&mut forwarding, 4_100, ForwardInput::Owner(Some(life("n2", 1)))), []);
    assert_eq!(feed(&mut forwarding, 6_000, ForwardInput::Tick).last(), Some(&ForwardEffect::FindOwner));
    assert_eq!(feed(&mut forwarding, 6_100, reply(&submits[0], 1, ack(1))), [answer(1, ack(1))]);
    // One that has answered is given as long again.
    feed(&mut forwarding, 7_000, ForwardInput::Submit(write("phone", 2, 1)));
    assert_eq!(sent(feed(&mut forwarding, 9_000, ForwardInput::Tick)).len(), 1);
}

#[test]
fn an_owner_on_the_same_node_gets_everything_at_once() {
    let mut forwarding = Forwarding::new(room(), Correlations::new(Incarnation(7), 0));
    for n in 1..=5 {
        feed(&mut forwarding, 0, ForwardInput::Submit(large("phone", n, n - 1)));
    }
    let submits = sent(feed(&mut forwarding, 1, ForwardInput::Owner(Some(life("n1", 7)))));
    assert_eq!(numbers(&submits), [1, 2, 3, 4, 5]);
}
