//! Writes: numbered, in order, asked for until they are answered.

use super::*;
use crate::error::WriteError;

fn sent(id: u64, n: u64, more: &str, text: &str) -> Effect {
    send(&format!(r#"{{"id":{id},"send":{{"room":"general","n":{n}{more},"body":{{"text":"{text}"}}}}}}"#))
}

fn ack(id: u64, seq: u64) -> String {
    format!(r#"{{"id":{id},"ok":{{"seq":{seq}}}}}"#)
}

fn refused(ticket: u64, error: rollcall_protocol::ErrorFrame) -> Effect {
    Effect::WriteEnded { ticket: Ticket(ticket), outcome: Err(WriteError::Refused(Box::new(error))) }
}

/// Cuts the connection and joins again; the next command has the id after the join's, which is returned.
fn reconnected(client: &mut Client, hello_id: u64, head: u64, last_n: u64) -> Vec<Effect> {
    client.told(Input::Closed { code: None });
    client.passes(500);
    client.welcomed(hello_id);
    let effects = client.hears(&joined(hello_id + 1, head, last_n));
    effects.into_iter().filter(|effect| matches!(effect, Effect::Send(_) | Effect::WriteEnded { .. })).collect()
}

#[test]
fn writes_are_numbered_from_one_and_carry_since_until_the_first_ack() {
    let mut client = joined_at(3);
    assert_eq!(client.submits(1, "a"), [sent(3, 1, r#","since":3"#, "a")]);
    client.hears(&entries(4..=4));
    assert_eq!(client.submits(2, "b"), [sent(4, 2, r#","since":3"#, "b")]);
    assert_eq!(client.hears(&ack(3, 5)), [acked(1, 5)]);
    assert_eq!(client.submits(3, "c"), [sent(5, 3, "", "c")]);
    assert_eq!(client.hears(&ack(5, 7)), [acked(3, 7)]);
    assert_eq!(client.hears(&ack(4, 6)), [acked(2, 6)]);
}

#[test]
fn each_kind_of_write_has_its_form() {
    let mut client = joined_at(0);
    for (n, write, expected) in [
        (1, NewWrite::message(body("a")), r#""send":{"room":"general","n":1,"body":{"text":"a"}}"#),
        (
            2,
            NewWrite::edit(Seq::new(5), body("b")),
            r#""edit":{"room":"general","n":2,"target":5,"body":{"text":"b"}}"#,
        ),
        (3, NewWrite::redact(Seq::new(5)), r#""redact":{"room":"general","n":3,"target":5}"#),
        (
            4,
            NewWrite::react(Seq::new(5), body("c")),
            r#""react":{"room":"general","n":4,"target":5,"body":{"text":"c"}}"#,
        ),
    ] {
        let effects = client.told(Input::Submit { room: room(), ticket: Ticket(n), write });
        assert_eq!(effects, [send(&format!(r#"{{"id":{},{expected}}}"#, n + 2))]);
    }
}

#[test]
fn sixty_four_are_unanswered_and_more_wait_for_an_answer() {
    let mut client = joined_at(0);
    for n in 1..=64 {
        assert_eq!(client.submits(n, "x").len(), 1);
    }
    assert_eq!(client.submits(65, "y"), []);
    assert_eq!(client.submits(66, "z"), []);
    assert_eq!(client.hears(&ack(10, 9)), [acked(8, 9), sent(67, 65, "", "y")]);
}

#[test]
fn the_queue_is_bounded_by_writes_and_by_bytes() {
    let full = |ticket| Effect::WriteEnded { ticket: Ticket(ticket), outcome: Err(WriteError::QueueFull) };
    let mut client = connected_with(SessionConfig { queue_writes_max: 2, ..config() }, Saved::default());
    client.told(Input::Join { room: room(), from: JoinFrom::Head });
    client.hears(&joined(2, 0, 0));
    client.submits(1, "a");
    client.submits(2, "b");
    assert_eq!(client.submits(3, "c"), [full(3)]);
    assert_eq!(client.hears(&ack(3, 2)), [acked(1, 2)]);
    assert_eq!(client.submits(4, "d").len(), 1);

    let mut client = joined_at(0);
    assert_eq!(client.submits(1, &"x".repeat(2_000)).len(), 1, "the first fits whatever its size");
    assert_eq!(client.submits(2, "y"), [full(2)]);
}

#[test]
fn unanswered_writes_are_sent_again_on_the_next_connection_in_order() {
    let mut client = joined_at(0);
    for n in 1..=64 {
        client.submits(n, "x");
    }
    client.submits(65, "waits");
    let effects = reconnected(&mut client, 67, 0, 0);
    let expected: Vec<_> = (1..=64).map(|n| sent(68 + n, n, "", "x")).collect();
    assert_eq!(effects, expected);
    let duplicate = r#"{"id":69,"ok":{"seq":2,"duplicate":true}}"#;
    let outcome = Ok(Ack { seq: Seq::new(2), duplicate: true });
    let effects = client.hears(duplicate);
    assert_eq!(effects, [Effect::WriteEnded { ticket: Ticket(1), outcome }, sent(133, 65, "", "waits")]);
}

#[test]
fn writes_wait_for_the_join_and_go_out_after_it() {
    let mut client = joined_at(0);
    client.told(Input::Closed { code: None });
    assert_eq!(client.submits(1, "offline"), []);
    client.passes(500);
    client.welcomed(3);
    assert_eq!(client.submits(2, "too early"), []);
    let effects = client.hears(&joined(4, 0, 0));
    assert_eq!(effects[1..], [sent(5, 1, "", "offline"), sent(6, 2, "", "too early")]);
}

#[test]
fn a_final_refusal_drops_the_write_and_rewrites_prev_of_those_behind_it() {
    let mut client = joined_at(0);
    for (n, text) in [(1, "a"), (2, "b"), (3, "c"), (4, "d")] {
        client.submits(n, text);
    }
    client.hears(&ack(3, 2));
    let too_large = error_frame("too_large", r#","final":true"#);
    assert_eq!(client.hears(&error(4, "too_large", r#","final":true"#)), [refused(2, too_large)]);
    let out_of_order = r#","final":true,"details":{"last":1}"#;
    assert_eq!(client.hears(&error(5, "out_of_order", out_of_order)), []);
    let again = [sent(7, 3, r#","prev":1"#, "c"), sent(8, 4, "", "d")];
    assert_eq!(client.hears(&error(6, "out_of_order", out_of_order)), again);
    assert_eq!(client.submits(5, "e"), [sent(9, 5, "", "e")]);
    assert_eq!(client.hears(&ack(7, 3)), [acked(3, 3)]);
}

#[test]
fn a_put_off_write_is_sent_again_after_the_hint_with_those_behind_it() {
    let mut client = joined_at(0);
    client.submits(1, "a");
    client.submits(2, "b");
    client.hears(&error(3, "busy", r#","retry_after_ms":900"#));
    assert_eq!(client.submits(3, "c"), []);
    assert_eq!(client.hears(&error(4, "out_of_order", r#","final":true,"details":{"last":0}"#)), []);
    assert_eq!(client.passes(899), []);
    let expected = [sent(5, 1, "", "a"), sent(6, 2, "", "b"), sent(7, 3, "", "c")];
    assert_eq!(client.passes(1), expected);
}

#[test]
fn a_refusal_after_a_lost_copy_is_in_doubt_until_a_higher_number_is_accepted() {
    let mut client = joined_at(0);
    client.submits(1, "a");
    client.submits(2, "doubted");
    client.submits(3, "c");
    client.hears(&ack(3, 2));
    // The copies of 2 and 3 on this connection are lost.
    assert_eq!(reconnected(&mut client, 6, 2, 1), [sent(8, 2, "", "doubted"), sent(9, 3, "", "c")]);
    let forbidden = r#","final":true"#;
    assert_eq!(client.hears(&error(8, "forbidden", forbidden)), []);
    let again = [sent(10, 3, r#","prev":1"#, "c")];
    assert_eq!(client.hears(&error(9, "out_of_order", r#","final":true,"details":{"last":1}"#)), again);
    // 3 was accepted: the answer to 2 is certain now, and asked for.
    assert_eq!(client.hears(&ack(10, 3)), [acked(3, 3), sent(11, 2, "", "doubted")]);
    let reason = error_frame("forbidden", forbidden);
    assert_eq!(client.hears(&error(11, "skipped", forbidden)), [refused(2, reason)]);
}

#[test]
fn out_of_order_that_shows_a_dropped_number_as_stored_asks_for_it_first() {
    let mut client = joined_at(0);
    client.submits(1, "doubted");
    client.submits(2, "b");
    reconnected(&mut client, 5, 0, 0);
    client.hears(&error(7, "forbidden", r#","final":true"#));
    let again = [sent(9, 2, r#","prev":0"#, "b")];
    assert_eq!(client.hears(&error(8, "out_of_order", r#","final":true,"details":{"last":0}"#)), again);
    // Meanwhile the lost copy of 1 has arrived.
    let effects = client.hears(&error(9, "out_of_order", r#","final":true,"details":{"last":1}"#));
    assert_eq!(effects, [sent(10, 1, "", "doubted"), sent(11, 2, "", "b")]);
    let duplicate = Ok(Ack { seq: Seq::new(2), duplicate: true });
    let effects = client.hears(r#"{"id":10,"ok":{"seq":2,"duplicate":true}}"#);
    assert_eq!(effects, [Effect::WriteEnded { ticket: Ticket(1), outcome: duplicate }]);
    assert_eq!(client.hears(&ack(11, 3)), [acked(2, 3)]);
}

#[test]
fn a_doubt_that_nothing_settles_ends_as_unknown() {
    let mut client = joined_at(0);
    client.submits(1, "doubted");
    assert_eq!(reconnected(&mut client, 4, 0, 0), [sent(6, 1, "", "doubted")]);
    let forbidden = error_frame("forbidden", r#","final":true"#);
    for id in 6..=8 {
        assert_eq!(client.hears(&error(id, "forbidden", r#","final":true"#)), []);
        assert_eq!(client.passes(10_000), [sent(id + 1, 1, "", "doubted")]);
    }
    let outcome = Err(WriteError::Unknown { last: Some(Box::new(forbidden)) });
    let ended = [Effect::WriteEnded { ticket: Ticket(1), outcome }];
    assert_eq!(client.hears(&error(9, "forbidden", r#","final":true"#)), ended);
    assert_eq!(client.submits(2, "next"), [sent(10, 2, r#","prev":0"#, "next")]);
}

#[test]
fn a_refusal_that_the_server_does_not_call_final_is_in_doubt() {
    let mut client = joined_at(0);
    client.submits(1, "a");
    assert_eq!(client.hears(&error(3, "forbidden", "")), []);
    assert_eq!(client.submits(2, "b"), [sent(4, 2, r#","prev":0"#, "b")]);
}

#[test]
fn conflict_skipped_and_too_old_are_the_last_word_however_many_copies_there_are() {
    let unknown = |error| Effect::WriteEnded {
        ticket: Ticket(1),
        outcome: Err(WriteError::Unknown { last: Some(Box::new(error)) }),
    };
    for (code, expected) in [
        ("conflict", refused(1, error_frame("conflict", ""))),
        ("skipped", refused(1, error_frame("skipped", ""))),
        ("too_old", unknown(error_frame("too_old", ""))),
    ] {
        let mut client = joined_at(0);
        client.submits(1, "a");
        reconnected(&mut client, 4, 0, 0);
        assert_eq!(client.hears(&error(6, code, "")), [expected]);
    }
}

#[test]
fn an_owner_that_lags_is_asked_again() {
    let mut client = joined_at(0);
    client.submits(1, "a");
    client.hears(&ack(3, 2));
    client.submits(2, "b");
    assert_eq!(client.hears(&error(4, "out_of_order", r#","details":{"last":0}"#)), [sent(5, 2, "", "b")]);
    assert_eq!(client.hears(&ack(5, 3)), [acked(2, 3)]);
}

#[test]
fn leaving_ends_what_was_not_sent_and_leaves_what_was_for_a_later_join() {
    let mut client = joined_at(0);
    for n in 1..=65 {
        client.submits(n, "x");
    }
    let effects = client.told(Input::Leave { room: room() });
    let outcome = |ticket: u64| {
        if ticket <= 64 { Err(WriteError::Unknown { last: None }) } else { Err(WriteError::Closed) }
    };
    let mut expected: Vec<_> =
        (1..=65).map(|ticket| Effect::WriteEnded { ticket: Ticket(ticket), outcome: outcome(ticket) }).collect();
    expected.push(send(r#"{"id":67,"leave":{"room":"general"}}"#));
    assert_eq!(effects, expected);
    assert_eq!(client.hears(&ack(3, 2)), []);
    client.told(Input::Join { room: room(), from: JoinFrom::Head });
    client.hears(&joined(68, 2, 1));
    let write =
        crate::storage::SavedWrite { n: 2, op: rollcall_protocol::WriteOp::Send, target: None, body: Some(body("x")) };
    let recovered = RoomEvent::Recovered { write, outcome: Ok(Ack { seq: Seq::new(3), duplicate: false }) };
    assert_eq!(client.hears(&ack(4, 3)), [event(recovered)]);
    assert_eq!(client.submits(66, "new"), [sent(69, 66, r#","prev":64"#, "new")]);
}

#[test]
fn a_connection_that_lost_its_subscription_joins_again_before_it_writes() {
    let mut client = joined_at(0);
    client.submits(1, "a");
    let join = format!(r#"{{"id":4,"join":{{"room":"general","after":0,"hash":"{}"}}}}"#, hash(0));
    assert_eq!(client.hears(&error(3, "not_joined", r#","final":true"#)), [send(&join)]);
    client.passes(50);
    let effects = client.hears(&joined(4, 0, 0));
    assert_eq!(effects[1..], [sent(5, 1, "", "a")]);
}
