use std::collections::BTreeSet;
use std::sync::Arc;

use rollcall_protocol::{Epoch, OwnerId, Seq};

use super::support::{failed, life, node, open, owner, room};
use crate::cluster::ownership::{
    ActivateWith, Peers, PeersInput, Reason, RedisAnswer, RedisCommand, Seat, SeekEffect, SeekInput, Seeking,
    Surroundings,
};
use crate::ports::{Fence, NodeId};

/// A search by n1 in its first life.
struct Search {
    seeking: Seeking,
    peers: Peers,
    passed_over: BTreeSet<NodeId>,
    takes_rooms: bool,
    first: Vec<SeekEffect>,
}

impl Search {
    /// n2 lives too. Rooms that begin with `for-n1` or `for-n2` prefer that one.
    fn new(name: &str, reason: Reason, not_before_ms: u64) -> Self {
        let mut peers = Peers::new(node("n1"));
        let mut ignored = Vec::new();
        peers.handle(0, PeersInput::Tick, &mut ignored);
        peers.handle(0, PeersInput::Answer(RedisAnswer::Roster(vec!["n2".into()])), &mut ignored);
        peers.handle(0, PeersInput::Answer(RedisAnswer::Node(Some((open(2), 3_000)))), &mut ignored);
        let mut first = Vec::new();
        let seeking = Seeking::new(room(name), life("n1", 1), reason, not_before_ms, &mut first);
        Self { seeking, peers, passed_over: BTreeSet::new(), takes_rooms: true, first }
    }

    fn wanted(name: &str) -> Self {
        Self::new(name, Reason::Wanted, 0)
    }

    fn feed(&mut self, now_ms: u64, input: SeekInput) -> Vec<SeekEffect> {
        let around =
            Surroundings { takes_rooms: self.takes_rooms, peers: &self.peers, passed_over: &self.passed_over, draw: 7 };
        let mut effects = Vec::new();
        self.seeking.handle(now_ms, input, around, &mut effects);
        effects
    }

    fn answer(&mut self, now_ms: u64, answer: RedisAnswer) -> Vec<SeekEffect> {
        self.feed(now_ms, SeekInput::Answer(answer))
    }

    fn name(&self) -> rollcall_protocol::RoomId {
        match &self.first[..] {
            [SeekEffect::Run(RedisCommand::ReadOwner { room })] => room.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// Answers the commands of a claim that succeeds.
    fn claim(&mut self, effects: &[SeekEffect], expected: Option<&str>, drawn: i64, hint: Option<&str>) -> Seat {
        let room = self.name();
        assert_eq!(effects, [SeekEffect::Run(RedisCommand::DrawEpoch { room: room.clone() })]);
        let effects = self.answer(0, RedisAnswer::Number(drawn));
        assert_eq!(effects, [SeekEffect::Run(RedisCommand::ReadSeq { room: room.clone() })]);
        let effects = self.answer(0, RedisAnswer::Text(hint.map(Into::into)));
        let [SeekEffect::Run(RedisCommand::SwapOwner { room: of, expected: compared, new: Some(_) })] = &effects[..]
        else {
            panic!("{effects:?}");
        };
        assert_eq!((of, compared.as_deref()), (&room, expected));
        found(&self.answer(0, RedisAnswer::Swapped))
    }
}

fn found(effects: &[SeekEffect]) -> Seat {
    match effects {
        [SeekEffect::Found(seat)] => seat.clone(),
        other => panic!("{other:?}"),
    }
}

/// A room's name that prefers a node, of the two that live.
fn preferring(name: &str) -> String {
    let nodes = [node("n1"), node("n2")];
    let names = (0..).map(|number| format!("room-{number}"));
    names
        .into_iter()
        .find(|text| crate::cluster::ownership::preferred(&room(text), &nodes) == Some(&node(name)))
        .unwrap()
}

fn here(epoch: u64, hint: u64) -> Seat {
    let claimed = Some(owner("n1", 1, epoch).text());
    Seat::Here(ActivateWith { epoch: Epoch::new(epoch), hint: Seq::new(hint), claimed, handed_over: None })
}

fn text(epoch: u64) -> Option<Arc<str>> {
    Some(owner("n2", 2, epoch).text())
}

#[test]
fn a_room_is_where_its_owner_lives() {
    let mut search = Search::wanted("r");
    let effects = search.answer(0, RedisAnswer::Text(text(5)));
    assert_eq!(effects, [SeekEffect::Run(RedisCommand::ReadNode { node: node("n2") })]);
    let effects = search.answer(0, RedisAnswer::Node(Some((open(2), 10))));
    assert_eq!(found(&effects), Seat::There(owner("n2", 2, 5)));
    assert_eq!(search.seeking.wakes_at_ms(), None);
}

#[test]
fn an_owner_whose_life_is_over_is_taken_over_by_the_exact_old_value() {
    for node in [None, Some((open(3), 10)), Some(("garbage".into(), 10))] {
        let mut search = Search::wanted(&preferring("n1"));
        search.peers = Peers::new(self::node("n1"));
        search.answer(0, RedisAnswer::Text(text(5)));
        let effects = search.answer(0, RedisAnswer::Node(node));
        assert_eq!(search.claim(&effects, text(5).as_deref(), 6, Some("4096")), here(6, 4096));
    }
}

#[test]
fn an_owner_that_redis_does_not_know_keeps_its_room_as_long_as_it_counts_as_alive() {
    let mut search = Search::wanted(&preferring("n1"));
    search.answer(0, RedisAnswer::Text(text(5)));
    assert_eq!(search.answer(0, RedisAnswer::Node(None)), []);
    assert_eq!(search.seeking.wakes_at_ms(), Some(250));
    let again = [SeekEffect::Run(RedisCommand::ReadOwner { room: search.name() })];
    assert_eq!(search.feed(250, SeekInput::Tick), again);
    search.answer(251, RedisAnswer::Text(text(5)));
    assert_eq!(found(&search.answer(252, RedisAnswer::Node(Some((open(2), 3_000))))), Seat::There(owner("n2", 2, 5)));
}

#[test]
fn an_inactive_room_goes_to_the_node_that_it_prefers() {
    let mut search = Search::wanted(&preferring("n2"));
    assert_eq!(found(&search.answer(0, RedisAnswer::Text(None))), Seat::Ask(node("n2")));
    let mut search = Search::wanted(&preferring("n1"));
    let effects = search.answer(0, RedisAnswer::Text(None));
    assert_eq!(search.claim(&effects, None, 1, None), here(1, 0));
}

#[test]
fn a_node_that_is_asked_activates_whatever_it_thinks_of_the_others() {
    let mut search = Search::new(&preferring("n2"), Reason::Asked, 0);
    let effects = search.answer(0, RedisAnswer::Text(None));
    assert_eq!(search.claim(&effects, None, 1, None), here(1, 0));
}

#[test]
fn a_node_that_did_not_answer_is_passed_over() {
    let mut search = Search::wanted(&preferring("n2"));
    search.passed_over.insert(node("n2"));
    let effects = search.answer(0, RedisAnswer::Text(None));
    assert_eq!(search.claim(&effects, None, 1, None), here(1, 0));
}

#[test]
fn a_node_that_takes_no_rooms_takes_none() {
    let mut search = Search::wanted(&preferring("n1"));
    search.takes_rooms = false;
    assert_eq!(found(&search.answer(0, RedisAnswer::Text(None))), Seat::Ask(node("n2")));
    let mut search = Search::new("r", Reason::Asked, 0);
    search.takes_rooms = false;
    assert_eq!(found(&search.answer(0, RedisAnswer::Text(None))), Seat::Nowhere);
}

#[test]
fn garbage_under_the_owner_key_is_replaced() {
    let mut search = Search::new("r", Reason::Asked, 0);
    let effects = search.answer(0, RedisAnswer::Text(Some("garbage".into())));
    assert_eq!(search.claim(&effects, Some("garbage"), 1, None), here(1, 0));
}

#[test]
fn a_key_of_this_node_is_no_obstacle() {
    // Of this life, given up a moment ago, and of an earlier one.
    for incarnation in [1, 9] {
        let mut search = Search::new("r", Reason::Asked, 0);
        let own = Some(owner("n1", incarnation, 5).text());
        let effects = search.answer(0, RedisAnswer::Text(own.clone()));
        assert_eq!(search.claim(&effects, own.as_deref(), 6, None), here(6, 0));
    }
}

#[test]
fn a_key_that_names_this_life_makes_it_activate_whoever_is_preferred() {
    // As a Redis that went back in time says: whoever is asked instead would find this node alive under the key, and refuse.
    let mut search = Search::wanted(&preferring("n2"));
    let own = Some(owner("n1", 1, 4).text());
    let effects = search.answer(0, RedisAnswer::Text(own.clone()));
    assert_eq!(search.claim(&effects, own.as_deref(), 5, None), here(5, 0));
    // An earlier life's is nobody's to any node.
    let mut search = Search::wanted(&preferring("n2"));
    let effects = search.answer(0, RedisAnswer::Text(Some(owner("n1", 7, 4).text())));
    assert_eq!(found(&effects), Seat::Ask(node("n2")));
}

#[test]
fn whoever_loses_the_claim_looks_again_and_finds_the_winner() {
    let mut search = Search::new("r", Reason::Asked, 0);
    search.answer(0, RedisAnswer::Text(None));
    search.answer(0, RedisAnswer::Number(2));
    search.answer(0, RedisAnswer::Text(None));
    let effects = search.answer(0, RedisAnswer::Found(text(1)));
    assert_eq!(effects, [SeekEffect::Run(RedisCommand::ReadOwner { room: room("r") })]);
    search.answer(0, RedisAnswer::Text(text(1)));
    let effects = search.answer(0, RedisAnswer::Node(Some((open(2), 10))));
    assert_eq!(found(&effects), Seat::There(owner("n2", 2, 1)));
}

#[test]
fn a_node_that_was_fenced_waits_and_looks_for_the_new_owner_meanwhile() {
    for draw in [0, 1, 1_500, 1_501, u64::MAX] {
        assert!((1_500..=3_000).contains(&Seeking::after_fence(1_000, draw)));
    }
    let mut search = Search::new("r", Reason::Asked, 600);
    for at in [0, 250, 500] {
        assert_eq!(search.answer(at, RedisAnswer::Text(None)), []);
        let until = search.seeking.wakes_at_ms().unwrap();
        assert_eq!(until, (at + 250).min(600));
        assert_eq!(search.feed(until - 1, SeekInput::Tick), []);
        let effects = search.feed(until, SeekInput::Tick);
        assert_eq!(effects, [SeekEffect::Run(RedisCommand::ReadOwner { room: room("r") })]);
    }
    let effects = search.answer(600, RedisAnswer::Text(None));
    assert_eq!(search.claim(&effects, None, 1, None), here(1, 0));
    // Whom it finds it forwards to, without waiting.
    let mut search = Search::new("r", Reason::Asked, 600);
    search.answer(0, RedisAnswer::Text(text(5)));
    let effects = search.answer(0, RedisAnswer::Node(Some((open(2), 10))));
    assert_eq!(found(&effects), Seat::There(owner("n2", 2, 5)));
}

#[test]
fn without_redis_the_log_alone_is_asked_after_a_moment() {
    let mut search = Search::wanted(&preferring("n2"));
    assert_eq!(search.answer(0, failed()), []);
    let until = search.seeking.wakes_at_ms().unwrap();
    assert!((250..=1_250).contains(&until));
    assert_eq!(search.feed(until, SeekInput::Tick).len(), 1);
    assert_eq!(found(&search.answer(until, failed())), Seat::Here(ActivateWith::default()));
}

#[test]
fn without_redis_a_node_that_was_fenced_waits_as_long() {
    let mut search = Search::new("r", Reason::Wanted, 5_000);
    search.answer(0, failed());
    assert_eq!(search.seeking.wakes_at_ms(), Some(5_000));
}

#[test]
fn redis_may_come_back_in_that_moment() {
    let mut search = Search::wanted("r");
    search.answer(0, failed());
    let until = search.seeking.wakes_at_ms().unwrap();
    search.feed(until, SeekInput::Tick);
    search.answer(until, RedisAnswer::Text(text(5)));
    let effects = search.answer(until, RedisAnswer::Node(Some((open(2), 10))));
    assert_eq!(found(&effects), Seat::There(owner("n2", 2, 5)));
}

#[test]
fn what_redis_cannot_give_is_left_to_the_log() {
    let garbage: [(RedisAnswer, RedisAnswer); 4] = [
        (failed(), failed()),
        (RedisAnswer::Number(-3), RedisAnswer::Text(Some("garbage".into()))),
        (RedisAnswer::Number(i64::MAX), RedisAnswer::Text(Some("-1".into()))),
        (RedisAnswer::Number(0), RedisAnswer::Text(Some("9007199254740992".into()))),
    ];
    for (epoch, hint) in garbage {
        let mut search = Search::new("r", Reason::Asked, 0);
        search.answer(0, RedisAnswer::Text(None));
        search.answer(0, epoch);
        search.answer(0, hint);
        assert_eq!(found(&search.answer(0, RedisAnswer::Swapped)), here(0, 0));
    }
    // Nobody knows whether the claim was carried out: the room is activated in any case.
    let mut search = Search::new("r", Reason::Asked, 0);
    search.answer(0, RedisAnswer::Text(None));
    search.answer(0, RedisAnswer::Number(3));
    search.answer(0, RedisAnswer::Text(None));
    let with = ActivateWith { epoch: Epoch::new(3), ..ActivateWith::default() };
    assert_eq!(found(&search.answer(0, failed())), Seat::Here(with));
}

#[test]
fn a_room_that_is_handed_over_is_taken_though_its_owner_lives_and_at_once() {
    let fence = Fence { epoch: Epoch::new(5), owner: OwnerId(77) };
    let mut search = Search::new("r", Reason::HandedOver(fence), 60_000);
    let effects = search.answer(0, RedisAnswer::Text(text(5)));
    let Seat::Here(with) = search.claim(&effects, text(5).as_deref(), 6, None) else { panic!("it is taken here") };
    assert_eq!(with.handed_over, Some(fence));
}

#[test]
fn a_room_that_was_handed_over_too_late_belongs_to_whoever_has_it() {
    let fence = Fence { epoch: Epoch::new(5), owner: OwnerId(77) };
    let mut search = Search::new("r", Reason::HandedOver(fence), 0);
    search.answer(0, RedisAnswer::Text(text(6)));
    let effects = search.answer(0, RedisAnswer::Node(Some((open(2), 10))));
    assert_eq!(found(&effects), Seat::There(owner("n2", 2, 6)));
}
