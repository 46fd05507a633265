use std::sync::Arc;

use rollcall_protocol::{Epoch, Seq};

use super::support::{failed, life, owner, room};
use crate::cluster::ownership::{ActivateWith, Owned, OwnedEffect, OwnedInput, RedisAnswer, RedisCommand};

fn feed(owned: &mut Owned, now_ms: u64, input: OwnedInput) -> Vec<OwnedEffect> {
    let mut effects = Vec::new();
    owned.handle(now_ms, input, &mut effects);
    effects
}

fn answer(owned: &mut Owned, now_ms: u64, answer: RedisAnswer) -> Vec<OwnedEffect> {
    feed(owned, now_ms, OwnedInput::Answer { room: room("r"), answer })
}

fn activated(epoch: u64, last_seq: u64, with: ActivateWith) -> OwnedInput {
    OwnedInput::Activated { room: room("r"), epoch: Epoch::new(epoch), last_seq: Seq::new(last_seq), with }
}

fn own(epoch: u64) -> Option<Arc<str>> {
    Some(owner("n1", 1, epoch).text())
}

fn other(epoch: u64) -> Option<Arc<str>> {
    Some(owner("n2", 2, epoch).text())
}

fn with(epoch: u64, hint: u64) -> ActivateWith {
    ActivateWith { epoch: Epoch::new(epoch), hint: Seq::new(hint), claimed: own(epoch), handed_over: None }
}

fn run(command: RedisCommand) -> Vec<OwnedEffect> {
    vec![OwnedEffect::Run { room: room("r"), command }]
}

fn swap(expected: Option<Arc<str>>, new: Option<Arc<str>>) -> Vec<OwnedEffect> {
    run(RedisCommand::SwapOwner { room: room("r"), expected, new })
}

fn raise_epoch(to: u64) -> Vec<OwnedEffect> {
    run(RedisCommand::RaiseEpoch { room: room("r"), to: Epoch::new(to) })
}

fn raise_seq(to: u64) -> Vec<OwnedEffect> {
    run(RedisCommand::RaiseSeq { room: room("r"), to: Seq::new(to) })
}

/// n1 owns the room under epoch 5, and Redis has it all.
fn settled() -> Owned {
    let mut owned = Owned::new(life("n1", 1));
    assert_eq!(feed(&mut owned, 0, activated(5, 10, with(5, 10))), []);
    assert!(owned.is_settled());
    owned
}

#[test]
fn what_the_claim_says_already_is_not_said_again() {
    let owned = settled();
    assert_eq!(owned.rooms().collect::<Vec<_>>(), [(&room("r"), Epoch::new(5))]);
}

#[test]
fn the_logs_epoch_is_written_back_where_redis_gave_a_lower_one() {
    let mut owned = Owned::new(life("n1", 1));
    assert_eq!(feed(&mut owned, 0, activated(58, 10, with(1, 10))), swap(own(1), own(58)));
    assert_eq!(answer(&mut owned, 0, RedisAnswer::Swapped), raise_epoch(58));
    assert_eq!(answer(&mut owned, 0, RedisAnswer::Done), []);
}

#[test]
fn what_was_activated_without_redis_is_announced_when_it_returns() {
    let mut owned = Owned::new(life("n1", 1));
    assert_eq!(feed(&mut owned, 0, activated(58, 10, ActivateWith::default())), swap(own(58), own(58)));
    assert_eq!(answer(&mut owned, 1_000, failed()), []);
    assert_eq!(owned.wakes_at_ms(), Some(2_000));
    assert_eq!(feed(&mut owned, 1_500, OwnedInput::Returned), swap(own(58), own(58)));
    assert_eq!(answer(&mut owned, 1_500, RedisAnswer::Found(other(57))), swap(other(57), own(58)));
    assert_eq!(answer(&mut owned, 1_500, RedisAnswer::Swapped), raise_epoch(58));
    assert_eq!(answer(&mut owned, 1_500, RedisAnswer::Done), raise_seq(10));
    assert_eq!(answer(&mut owned, 1_500, RedisAnswer::Done), []);
    assert!(owned.is_settled());
}

#[test]
fn keys_are_written_again_when_redis_has_lost_them() {
    let mut owned = settled();
    assert_eq!(feed(&mut owned, 100, OwnedInput::Returned), swap(own(5), own(5)));
    assert_eq!(answer(&mut owned, 100, RedisAnswer::Found(None)), swap(None, own(5)));
    assert_eq!(answer(&mut owned, 100, RedisAnswer::Swapped), raise_epoch(5));
    assert_eq!(answer(&mut owned, 100, RedisAnswer::Done), []);
}

#[test]
fn keys_are_compared_once_in_half_a_minute() {
    let mut owned = settled();
    assert_eq!(owned.wakes_at_ms(), Some(30_000));
    assert_eq!(feed(&mut owned, 30_000, OwnedInput::Tick), swap(own(5), own(5)));
    assert_eq!(answer(&mut owned, 30_001, RedisAnswer::Swapped), raise_epoch(5));
    assert_eq!(answer(&mut owned, 30_002, RedisAnswer::Done), []);
    assert_eq!(owned.wakes_at_ms(), Some(60_000));
}

#[test]
fn a_higher_epoch_replaces_a_lower_one_and_gives_way_to_one_that_is_not() {
    for (found, gives_way) in [(other(4), false), (other(5), true), (other(6), true), (Some("garbage".into()), false)] {
        let mut owned = settled();
        feed(&mut owned, 100, OwnedInput::Returned);
        let effects = answer(&mut owned, 100, RedisAnswer::Found(found.clone()));
        if gives_way {
            let by = crate::cluster::ownership::OwnerRecord::parse(&found.unwrap()).unwrap();
            let superseded = OwnedEffect::Superseded { room: room("r"), by };
            assert_eq!(effects, [vec![superseded], raise_epoch(5)].concat());
        } else {
            assert_eq!(effects, swap(found, own(5)));
        }
    }
}

#[test]
fn a_wrong_hint_is_corrected_and_counted() {
    let mut owned = Owned::new(life("n1", 1));
    let correct = RedisCommand::CorrectSeq { room: room("r"), to: Seq::new(10) };
    let counted = OwnedEffect::HintCorrected { room: room("r"), was: Seq::new(99) };
    assert_eq!(feed(&mut owned, 0, activated(5, 10, with(5, 99))), [vec![counted], run(correct)].concat());
    assert_eq!(answer(&mut owned, 0, RedisAnswer::Done), []);
}

#[test]
fn the_hint_is_raised_at_each_roll_and_when_the_room_is_given_up() {
    let mut owned = settled();
    let rolled = OwnedInput::Rolled { room: room("r"), last_seq: Seq::new(4_096) };
    assert_eq!(feed(&mut owned, 100, rolled), raise_seq(4_096));
    // Another roll while the first is under way.
    let rolled = OwnedInput::Rolled { room: room("r"), last_seq: Seq::new(8_192) };
    assert_eq!(feed(&mut owned, 100, rolled), []);
    assert_eq!(answer(&mut owned, 100, RedisAnswer::Done), raise_seq(8_192));
    answer(&mut owned, 100, RedisAnswer::Done);
    let given_up = OwnedInput::GivenUp { room: room("r"), last_seq: Seq::new(8_200) };
    assert_eq!(feed(&mut owned, 200, given_up), swap(own(5), None));
    assert_eq!(answer(&mut owned, 200, RedisAnswer::Swapped), raise_seq(8_200));
    assert_eq!(answer(&mut owned, 200, RedisAnswer::Done), []);
    assert_eq!((owned.rooms().count(), owned.wakes_at_ms(), owned.is_settled()), (0, None, true));
}

#[test]
fn only_its_own_key_is_deleted() {
    let mut owned = settled();
    feed(&mut owned, 200, OwnedInput::GivenUp { room: room("r"), last_seq: Seq::ZERO });
    assert_eq!(answer(&mut owned, 200, RedisAnswer::Found(other(6))), []);
    assert!(owned.is_settled());
    // A key of its own that an earlier command left there.
    let mut owned = settled();
    feed(&mut owned, 200, OwnedInput::GivenUp { room: room("r"), last_seq: Seq::ZERO });
    assert_eq!(answer(&mut owned, 200, RedisAnswer::Found(own(4))), swap(own(4), None));
}

#[test]
fn a_room_that_comes_back_while_it_is_given_up_is_announced_again() {
    let mut owned = settled();
    feed(&mut owned, 200, OwnedInput::GivenUp { room: room("r"), last_seq: Seq::ZERO });
    assert_eq!(feed(&mut owned, 200, activated(6, 10, with(6, 10))), []);
    assert_eq!(answer(&mut owned, 200, RedisAnswer::Found(own(6))), []);
    let mut owned = settled();
    feed(&mut owned, 200, OwnedInput::GivenUp { room: room("r"), last_seq: Seq::ZERO });
    assert_eq!(feed(&mut owned, 200, activated(6, 10, ActivateWith::default())), []);
    assert_eq!(answer(&mut owned, 200, RedisAnswer::Swapped), swap(None, own(6)));
}

#[test]
fn a_claim_that_came_to_nothing_is_taken_back() {
    let mut owned = Owned::new(life("n1", 1));
    let abandoned = OwnedInput::Abandoned { room: room("r"), claimed: own(3).unwrap() };
    assert_eq!(feed(&mut owned, 0, abandoned), swap(own(3), None));
    assert_eq!(answer(&mut owned, 0, RedisAnswer::Swapped), []);
    assert_eq!(owned, Owned::new(life("n1", 1)));
}

#[test]
fn many_rooms_are_announced_a_few_at_a_time() {
    let mut owned = Owned::new(life("n1", 1));
    for number in 0..200 {
        let room = room(&format!("room-{number:03}"));
        let (epoch, last_seq) = (Epoch::new(1), Seq::ZERO);
        let with = ActivateWith { claimed: own(1), epoch, ..ActivateWith::default() };
        assert_eq!(feed(&mut owned, 0, OwnedInput::Activated { room, epoch, last_seq, with }), []);
    }
    let mut waiting = feed(&mut owned, 100, OwnedInput::Returned);
    assert_eq!(waiting.len(), 64);
    let mut announced = 0;
    while let Some(effect) = waiting.pop() {
        let OwnedEffect::Run { room, command } = effect else { panic!("{effect:?}") };
        let answer = match command {
            RedisCommand::SwapOwner { .. } => RedisAnswer::Swapped,
            _ => RedisAnswer::Done,
        };
        announced += usize::from(answer == RedisAnswer::Swapped);
        waiting.extend(feed(&mut owned, 100, OwnedInput::Answer { room, answer }));
        assert!(waiting.len() <= 64);
    }
    assert_eq!(announced, 200);
    assert!(owned.is_settled());
}
