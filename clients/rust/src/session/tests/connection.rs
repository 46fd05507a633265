//! Opening, losing, giving up and coming back.

use super::*;
use crate::error::{HistoryError, JoinError, StopError, WriteError};
use crate::session::{ANSWER_TIMEOUT_MS, OPEN_TIMEOUT_MS};

#[test]
fn start_connects_says_hello_and_is_connected() {
    let mut client = Client::new(config(), Saved::default());
    assert_eq!(client.told(Input::Start), [Effect::State(State::Connecting), Effect::Connect]);
    assert_eq!(client.told(Input::Connected), [hello(1, 1)]);
    assert_eq!(client.hears(&welcome(1, "")), [connected_state()]);
    assert_eq!(client.told(Input::Start), []);
}

#[test]
fn a_failing_connect_is_tried_again_with_full_jitter_that_grows() {
    let mut client = Client::new(config(), Saved::default());
    client.told(Input::Start);
    for ceiling_ms in [500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000] {
        client.random = ceiling_ms;
        assert_eq!(client.told(Input::ConnectFailed), [reconnecting(ceiling_ms, None)]);
        assert_eq!(client.passes(ceiling_ms - 1), []);
        assert_eq!(client.passes(1), [Effect::State(State::Connecting), Effect::Connect]);
    }
}

#[test]
fn the_close_code_decides_what_comes_next() {
    let after = |code: Option<u16>| {
        let mut client = connected();
        client.passes(2_000);
        client.random = 77;
        client.told(Input::Closed { code })
    };
    for code in [None, Some(1000), Some(1006), Some(4001), Some(4399)] {
        assert_eq!(after(code), [reconnecting(77, code)], "{code:?}");
    }
    assert_eq!(after(Some(4000)), [Effect::AvoidServer, reconnecting(77, Some(4000))]);
    assert_eq!(after(Some(4400)), [reconnecting(0, Some(4400))]);
    for code in [4500, 4501, 4504, 1008] {
        let effects = after(Some(code));
        let [Effect::State(State::Stopped { error: StopError::Verdict { code: told, .. } })] = effects.as_slice()
        else {
            panic!("{effects:?}");
        };
        assert_eq!(*told, code);
    }
}

#[test]
fn at_once_is_not_at_once_where_the_connection_never_held() {
    let mut client = connected();
    client.random = 400;
    client.now_ms = 999;
    assert_eq!(client.told(Input::Closed { code: Some(4400) }), [reconnecting(400, Some(4400))]);
}

#[test]
fn a_server_that_answers_hello_and_drops_the_connection_is_not_stayed_away_from_for_long() {
    let mut client = connected();
    for (hello_id, ceiling_ms) in [(2, 500), (3, 1_000), (4, 2_000), (5, 2_000), (6, 2_000)] {
        client.random = ceiling_ms;
        assert_eq!(client.told(Input::Closed { code: None }), [reconnecting(ceiling_ms, None)]);
        client.passes(ceiling_ms);
        client.welcomed(hello_id);
    }
}

#[test]
fn each_connection_has_a_higher_attempt_and_a_stable_one_resets_the_backoff() {
    let mut client = connected();
    client.random = 20_000;
    client.told(Input::Closed { code: None });
    client.passes(1_000);
    assert_eq!(client.told(Input::Connected), [hello(2, 2)]);
    // Closed at once, the next pause may be longer; after a second, it starts from the first again.
    client.random = 1_000;
    assert_eq!(client.told(Input::Closed { code: None }), [reconnecting(1_000, None)]);
    client.passes(1_000);
    client.welcomed(3);
    client.passes(1_000);
    client.random = 501;
    assert_eq!(client.told(Input::Closed { code: None }), [reconnecting(0, None)]);
}

#[test]
fn a_connection_that_does_not_open_or_does_not_greet_is_given_up() {
    let mut client = Client::new(config(), Saved::default());
    client.told(Input::Start);
    client.random = 400;
    assert_eq!(client.passes(OPEN_TIMEOUT_MS), [Effect::Disconnect, reconnecting(400, None)]);
    client.passes(400);
    client.told(Input::Connected);
    assert_eq!(client.passes(9_999), []);
    assert_eq!(client.passes(1), [Effect::Disconnect, reconnecting(400, None)]);
}

#[test]
fn a_silent_connection_is_given_up_after_25_and_10_seconds() {
    let mut client = connected();
    client.random = 400;
    client.passes(20_000);
    assert_eq!(client.hears(r#"{"ping":{"heads":{}}}"#), [send(r#"{"pong":{}}"#)]);
    assert_eq!(client.passes(34_999), []);
    assert_eq!(client.passes(1), [Effect::Disconnect, reconnecting(400, None)]);
}

#[test]
fn silence_means_nothing_while_the_socket_is_not_read() {
    let mut client = joined_at(0);
    client.submits(1, "hi");
    client.told(Input::ReadingPaused);
    assert_eq!(client.passes(100_000), []);
    client.told(Input::ReadingResumed);
    assert_eq!(client.passes(ANSWER_TIMEOUT_MS - 1), []);
    assert_eq!(client.passes(1)[0], Effect::Disconnect);
}

#[test]
fn a_hello_that_cannot_be_heard_is_waited_for() {
    let mut client = Client::new(config(), Saved::default());
    client.told(Input::Start);
    client.told(Input::ReadingPaused);
    client.told(Input::Connected);
    assert_eq!(client.passes(60_000), []);
    client.told(Input::ReadingResumed);
    assert_eq!(client.passes(9_999), []);
    assert_eq!(client.hears(&welcome(1, "")), [connected_state()]);
}

#[test]
fn a_command_without_an_answer_ends_the_connection_though_pings_come() {
    let mut client = joined_at(0);
    client.submits(1, "hi");
    client.passes(20_000);
    client.hears(r#"{"ping":{"heads":{}}}"#);
    assert_eq!(client.passes(9_999), []);
    assert_eq!(client.passes(1)[0], Effect::Disconnect);
}

#[test]
fn a_garbled_frame_ends_the_connection() {
    let mut client = connected();
    assert_eq!(client.told(Input::Garbled), [Effect::Disconnect, reconnecting(0, None)]);
}

#[test]
fn going_away_says_when_to_come_back() {
    let mut client = connected();
    client.random = 400;
    assert_eq!(client.hears(r#"{"going_away":{"retry_after_ms":3000}}"#), [Effect::AvoidServer]);
    client.passes(1_000);
    let expected = [Effect::AvoidServer, reconnecting(2_000, Some(4000))];
    assert_eq!(client.told(Input::Closed { code: Some(4000) }), expected);
}

#[test]
fn a_server_that_was_going_away_and_stays_is_left_at_its_time() {
    let mut client = connected();
    client.hears(r#"{"going_away":{"retry_after_ms":3000}}"#);
    let effects = client.passes(3_000);
    let expected = [Effect::Disconnect, reconnecting(0, None), Effect::State(State::Connecting), Effect::Connect];
    assert_eq!(effects, expected);
}

#[test]
fn a_stop_tells_everybody_and_nothing_is_taken_after_it() {
    let mut client = joined_at(0);
    client.submits(1, "sent");
    let other = RoomId::parse("other").unwrap();
    client.told(Input::Join { room: other.clone(), from: JoinFrom::Head });
    let history = rollcall_protocol::History::latest(room());
    client.told(Input::Query { query: 9, history: history.clone() });
    let unknown = Err(WriteError::Unknown { last: None });
    let expected = [
        Effect::Disconnect,
        Effect::WriteEnded { ticket: Ticket(1), outcome: unknown },
        Effect::JoinEnded { room: other, outcome: Err(JoinError::Stopped(StopError::Closed)) },
        Effect::QueryEnded { query: 9, outcome: Err(HistoryError::Stopped(StopError::Closed)) },
        Effect::State(State::Stopped { error: StopError::Closed }),
    ];
    assert_eq!(client.told(Input::Stop(StopError::Closed)), expected);

    let closed = Effect::WriteEnded { ticket: Ticket(2), outcome: Err(WriteError::Closed) };
    assert_eq!(client.submits(2, "late"), [closed]);
    let outcome = Err(JoinError::Stopped(StopError::Closed));
    let from = JoinFrom::Head;
    assert_eq!(client.told(Input::Join { room: room(), from }), [Effect::JoinEnded { room: room(), outcome }]);
    let outcome = Err(HistoryError::Stopped(StopError::Closed));
    assert_eq!(client.told(Input::Query { query: 10, history }), [Effect::QueryEnded { query: 10, outcome }]);
    assert_eq!(client.passes(100_000), []);
}

#[test]
fn a_page_of_history_is_asked_for_until_it_comes() {
    let mut client = connected();
    let history = rollcall_protocol::History::latest(room());
    let asked = |id: u64| send(&format!(r#"{{"id":{id},"history":{{"room":"general"}}}}"#));
    assert_eq!(client.told(Input::Query { query: 7, history }), [asked(2)]);
    assert_eq!(client.hears(&error(2, "unavailable", r#","retry_after_ms":900"#)), []);
    assert_eq!(client.passes(899), []);
    assert_eq!(client.passes(1), [asked(3)]);
    client.told(Input::Closed { code: None });
    client.passes(0);
    assert_eq!(client.welcomed(4), [connected_state(), asked(5)]);
    let effects = client.hears(&page(5, 1..=2, 2, 1));
    let [Effect::QueryEnded { query: 7, outcome: Ok(page) }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(page.list.len(), 2);
}

#[test]
fn a_page_that_is_expired_or_refused_ends_the_query() {
    let mut client = connected();
    let history = rollcall_protocol::History::latest(room());
    client.told(Input::Query { query: 7, history: history.clone() });
    let outcome = Err(HistoryError::Expired { from: Seq::new(1), to: Seq::new(9) });
    let effects = client.hears(&error(2, "expired", r#","details":{"from":1,"to":9}"#));
    assert_eq!(effects, [Effect::QueryEnded { query: 7, outcome }]);
    client.told(Input::Query { query: 8, history });
    let outcome = Err(HistoryError::Refused(Box::new(error_frame("forbidden", ""))));
    assert_eq!(client.hears(&error(3, "forbidden", "")), [Effect::QueryEnded { query: 8, outcome }]);
}
