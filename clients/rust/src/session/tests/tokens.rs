//! Tokens: fetched, refreshed, refused; and guests.

use super::*;
use crate::error::StopError;
use crate::storage::Change;

fn with(credentials: Credentials) -> Client {
    let saved = Saved { device: Some(config().device), ..Saved::default() };
    Client::new(SessionConfig { credentials, has_storage: true, ..config() }, saved)
}

fn hello_with(id: u64, attempt: u64, token: Option<&str>) -> Effect {
    let token = token.map(|token| format!(r#""token":"{token}","#)).unwrap_or_default();
    send(&format!(r#"{{"id":{id},"hello":{{{token}"device":"phone","session":"s1","attempt":{attempt}}}}}"#))
}

#[test]
fn a_provider_is_asked_before_the_connection_and_a_failure_is_tried_again() {
    let mut client = with(Credentials::Provider);
    assert_eq!(client.told(Input::Start), [Effect::State(State::Connecting), Effect::FetchToken]);
    client.random = 300;
    assert_eq!(client.told(Input::Token(Err("no network".into()))), [reconnecting(300, None)]);
    assert_eq!(client.passes(300), [Effect::State(State::Connecting), Effect::FetchToken]);
    assert_eq!(client.told(Input::Token(Ok("t1".into()))), [Effect::Connect]);
    assert_eq!(client.told(Input::Connected), [hello_with(1, 1, Some("t1"))]);
}

#[test]
fn a_token_is_refreshed_before_it_expires_and_kept_for_the_next_connection() {
    let mut client = with(Credentials::Provider);
    client.told(Input::Start);
    client.told(Input::Token(Ok("t1".into())));
    client.told(Input::Connected);
    // It lasts an hour by the server's clock; the pings keep the connection alive meanwhile.
    client.hears(&welcome(1, r#","expires_at_ms":4600000"#));
    let refresh_ms = 3_600_000 - 60_000;
    let mut effects = Vec::new();
    while client.now_ms < refresh_ms {
        assert_eq!(effects, [], "at {}", client.now_ms);
        effects = client.passes(20_000);
        client.hears(r#"{"ping":{"heads":{}}}"#);
    }
    assert_eq!(effects, [Effect::FetchToken]);
    assert_eq!(client.told(Input::Token(Err("busy".into()))), []);
    assert_eq!(client.passes(50), [Effect::FetchToken]);
    assert_eq!(client.told(Input::Token(Ok("t2".into()))), [send(r#"{"id":2,"refresh":{"token":"t2"}}"#)]);
    assert_eq!(client.hears(r#"{"id":2,"ok":{}}"#), []);
    client.told(Input::Closed { code: None });
    assert_eq!(client.passes(500), [Effect::State(State::Connecting), Effect::Connect]);
    assert_eq!(client.told(Input::Connected), [hello_with(3, 2, Some("t2"))]);
}

#[test]
fn an_expired_token_is_replaced_where_a_provider_has_another() {
    let mut client = with(Credentials::Provider);
    client.told(Input::Start);
    client.told(Input::Token(Ok("t1".into())));
    client.told(Input::Connected);
    assert_eq!(client.hears(&error(1, "token_expired", "")), [Effect::Disconnect, reconnecting(0, Some(4004))]);
    assert_eq!(client.passes(0), [Effect::State(State::Connecting), Effect::FetchToken]);
    client.told(Input::Token(Ok("t2".into())));
    client.told(Input::Connected);
    client.hears(&welcome(2, ""));
    client.told(Input::Closed { code: Some(4004) });
    assert_eq!(client.passes(500), [Effect::State(State::Connecting), Effect::FetchToken]);
}

#[test]
fn a_token_that_is_refused_stops_the_client() {
    for credentials in [Credentials::Token("secret".into()), Credentials::Provider] {
        let mut client = with(credentials.clone());
        client.told(Input::Start);
        client.told(Input::Token(Ok("secret".into())));
        client.told(Input::Connected);
        let error_frame = error_frame("unauthorized", "");
        let stopped = State::Stopped { error: StopError::Refused(Box::new(error_frame)) };
        let effects = client.hears(&error(1, "unauthorized", ""));
        assert_eq!(effects, [Effect::Disconnect, Effect::State(stopped)], "{credentials:?}");
    }
    let mut client = with(Credentials::Token("secret".into()));
    client.told(Input::Start);
    client.told(Input::Connected);
    assert!(matches!(client.hears(&error(1, "token_expired", ""))[1], Effect::State(State::Stopped { .. })));
}

#[test]
fn a_hello_that_is_put_off_is_said_again() {
    let mut client = with(Credentials::Guest);
    client.told(Input::Start);
    client.told(Input::Connected);
    let effects = client.hears(&error(1, "unavailable", r#","retry_after_ms":1500"#));
    assert_eq!(effects, [Effect::Disconnect, reconnecting(1_500, None)]);
}

#[test]
fn a_guest_keeps_its_proof_and_becomes_a_new_guest_where_it_is_void() {
    let mut client = with(Credentials::Guest);
    client.told(Input::Start);
    assert_eq!(client.told(Input::Connected), [hello_with(1, 1, None)]);
    let effects = client.hears(&welcome(1, r#","token":"proof""#));
    let kept = [
        Effect::Remember(Change::User(UserId::parse("alice").unwrap())),
        Effect::Remember(Change::GuestToken(Some("proof".into()))),
        connected_state(),
    ];
    assert_eq!(effects, kept);
    client.told(Input::Closed { code: None });
    client.passes(500);
    assert_eq!(client.told(Input::Connected), [hello_with(2, 2, Some("proof"))]);
    // The same proof again is not worth a save.
    assert_eq!(client.hears(&welcome(2, r#","token":"proof""#)), [connected_state()]);
    for void in [Some(4502), None] {
        client.told(Input::Closed { code: None });
        client.passes(60_000);
        client.told(Input::Connected);
        let effects = match void {
            Some(code) => client.told(Input::Closed { code: Some(code) }),
            None => {
                let id = client.session.requests.next_id() - 1;
                client.hears(&error(id, "unauthorized", ""))
            }
        };
        assert_eq!(effects[0], Effect::Remember(Change::GuestToken(None)), "{void:?}");
        assert!(
            matches!(effects.last(), Some(Effect::State(State::Reconnecting { code: Some(4502), .. }))),
            "{effects:?}"
        );
        client.passes(60_000);
        let effects = client.told(Input::Connected);
        let id = client.session.requests.next_id() - 1;
        assert!(!format!("{effects:?}").contains("proof"), "tokens are not printed");
        assert!(matches!(&effects[..], [Effect::Send(command)] if format!("{:?}", command.op).starts_with("Hello")));
        client.hears(&welcome(id, r#","token":"proof""#));
    }
}
