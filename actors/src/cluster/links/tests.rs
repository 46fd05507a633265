//! Links: what shows that something may have been lost.

use super::LinkEffect::{GapPossible, Released};
use super::*;
use crate::cluster::Incarnation;
use crate::cluster::envelope::RoomHead;
use crate::cluster::test_rooms::{node, room};

fn beacon(number: u64) -> Beacon {
    Beacon { number, ..Beacon::default() }
}

fn head_of(name: &str, head: u64) -> RoomHead {
    RoomHead { room: room(name), epoch: Epoch::new(1), head: Seq::new(head) }
}

/// A node that watches the rooms x and y at "a" and z at "b", since the time 0.
fn links() -> Links {
    let mut links = Links::new();
    for (at, name) in [("a", "x"), ("a", "y"), ("b", "z")] {
        assert_eq!(after(&mut links, |it, out| it.watching(0, &node(at), &room(name), out)), []);
    }
    links
}

fn after(links: &mut Links, act: impl FnOnce(&mut Links, &mut Vec<LinkEffect>)) -> Vec<LinkEffect> {
    let mut effects = Vec::new();
    act(links, &mut effects);
    effects
}

fn hear(links: &mut Links, now_ms: u64, number: u64) -> Vec<LinkEffect> {
    after(links, |it, out| it.beacon(now_ms, &node("a"), beacon(number), out))
}

fn gap_at_a() -> LinkEffect {
    GapPossible(vec![room("x"), room("y")])
}

#[test]
fn a_missing_number_is_a_gap_and_a_late_or_repeated_one_is_none() {
    let mut links = links();
    assert_eq!(hear(&mut links, 400, 41), [], "any number begins");
    assert_eq!(hear(&mut links, 900, 42), []);
    assert_eq!(hear(&mut links, 1_400, 44), [gap_at_a()]);
    assert_eq!(hear(&mut links, 1_410, 43), []);
    assert_eq!(hear(&mut links, 1_420, 44), []);
    assert_eq!(hear(&mut links, 1_900, 45), []);
}

#[test]
fn a_second_of_silence_is_a_gap_and_each_further_second_is_one_again() {
    let mut links = links();
    hear(&mut links, 500, 1);
    assert_eq!(links.due_ms(), Some(1_000), "nothing came from b");
    assert_eq!(after(&mut links, |it, out| it.tick(1_000, out)), [GapPossible(vec![room("z")])]);
    assert_eq!(after(&mut links, |it, out| it.tick(1_499, out)), []);
    assert_eq!(after(&mut links, |it, out| it.tick(1_500, out)), [gap_at_a()]);
    assert_eq!(after(&mut links, |it, out| it.tick(2_499, out)), [GapPossible(vec![room("z")])]);
    assert_eq!(after(&mut links, |it, out| it.tick(2_500, out)), [gap_at_a()]);
    hear(&mut links, 2_600, 2);
    assert_eq!(after(&mut links, |it, out| it.tick(3_499, out)), [GapPossible(vec![room("z")])]);
    assert_eq!(after(&mut links, |it, out| it.tick(3_599, out)), []);
}

#[test]
fn repeating_an_old_beacon_does_not_end_the_silence() {
    let mut links = links();
    hear(&mut links, 0, 5);
    hear(&mut links, 900, 5);
    hear(&mut links, 900, 4);
    assert_eq!(after(&mut links, |it, out| it.tick(1_000, out)), [gap_at_a(), GapPossible(vec![room("z")])]);
}

#[test]
fn another_life_of_a_node_is_a_gap() {
    let mut links = links();
    let reborn = NodeRef { incarnation: Incarnation(2), ..node("a") };
    assert_eq!(after(&mut links, |it, out| it.beacon(1, &reborn, beacon(1), out)), [gap_at_a()]);
    assert_eq!(after(&mut links, |it, out| it.watching(2, &reborn, &room("x"), out)), [gap_at_a()]);
    assert_eq!(after(&mut links, |it, out| it.watching(3, &reborn, &room("x"), out)), [], "it is told once");
    assert_eq!(after(&mut links, |it, out| it.watching(3, &node("a"), &room("y"), out)), [], "and not in turns");
    links.unwatched(&node("a"), &room("x"));
    let still_at_a = GapPossible(vec![room("y")]);
    assert_eq!(after(&mut links, |it, out| it.beacon(4, &reborn, beacon(2), out)), [still_at_a]);
    links.unwatched(&node("a"), &room("y"));
    assert_eq!(after(&mut links, |it, out| it.beacon(5, &reborn, beacon(3), out)), []);
    let late = after(&mut links, |it, out| it.beacon(6, &node("a"), beacon(9), out));
    assert_eq!(late, [GapPossible(vec![room("x")])], "either the life before speaks late, or this one is over");
}

#[test]
fn an_interrupted_subscription_is_a_gap_everywhere() {
    let mut links = links();
    assert_eq!(after(&mut links, |it, out| it.interrupted(out)), [gap_at_a(), GapPossible(vec![room("z")])]);
}

#[test]
fn heads_and_releases_of_watched_rooms_are_passed_on() {
    let mut links = links();
    let said =
        Beacon { number: 1, heads: vec![head_of("x", 5), head_of("z", 6)], released: vec![room("y"), room("z")] };
    let head = LinkEffect::Head { room: room("x"), from: node("a"), epoch: Epoch::new(1), head: Seq::new(5) };
    let released = Released { room: room("y"), from: node("a") };
    assert_eq!(after(&mut links, |it, out| it.beacon(1, &node("a"), said.clone(), out)), [head.clone(), released]);
    links.unwatched(&node("a"), &room("y"));
    assert_eq!(after(&mut links, |it, out| it.beacon(1, &node("a"), said.clone(), out)), [head]);
    assert_eq!(after(&mut links, |it, out| it.beacon(1, &node("c"), said, out)), [], "nothing is watched there");
}

#[test]
fn a_node_where_nothing_is_watched_is_forgotten() {
    let mut links = links();
    links.unwatched(&node("b"), &room("z"));
    for name in ["x", "y"] {
        links.unwatched(&node("a"), &room(name));
    }
    assert_eq!(links.due_ms(), None);
    assert_eq!(after(&mut links, |it, out| it.tick(9_999, out)), []);
}
