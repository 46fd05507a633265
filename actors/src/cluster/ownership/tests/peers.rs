use super::support::{failed, life, node, open};
use crate::cluster::ownership::{NodeRecord, Peers, PeersEffect, PeersInput, RedisAnswer, RedisCommand};
use crate::cluster::{Incarnation, LEASE_MS};

fn tick(peers: &mut Peers, now_ms: u64) -> Vec<PeersEffect> {
    let mut effects = Vec::new();
    peers.handle(now_ms, PeersInput::Tick, &mut effects);
    effects
}

fn answer(peers: &mut Peers, now_ms: u64, answer: RedisAnswer) -> Vec<PeersEffect> {
    let mut effects = Vec::new();
    peers.handle(now_ms, PeersInput::Answer(answer), &mut effects);
    effects
}

fn read(name: &str) -> PeersEffect {
    PeersEffect::Run(RedisCommand::ReadNode { node: node(name) })
}

fn list() -> PeersEffect {
    PeersEffect::Run(RedisCommand::Enroll { node: node("n1") })
}

/// n1 knows at 0 that n2 lives until 2,600.
fn pair() -> Peers {
    let mut peers = Peers::new(node("n1"));
    assert_eq!(tick(&mut peers, 0), [list()]);
    let names = ["n1", "n2", "not a name"].map(Into::into).into();
    assert_eq!(answer(&mut peers, 0, RedisAnswer::Roster(names)), [read("n2")]);
    let came = answer(&mut peers, 0, RedisAnswer::Node(Some((open(2), 2_600))));
    assert_eq!(came, []);
    assert_eq!(peers.get(&node("n2")).map(|peer| peer.record.incarnation), Some(life("n2", 2).incarnation));
    peers
}

#[test]
fn a_lease_is_looked_at_each_second_and_when_it_ends() {
    let mut peers = pair();
    let mut looks = Vec::new();
    let mut gone_at_ms = None;
    while gone_at_ms.is_none() {
        let now_ms = peers.wakes_at_ms().unwrap();
        let mut effects = tick(&mut peers, now_ms);
        while let Some(PeersEffect::Run(command)) = effects.pop() {
            effects = if matches!(command, RedisCommand::Enroll { .. }) {
                answer(&mut peers, now_ms, RedisAnswer::Roster(vec!["n2".into()]))
            } else {
                looks.push(now_ms);
                let left = 2_600_u64.checked_sub(now_ms).filter(|&left| left > 0);
                answer(&mut peers, now_ms, RedisAnswer::Node(left.map(|left| (open(2), left))))
            };
            if effects.contains(&PeersEffect::Gone(life("n2", 2))) {
                gone_at_ms = Some(now_ms);
            }
        }
    }
    assert_eq!(gone_at_ms, Some(2_600));
    assert_eq!(looks, [1_000, 2_000, 2_600]);
    assert_eq!(peers.live().count(), 0);
}

#[test]
fn another_life_of_a_node_is_another_node() {
    let mut peers = pair();
    assert_eq!(tick(&mut peers, 1_000), [read("n2")]);
    let effects = answer(&mut peers, 1_001, RedisAnswer::Node(Some((open(3), 3_000))));
    assert_eq!(effects, [PeersEffect::Gone(life("n2", 2)), list()]);
}

#[test]
fn without_redis_nobody_goes() {
    let mut peers = pair();
    assert_eq!(tick(&mut peers, 60_000), [read("n2")]);
    assert_eq!(answer(&mut peers, 61_000, failed()), [list()]);
    assert_eq!(answer(&mut peers, 62_000, failed()), [read("n2")]);
    assert!(peers.get(&node("n2")).is_some());
}

/// Asks Redis for n2 again and again, as often as it should be, from a time on: it is not there. Returns when it counted as gone.
fn missed_from(peers: &mut Peers, now_ms: u64) -> u64 {
    for now_ms in now_ms..now_ms + 60_000 {
        let mut effects = tick(peers, now_ms);
        while let Some(PeersEffect::Run(command)) = effects.pop() {
            let is_list = matches!(command, RedisCommand::Enroll { .. });
            effects = answer(
                peers,
                now_ms,
                if is_list { RedisAnswer::Roster(vec!["n2".into()]) } else { RedisAnswer::Node(None) },
            );
            if effects.contains(&PeersEffect::Gone(life("n2", 2))) {
                return now_ms;
            }
        }
    }
    panic!("it is missed for ever")
}

#[test]
fn a_node_that_a_wiped_redis_does_not_know_has_the_time_of_a_renewal_to_come_back() {
    assert_eq!(missed_from(&mut pair(), 1_000), 2_500);
    assert_eq!(missed_from(&mut pair(), 1_700), 2_600, "its lease has ended by itself");
    let mut peers = pair();
    assert_eq!(tick(&mut peers, 1_000), [read("n2")]);
    assert_eq!(answer(&mut peers, 1_000, RedisAnswer::Node(None)), [list()]);
    answer(&mut peers, 1_000, RedisAnswer::Roster(Vec::new()));
    assert_eq!(tick(&mut peers, 1_250), [read("n2")]);
    answer(&mut peers, 1_250, RedisAnswer::Node(Some((open(2), 3_000))));
    assert_eq!(missed_from(&mut peers, 2_000), 3_750, "it was there again");
}

#[test]
fn who_goes_in_an_orderly_way_is_gone_at_once() {
    let mut peers = pair();
    let closed = NodeRecord { incarnation: Incarnation(2), takes_rooms: false, connect: None };
    tick(&mut peers, 1_000);
    answer(&mut peers, 1_000, RedisAnswer::Node(Some((closed.to_string().into(), 3_000))));
    answer(&mut peers, 1_000, RedisAnswer::Roster(Vec::new()));
    assert_eq!(missed_from(&mut peers, 1_001), 2_000);
}

#[test]
fn after_redis_was_away_nodes_have_a_lease_of_time_to_come_back() {
    let away = |until_ms: u64| {
        let mut peers = pair();
        let mut now_ms = 1_000;
        while now_ms < until_ms {
            let mut effects = tick(&mut peers, now_ms);
            while let Some(PeersEffect::Run(_)) = effects.pop() {
                effects = answer(&mut peers, now_ms, failed());
            }
            now_ms = peers.wakes_at_ms().unwrap().max(now_ms + 1);
        }
        missed_from(&mut peers, until_ms)
    };
    // In so short a time no lease ends that was renewed.
    assert_eq!(away(1_500), 2_600);
    assert_eq!(away(4_000) / 10, 700);
    assert_eq!(away(6_000), 2_600 + 2 * LEASE_MS, "but not for ever");
    assert_eq!(away(30_000) / 10, 3_000);
}

#[test]
fn a_list_that_was_lost_does_not_end_who_lives() {
    let mut peers = pair();
    tick(&mut peers, 1_000);
    answer(&mut peers, 1_000, RedisAnswer::Node(Some((open(2), 2_000))));
    answer(&mut peers, 1_000, RedisAnswer::Roster(vec!["n1".into()]));
    assert!(peers.get(&node("n2")).is_some());
}

#[test]
fn who_takes_no_rooms_is_not_preferred() {
    let mut peers = pair();
    let of = |peers: &Peers, here| -> Vec<_> {
        let name = |number: usize| super::support::room(&format!("room-{number}"));
        let mut names: Vec<_> =
            (0..50).filter_map(|number| peers.preferred(&name(number), here, |_| true).cloned()).collect();
        names.sort();
        names.dedup();
        names
    };
    assert_eq!(of(&peers, true), [node("n1"), node("n2")]);
    assert_eq!(of(&peers, false), [node("n2")]);
    tick(&mut peers, 1_000);
    let closed = NodeRecord { incarnation: Incarnation(2), takes_rooms: false, connect: None };
    answer(&mut peers, 1_000, RedisAnswer::Node(Some((closed.to_string().into(), 2_000))));
    assert_eq!(of(&peers, true), [node("n1")]);
    assert_eq!(of(&peers, false), []);
}
