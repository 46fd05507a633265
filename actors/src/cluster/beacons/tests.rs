//! Beacons: how often, how numbered, and which rooms they name.

use super::*;
use crate::cluster::test_rooms::{node, room};

const EPOCH: Epoch = Epoch::new(1);

fn head(name: &str, head: u64) -> RoomHead {
    RoomHead { room: room(name), epoch: EPOCH, head: Seq::new(head) }
}

fn beacon(number: u64, heads: Vec<RoomHead>) -> Beacon {
    Beacon { number, heads, released: Vec::new() }
}

/// A node at which "b" watches the rooms x and y, since the time 0.
fn watched() -> Beacons {
    let mut beacons = Beacons::new(0);
    for name in ["x", "y"] {
        beacons.watched(0, &node("b"), &room(name), EPOCH, Seq::new(10));
    }
    beacons
}

#[test]
fn a_beacon_comes_every_half_second_even_where_nothing_happens() {
    let mut beacons = watched();
    assert_eq!(beacons.tick(BEACON_APART_MS - 1), []);
    assert_eq!(beacons.tick(500), [(node("b"), beacon(1, vec![]))]);
    assert_eq!(beacons.tick(999), []);
    assert_eq!(beacons.tick(1_000), [(node("b"), beacon(2, vec![]))]);
    assert_eq!(beacons.due_ms(), 1_500);
}

#[test]
fn a_room_is_named_for_five_seconds_after_it_was_appended_to() {
    let mut beacons = watched();
    beacons.appended(100, &room("y"), EPOCH, Seq::new(11));
    beacons.appended(200, &room("y"), EPOCH, Seq::new(12));
    beacons.appended(200, &room("unwatched"), EPOCH, Seq::new(1));
    for number in 1..=10 {
        assert_eq!(beacons.tick(number * 500), [(node("b"), beacon(number, vec![head("y", 12)]))]);
    }
    assert_eq!(beacons.tick(5_500), [(node("b"), beacon(11, vec![]))]);
}

#[test]
fn each_node_hears_of_what_it_watches_in_its_own_numbers() {
    let mut beacons = watched();
    beacons.tick(500);
    beacons.watched(600, &node("c"), &room("y"), EPOCH, Seq::new(10));
    beacons.appended(700, &room("x"), EPOCH, Seq::new(11));
    let both = beacons.tick(1_000);
    assert_eq!(both, [(node("b"), beacon(2, vec![head("x", 11)])), (node("c"), beacon(2, vec![]))]);
    beacons.unwatched(&node("b"), &room("x"));
    beacons.unwatched(&node("b"), &room("x"));
    beacons.appended(1_100, &room("x"), EPOCH, Seq::new(12));
    let both = beacons.tick(1_500);
    assert_eq!(both, [(node("b"), beacon(3, vec![])), (node("c"), beacon(3, vec![]))]);
}

#[test]
fn after_a_reconnection_every_room_is_named_at_once() {
    let mut beacons = watched();
    beacons.tick(500);
    beacons.reconnected(600);
    assert_eq!(beacons.due_ms(), 600);
    assert_eq!(beacons.tick(600), [(node("b"), beacon(2, vec![head("x", 10), head("y", 10)]))]);
    assert_eq!(beacons.tick(1_100), [(node("b"), beacon(3, vec![]))]);
}

#[test]
fn a_released_room_is_named_as_such_until_it_is_watched_anew() {
    let mut beacons = watched();
    beacons.appended(100, &room("x"), EPOCH, Seq::new(11));
    beacons.released(200, &room("x"));
    let released = Beacon { released: vec![room("x")], ..beacon(1, vec![]) };
    assert_eq!(beacons.tick(500), [(node("b"), released)]);
    beacons.watched(600, &node("b"), &room("x"), EPOCH, Seq::new(12));
    assert_eq!(beacons.tick(1_000), [(node("b"), beacon(2, vec![]))]);
    beacons.released(1_000, &room("x"));
    beacons.released(1_000, &room("y"));
    let both = Beacon { released: vec![room("x"), room("y")], ..beacon(3, vec![]) };
    assert_eq!(beacons.tick(5_999), [(node("b"), both)]);
    assert_eq!(beacons.tick(6_499), [(node("b"), beacon(4, vec![]))], "then nothing is left to tell");
    assert_eq!(beacons.tick(6_999), []);
}

#[test]
fn numbers_never_come_twice_to_a_node_that_went_and_came_back() {
    let mut beacons = watched();
    beacons.tick(500);
    beacons.node_gone(&node("b"));
    assert_eq!(beacons.tick(1_000), []);
    beacons.watched(1_100, &node("b"), &room("x"), EPOCH, Seq::new(10));
    assert_eq!(beacons.tick(1_500), [(node("b"), beacon(2, vec![]))]);
}

#[test]
fn more_rooms_than_a_beacon_holds_go_in_several() {
    let mut beacons = Beacons::new(0);
    for at in 0..BEACON_ROOMS_MAX + 1 {
        beacons.watched(0, &node("b"), &room(&format!("r{at}")), EPOCH, Seq::new(10));
    }
    beacons.reconnected(0);
    let sent = beacons.tick(0);
    let shape: Vec<_> = sent.iter().map(|(_, beacon)| (beacon.number, beacon.heads.len())).collect();
    assert_eq!(shape, [(1, BEACON_ROOMS_MAX), (2, 1)]);
}
