//! A device that a room has forgotten, numbers that were lost, and a user who is another one.

use super::*;
use crate::error::WriteError;
use crate::session::NEW_DEVICE_PATIENCE_MS;

/// The name that a client draws with the random number 7.
const NEW_DEVICE: &str = "d-0000000000000007";

fn ack(id: u64, seq: u64) -> String {
    format!(r#"{{"id":{id},"ok":{{"seq":{seq}}}}}"#)
}

fn unknown(ticket: u64) -> Effect {
    Effect::WriteEnded { ticket: Ticket(ticket), outcome: Err(WriteError::Unknown { last: None }) }
}

fn new_hello(id: u64) -> Effect {
    send(&format!(r#"{{"id":{id},"hello":{{"token":"secret","device":"{NEW_DEVICE}","session":"s1","attempt":2}}}}"#))
}

fn connect_afresh() -> [Effect; 3] {
    [Effect::Disconnect, Effect::State(State::Connecting), Effect::Connect]
}

#[test]
fn a_forgotten_device_takes_a_new_name_and_what_was_not_stored_goes_under_it() {
    let mut client = joined_at(9);
    client.random = 7;
    client.submits(1, "a");
    client.submits(2, "b");
    assert_eq!(client.hears(&error(3, "unknown_device", r#","final":true"#)), []);
    assert_eq!(client.hears(&error(4, "unknown_device", r#","final":true"#)), connect_afresh());
    assert_eq!(client.told(Input::Connected), [new_hello(5)]);
    client.hears(&welcome(5, ""));
    let sent = |id: u64, n: u64, text: &str| {
        send(&format!(r#"{{"id":{id},"send":{{"room":"general","n":{n},"since":9,"body":{{"text":"{text}"}}}}}}"#))
    };
    assert_eq!(client.hears(&joined(6, 9, 0))[1..], [sent(7, 1, "a"), sent(8, 2, "b")]);
    assert_eq!(client.hears(&ack(7, 10)), [acked(1, 10)]);
}

#[test]
fn of_what_may_have_been_stored_under_the_old_name_nobody_will_know() {
    let mut client = joined_at(9);
    client.random = 7;
    client.submits(1, "a");
    client.told(Input::Closed { code: None });
    client.passes(500);
    client.welcomed(4);
    client.hears(&joined(5, 9, 0));
    let effects = client.hears(&error(6, "unknown_device", r#","final":true"#));
    assert_eq!(effects[0], unknown(1));
    assert_eq!(effects[1..], connect_afresh());
}

#[test]
fn writes_to_other_rooms_are_answered_under_the_old_name_first() {
    let other = RoomId::parse("other").unwrap();
    let in_two_rooms = || {
        let mut client = joined_at(9);
        client.random = 7;
        client.told(Input::Join { room: other.clone(), from: JoinFrom::Head });
        client.hears(&joined(3, 9, 0).replace("general", "other"));
        let write = NewWrite::text("elsewhere").unwrap();
        client.told(Input::Submit { room: other.clone(), ticket: Ticket(1), write });
        client.submits(2, "here");
        assert_eq!(client.hears(&error(5, "unknown_device", r#","final":true"#)), []);
        client
    };
    let mut client = in_two_rooms();
    let write = NewWrite::text("waits").unwrap();
    assert_eq!(client.told(Input::Submit { room: other.clone(), ticket: Ticket(3), write }), []);
    let effects = client.hears(&ack(4, 10));
    assert_eq!(effects[0], acked(1, 10));
    assert_eq!(effects[1..], connect_afresh());
    // An answer that does not come is not waited for without end.
    let mut client = in_two_rooms();
    assert_eq!(client.passes(NEW_DEVICE_PATIENCE_MS - 1), []);
    let effects = client.passes(1);
    assert_eq!(effects[0], unknown(1));
    assert_eq!(effects[1..], connect_afresh());
}

#[test]
fn numbers_that_the_room_knows_and_the_client_does_not_were_lost() {
    let mut client = connected();
    client.random = 7;
    client.told(Input::Join { room: room(), from: JoinFrom::Head });
    client.hears(&joined(2, 9, 17));
    // A reader needs no new name; a writer does, before its first write.
    assert_eq!(client.passes(10_000), []);
    assert_eq!(client.submits(1, "a"), connect_afresh());
}

#[test]
fn a_room_that_insists_on_knowing_less_than_it_acked_is_another_one() {
    let mut client = joined_at(9);
    client.random = 7;
    client.submits(1, "a");
    client.hears(&ack(3, 10));
    client.submits(2, "b");
    let mut id = 4;
    let effects = loop {
        let mut effects = client.hears(&error(id, "out_of_order", r#","final":true,"details":{"last":0}"#));
        if effects.is_empty() {
            effects = client.passes(10_000);
        }
        if !matches!(effects[..], [Effect::Send(_)]) {
            break effects;
        }
        id += 1;
        assert!(id < 20, "the client goes on for ever");
    };
    assert_eq!(effects, connect_afresh());
}

#[test]
fn another_user_does_not_send_what_this_one_wrote() {
    let mut client = joined_at(9);
    client.submits(1, "sent");
    client.told(Input::Closed { code: None });
    client.submits(2, "not sent");
    client.passes(500);
    client.told(Input::Connected);
    let effects = client.hears(&welcome(4, "").replace("alice", "bob"));
    let closed = Effect::WriteEnded { ticket: Ticket(2), outcome: Err(WriteError::Closed) };
    assert_eq!(effects[..2], [unknown(1), closed]);
    client.hears(&joined(5, 9, 0));
    let sent = send(r#"{"id":6,"send":{"room":"general","n":1,"since":9,"body":{"text":"mine"}}}"#);
    assert_eq!(client.submits(3, "mine"), [sent]);
}
