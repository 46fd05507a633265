//! What is told to a storage, and a life that goes on from it.

use super::*;
use crate::storage::{Change, SavedRoom, SavedWrite};

fn kept(saved: &mut Saved, effects: &[Effect]) {
    for effect in effects {
        if let Effect::Remember(change) = effect {
            saved.apply(change.clone());
        }
    }
}

fn write(n: u64, text: &str) -> SavedWrite {
    SavedWrite { n, op: rollcall_protocol::WriteOp::Send, target: None, body: Some(body(text)) }
}

fn config_with_storage() -> SessionConfig {
    SessionConfig { has_storage: true, ..config() }
}

#[test]
fn a_fresh_client_keeps_its_name_before_it_connects() {
    let mut client = Client::new(config_with_storage(), Saved::default());
    let device = DeviceId::parse("phone").unwrap();
    let effects = client.told(Input::Start);
    assert_eq!(effects[0], Effect::Remember(Change::Device(device)));
}

#[test]
fn a_write_is_kept_before_it_is_sent_and_forgotten_once_answered() {
    let mut client = connected_with(config_with_storage(), Saved::default());
    client.told(Input::Join { room: room(), from: JoinFrom::Head });
    client.hears(&joined(2, 5, 0));
    let effects = client.submits(1, "a");
    let submitted = Change::Submitted { room: room(), since: Seq::new(5), write: write(1, "a") };
    assert!(submitted.is_urgent());
    assert_eq!(effects[0], Effect::Remember(submitted));
    assert!(matches!(effects[1], Effect::Send(_)));
    let effects = client.hears(r#"{"id":3,"ok":{"seq":6}}"#);
    let ended = Change::Ended { room: room(), n: 1, accepted_n: 1 };
    assert!(!ended.is_urgent());
    assert_eq!(effects, [acked(1, 6), Effect::Remember(ended)]);
}

#[test]
fn the_next_life_asks_for_what_was_not_answered_under_the_same_numbers() {
    let saved = Saved {
        device: Some(DeviceId::parse("tablet").unwrap()),
        user: Some(UserId::parse("alice").unwrap()),
        guest_token: None,
        rooms: [(
            room(),
            SavedRoom {
                accepted_n: 4,
                last_n: 7,
                since: Seq::new(2),
                unanswered: vec![write(5, "five"), write(7, "seven")],
                cursor: Some(cursor(30)),
            },
        )]
        .into(),
    };
    let mut client = Client::new(config_with_storage(), saved);
    assert_eq!(client.session.unanswered_rooms().collect::<Vec<_>>(), [&room()]);
    client.told(Input::Start);
    let hello = send(r#"{"id":1,"hello":{"token":"secret","device":"tablet","session":"s1","attempt":1}}"#);
    assert_eq!(client.told(Input::Connected), [hello]);
    client.hears(&welcome(1, ""));
    let join = format!(r#"{{"id":2,"join":{{"room":"general","after":30,"hash":"{}"}}}}"#, hash(30));
    assert_eq!(client.told(Input::Join { room: room(), from: JoinFrom::Saved }), [send(&join)]);
    let effects = client.hears(&joined(2, 31, 5));
    let again = [
        send(r#"{"id":3,"send":{"room":"general","n":5,"body":{"text":"five"}}}"#),
        send(r#"{"id":4,"send":{"room":"general","n":7,"prev":5,"body":{"text":"seven"}}}"#),
    ];
    assert_eq!(effects[effects.len() - 2..], again);
    let outcome = Ok(Ack { seq: Seq::new(29), duplicate: true });
    let recovered = event(RoomEvent::Recovered { write: write(5, "five"), outcome });
    let ended = Effect::Remember(Change::Ended { room: room(), n: 5, accepted_n: 5 });
    assert_eq!(client.hears(r#"{"id":3,"ok":{"seq":29,"duplicate":true}}"#), [recovered, ended]);
    let effects = client.submits(1, "new");
    assert_eq!(effects[1], send(r#"{"id":5,"send":{"room":"general","n":8,"body":{"text":"new"}}}"#));
}

#[test]
fn a_new_device_keeps_only_what_goes_on_under_its_name() {
    let mut saved = Saved::default();
    let mut client = Client::new(config_with_storage(), Saved::default());
    client.random = 7;
    kept(&mut saved, &client.told(Input::Start));
    client.told(Input::Connected);
    kept(&mut saved, &client.hears(&welcome(1, "")));
    client.told(Input::Join { room: room(), from: JoinFrom::Head });
    client.hears(&joined(2, 5, 17));
    kept(&mut saved, &client.submits(1, "a"));
    let general = SavedRoom { last_n: 1, since: Seq::new(5), unanswered: vec![write(1, "a")], ..SavedRoom::default() };
    let expected = Saved {
        device: Some(DeviceId::parse("d-0000000000000007").unwrap()),
        user: Some(UserId::parse("alice").unwrap()),
        guest_token: None,
        rooms: [(room(), general)].into(),
    };
    assert_eq!(saved, expected);
}

#[test]
fn a_place_that_the_program_has_read_is_kept() {
    let mut client = connected_with(config_with_storage(), Saved::default());
    let read = Change::Read { room: room(), cursor: cursor(8) };
    let effects = client.told(Input::Processed { room: room(), cursor: cursor(8) });
    assert_eq!(effects, [Effect::Remember(read)]);
    let join = format!(r#"{{"id":2,"join":{{"room":"general","after":8,"hash":"{}"}}}}"#, hash(8));
    assert_eq!(client.told(Input::Join { room: room(), from: JoinFrom::Saved }), [send(&join)]);
}
