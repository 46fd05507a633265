//! Joining, resuming, and reading without a hole.

use super::*;
use crate::error::JoinError;
use crate::session::{HOLE_GRACE_MS, TAIL_GRACE_MS};

fn joined_event(after: u64, head: u64) -> Effect {
    joined_event_with_floor(after, head, 1)
}

fn joined_event_with_floor(after: u64, head: u64, floor: u64) -> Effect {
    let text = joined_with_floor(0, head, 0, floor);
    let rollcall_protocol::Incoming::Ok(_, fields) = Format::Json.decode(text.as_bytes()).unwrap() else { panic!() };
    event(RoomEvent::Joined { after: Seq::new(after), joined: fields.joined().unwrap() })
}

fn join_ended(effect: &Effect) -> bool {
    matches!(effect, Effect::JoinEnded { outcome: Ok(_), .. })
}

#[test]
fn a_join_from_each_place() {
    let with_hash = Cursor { seq: Seq::new(7), hash: Some(hash(7)) };
    let without = Cursor { seq: Seq::new(7), hash: None };
    for (from, expected) in [
        (JoinFrom::Head, r#"{"id":2,"join":{"room":"general"}}"#.to_owned()),
        (JoinFrom::Saved, r#"{"id":2,"join":{"room":"general"}}"#.to_owned()),
        (JoinFrom::Start, r#"{"id":2,"join":{"room":"general","after":0}}"#.to_owned()),
        (JoinFrom::Cursor(without), r#"{"id":2,"join":{"room":"general","after":7}}"#.to_owned()),
        (
            JoinFrom::Cursor(with_hash),
            format!(r#"{{"id":2,"join":{{"room":"general","after":7,"hash":"{}"}}}}"#, hash(7)),
        ),
    ] {
        let mut client = connected();
        assert_eq!(client.told(Input::Join { room: room(), from }), [send(&expected)], "{from:?}");
        let effects = client.hears(&joined(2, 9, 0));
        let after = if matches!(from, JoinFrom::Head | JoinFrom::Saved) {
            9
        } else if from == JoinFrom::Start {
            0
        } else {
            7
        };
        assert_eq!(effects[0], joined_event(after, 9), "{from:?}");
        assert!(join_ended(&effects[1]) && effects.len() == 2, "{effects:?}");
    }
}

#[test]
fn a_join_before_the_connection_waits_for_it_and_a_second_one_is_refused() {
    let mut client = Client::new(config(), Saved::default());
    client.told(Input::Start);
    assert_eq!(client.told(Input::Join { room: room(), from: JoinFrom::Head }), []);
    let outcome = Err(JoinError::AlreadyJoined);
    let second = client.told(Input::Join { room: room(), from: JoinFrom::Start });
    assert_eq!(second, [Effect::JoinEnded { room: room(), outcome }]);
    assert_eq!(client.welcomed(1), [connected_state(), send(r#"{"id":2,"join":{"room":"general"}}"#)]);
}

#[test]
fn entries_in_order_go_through_as_they_came() {
    let mut client = joined_at(3);
    assert_eq!(client.hears(&entries(4..=6)), [delivered(4..=6)]);
    assert_eq!(client.hears(&entries(7..=7)), [delivered(7..=7)]);
}

#[test]
fn repeated_entries_are_dropped_and_overlapping_ones_cut() {
    let mut client = joined_at(3);
    client.hears(&entries(4..=6));
    assert_eq!(client.hears(&entries(4..=6)), []);
    assert_eq!(client.hears(&entries(5..=8)), [delivered(7..=8)]);
}

#[test]
fn a_reconnect_resumes_from_the_last_entry_and_its_hash() {
    let mut client = joined_at(3);
    client.hears(&entries(4..=6));
    client.told(Input::Closed { code: None });
    client.passes(0);
    let join = format!(r#"{{"id":4,"join":{{"room":"general","after":6,"hash":"{}"}}}}"#, hash(6));
    assert_eq!(client.welcomed(3), [connected_state(), send(&join)]);
    assert_eq!(client.hears(&joined(4, 8, 0)), [joined_event(6, 8)]);
    assert_eq!(client.hears(&entries(7..=8)), [delivered(7..=8)]);
}

#[test]
fn a_hole_is_fetched_after_a_moment_and_what_lies_beyond_waits() {
    let mut client = joined_at(3);
    assert_eq!(client.hears(&entries(6..=7)), []);
    assert_eq!(client.passes(HOLE_GRACE_MS - 1), []);
    let asked = send(r#"{"id":3,"history":{"room":"general","after":3,"limit":2}}"#);
    assert_eq!(client.passes(1), [asked]);
    let effects = client.hears(&page(3, 4..=5, 7, 1));
    assert_eq!(effects, [batch(4..=5, None, Some(5)), delivered(6..=7)]);
}

#[test]
fn a_hole_that_closes_by_itself_is_not_fetched() {
    let mut client = joined_at(3);
    client.hears(&entries(6..=7));
    client.passes(HOLE_GRACE_MS - 1);
    assert_eq!(client.hears(&entries(4..=5)), [delivered(4..=7)]);
    assert_eq!(client.passes(10_000), []);
}

#[test]
fn a_lost_tail_shows_in_a_ping_and_is_fetched_page_by_page() {
    let mut client = joined_at(3);
    client.hears(r#"{"ping":{"heads":{"general":700}}}"#);
    assert_eq!(client.passes(TAIL_GRACE_MS - 1), []);
    assert_eq!(client.passes(1), [send(r#"{"id":3,"history":{"room":"general","after":3,"limit":500}}"#)]);
    let next = send(r#"{"id":4,"history":{"room":"general","after":503,"limit":197}}"#);
    assert_eq!(client.hears(&page(3, 4..=503, 700, 1)), [batch(4..=503, None, Some(503)), next]);
    assert_eq!(client.hears(&page(4, 504..=700, 700, 1)), [batch(504..=700, None, Some(700))]);
    assert_eq!(client.passes(20_000), []);
}

#[test]
fn entries_that_go_on_coming_are_not_fetched() {
    let mut client = connected();
    client.told(Input::Join { room: room(), from: JoinFrom::Start });
    client.hears(&joined(2, 9, 0));
    for seq in 1..=9 {
        assert_eq!(client.passes(TAIL_GRACE_MS - 1), []);
        assert_eq!(client.hears(&entries(seq..=seq)), [delivered(seq..=seq)]);
    }
    assert_eq!(client.passes(TAIL_GRACE_MS), []);
}

#[test]
fn a_page_that_does_not_come_is_asked_for_again_with_backoff() {
    let mut client = joined_at(3);
    client.hears(&entries(5..=5));
    let asked = |id: u64| send(&format!(r#"{{"id":{id},"history":{{"room":"general","after":3,"limit":1}}}}"#));
    assert_eq!(client.passes(HOLE_GRACE_MS), [asked(3)]);
    assert_eq!(client.hears(&error(3, "unavailable", "")), []);
    assert_eq!(client.passes(49), []);
    assert_eq!(client.passes(1), [asked(4)]);
    client.hears(&error(4, "unavailable", ""));
    assert_eq!(client.passes(99), []);
    assert_eq!(client.passes(1), [asked(5)]);
    assert_eq!(client.hears(&page(5, 4..=4, 5, 1)), [batch(4..=4, None, Some(4)), delivered(5..=5)]);
}

#[test]
fn nothing_is_fetched_while_the_socket_is_not_read() {
    let mut client = joined_at(3);
    client.hears(&entries(6..=6));
    client.told(Input::ReadingPaused);
    assert_eq!(client.passes(60_000), []);
    client.told(Input::ReadingResumed);
    assert_eq!(client.passes(HOLE_GRACE_MS - 1), []);
    assert_eq!(client.passes(1).len(), 1);
}

#[test]
fn what_lies_below_the_floor_is_told_as_expired() {
    let expired = |from: u64, to: u64| event(RoomEvent::Expired { from: Seq::new(from), to: Seq::new(to) });
    // Where joined shows the floor.
    let mut client = connected();
    client.told(Input::Join { room: room(), from: JoinFrom::Start });
    let effects = client.hears(&joined_with_floor(2, 20, 0, 11));
    assert_eq!(effects[..2], [joined_event_with_floor(0, 20, 11), expired(1, 10)]);
    assert_eq!(client.hears(&entries(11..=12)), [delivered(11..=12)]);
    // Where the join is refused.
    let mut client = connected();
    client.told(Input::Join { room: room(), from: JoinFrom::Start });
    let refusal = error(2, "expired", r#","details":{"from":1,"to":10}"#);
    assert_eq!(client.hears(&refusal), [expired(1, 10)]);
    assert_eq!(client.passes(50), [send(r#"{"id":3,"join":{"room":"general","after":10}}"#)]);
    assert!(join_ended(&client.hears(&joined_with_floor(3, 20, 0, 11))[1]));
    // Where the server ends the subscription of a reader that fell behind.
    let left = r#"{"left":{"room":"general","error":{"code":"expired","message":"m","retryable":false,
        "details":{"from":11,"to":15}}}}"#;
    assert_eq!(client.hears(left), [expired(11, 15)]);
    assert_eq!(client.passes(50), [send(r#"{"id":4,"join":{"room":"general","after":15}}"#)]);
    // Where a hole cannot be fetched any more.
    let mut client = joined_at(3);
    client.hears(&entries(9..=9));
    client.passes(HOLE_GRACE_MS);
    let effects = client.hears(&error(3, "expired", r#","details":{"from":4,"to":8}"#));
    assert_eq!(effects, [expired(4, 8), delivered(9..=9)]);
}

#[test]
fn a_history_that_diverged_is_told_and_never_guessed_about() {
    // On the first join, the program is told by its error.
    let mut client = connected();
    client.told(Input::Join { room: room(), from: JoinFrom::Cursor(cursor(7)) });
    let outcome = Err(JoinError::Diverged { after: Seq::new(7) });
    let ended = Effect::JoinEnded { room: room(), outcome };
    assert_eq!(client.hears(&error(2, "diverged", "")), [ended]);
    // On a later one by an event; then nothing more is asked or delivered.
    let mut client = joined_at(3);
    client.told(Input::Closed { code: None });
    client.passes(0);
    client.welcomed(3);
    let diverged = event(RoomEvent::Diverged { at: cursor(3) });
    assert_eq!(client.hears(&error(4, "diverged", "")), std::slice::from_ref(&diverged));
    assert_eq!(client.passes(20_000), []);
    // The client notices by itself where the server says that the same head has another hash.
    let mut client = joined_at(3);
    client.told(Input::Closed { code: None });
    client.passes(0);
    client.welcomed(3);
    let other = joined(4, 3, 0).replace(&hash(3).to_string(), &hash(99).to_string());
    assert_eq!(client.hears(&other), [diverged]);
}

#[test]
fn a_join_that_is_refused_ends_and_one_that_is_put_off_goes_on() {
    let mut client = connected();
    client.told(Input::Join { room: room(), from: JoinFrom::Head });
    assert_eq!(client.hears(&error(2, "unavailable", r#","retry_after_ms":700"#)), []);
    assert_eq!(client.passes(700), [send(r#"{"id":3,"join":{"room":"general"}}"#)]);
    let outcome = Err(JoinError::Refused(Box::new(error_frame("forbidden", ""))));
    assert_eq!(client.hears(&error(3, "forbidden", "")), [Effect::JoinEnded { room: room(), outcome }]);
    assert_eq!(client.passes(20_000), []);
    // One that was joined before learns it by its last event.
    let mut client = joined_at(3);
    let left = r#"{"left":{"room":"general","error":{"code":"forbidden","message":"m","retryable":false}}}"#;
    let refused = event(RoomEvent::Refused(Box::new(error_frame("forbidden", ""))));
    assert_eq!(client.hears(left), [refused]);
    assert_eq!(client.hears(&entries(4..=4)), []);
}

#[test]
fn a_subscription_that_the_server_ends_for_now_is_joined_again() {
    let mut client = joined_at(3);
    let left = r#"{"left":{"room":"general","error":{"code":"unavailable","message":"m","retryable":true}}}"#;
    assert_eq!(client.hears(left), []);
    let join = format!(r#"{{"id":3,"join":{{"room":"general","after":3,"hash":"{}"}}}}"#, hash(3));
    assert_eq!(client.passes(50), [send(&join)]);
}

#[test]
fn a_left_room_is_silent_and_an_old_answer_does_not_join_it_again() {
    let mut client = connected();
    client.told(Input::Join { room: room(), from: JoinFrom::Head });
    assert_eq!(client.told(Input::Leave { room: room() }), [send(r#"{"id":3,"leave":{"room":"general"}}"#)]);
    let join = send(r#"{"id":4,"join":{"room":"general","after":0}}"#);
    assert_eq!(client.told(Input::Join { room: room(), from: JoinFrom::Start }), [join]);
    assert_eq!(client.hears(&joined(2, 9, 0)), []);
    assert_eq!(client.hears(r#"{"id":3,"ok":{}}"#), []);
    let effects = client.hears(&joined(4, 9, 0));
    assert_eq!(effects[0], joined_event(0, 9));
    client.told(Input::Leave { room: room() });
    assert_eq!(client.hears(&entries(1..=2)), []);
}

#[test]
fn signals_are_passed_on_and_typing_is_told_only_in_a_joined_room() {
    let mut client = connected();
    assert_eq!(client.told(Input::Typing { room: room() }), []);
    client.told(Input::Join { room: room(), from: JoinFrom::Head });
    assert_eq!(client.told(Input::Typing { room: room() }), []);
    client.hears(&joined(2, 3, 0));
    assert_eq!(client.told(Input::Typing { room: room() }), [send(r#"{"id":3,"typing":{"room":"general"}}"#)]);
    let effects = client.hears(r#"{"signal":{"room":"general","user":"bob","kind":"typing"}}"#);
    assert!(matches!(&effects[..], [Effect::Deliver { event: RoomEvent::Signal(_), .. }]), "{effects:?}");
}

#[test]
fn batches_of_one_epoch_each_come_out_of_the_buffer() {
    let mut client = joined_at(0);
    client.hears(&entries(2..=2));
    client.hears(&entries(3..=3).replace(r#""epoch":1"#, r#""epoch":2"#));
    let expected = [batch(1..=2, Some(1), Some(2)), batch(3..=3, Some(2), Some(3))];
    assert_eq!(client.hears(&entries(1..=1)), expected);
}
