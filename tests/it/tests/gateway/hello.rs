//! Hello: who a connection is.

use rollcall_it::server::{TestServer, now_s, token, token_of};
use rollcall_protocol::{ErrorCode, Format, Hello, limits};

#[tokio::test]
async fn a_user_is_welcomed_under_the_name_of_the_token() {
    let server = TestServer::start().await;
    for format in Format::ALL {
        let mut raw = server.connect(format).await;
        let welcome = raw.hello(Some(&token("alice")), Some("phone")).await.unwrap();
        assert_eq!(welcome.user.as_str(), "alice");
        assert_eq!(welcome.device.as_str(), "phone");
        assert_eq!(welcome.token, None, "a user has a token already");
        assert_eq!(welcome.ping_interval_ms, limits::PING_INTERVAL_MS);
        assert_eq!(welcome.pong_timeout_ms, limits::PONG_TIMEOUT_MS);
        let expires_in_s = welcome.expires_at_ms.unwrap() / 1_000 - now_s();
        assert!((3_590..=3_600).contains(&expires_in_s), "{expires_in_s}");
        assert!((welcome.server_time_ms / 1_000 - now_s()).abs() <= 5);
    }
}

#[tokio::test]
async fn a_guest_comes_back_under_the_same_name_with_the_token() {
    let server = TestServer::start().await;
    for format in Format::ALL {
        let first = server.connect(format).await.hello(None, None).await.unwrap();
        assert!(first.user.as_str().starts_with("guest-"));
        let token = first.token.expect("a guest is given a token");
        let again = server.connect(format).await.hello(Some(&token), Some("laptop")).await.unwrap();
        assert_eq!(again.user, first.user);
        assert_eq!(again.token, None);
        let other = server.connect(format).await.hello(None, None).await.unwrap();
        assert_ne!(other.user, first.user);
        assert_ne!(other.device, first.device, "a device that the client does not name is the connection's own");
    }
}

#[tokio::test]
async fn guests_keep_their_names_when_the_server_starts_again() {
    let server = TestServer::start().await;
    let first = server.connect(Format::Json).await.hello(None, None).await.unwrap();
    let server = server.stop().await.start().await;
    let again = server.connect(Format::Json).await.hello(first.token.as_deref(), None).await.unwrap();
    assert_eq!(again.user, first.user);
}

#[tokio::test]
async fn where_guests_are_not_taken_a_token_is_needed() {
    let server = TestServer::build().config(|config| config.auth.guests = Some(false)).start().await;
    let mut raw = server.connect(Format::Json).await;
    assert_eq!(raw.hello(None, None).await.unwrap_err().code, ErrorCode::Unauthorized);
    assert_eq!(raw.closed().await, Some(4502));
}

#[tokio::test]
async fn a_session_has_up_to_64_characters_of_any_width() {
    let server = TestServer::start().await;
    let hello = |session: String| Hello { token: Some(token("ann")), session: Some(session), ..Hello::default() };
    server.connect(Format::Json).await.hello_as(hello("é".repeat(64))).await.unwrap();
    for wrong in [String::new(), "é".repeat(65)] {
        let mut raw = server.connect(Format::Json).await;
        let error = raw.hello_as(hello(wrong)).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::BadRequest);
        assert!(error.message.contains("session"), "{}", error.message);
        assert_eq!(raw.closed().await, Some(4500));
    }
}

#[tokio::test]
async fn no_client_takes_the_name_of_an_idempotency_key() {
    let server = TestServer::start().await;
    let mut raw = server.connect(Format::Json).await;
    let error = raw.hello(Some(&token("ann")), Some("key:0011")).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::BadRequest);
    assert!(error.message.contains("key:"), "{}", error.message);
    assert_eq!(raw.closed().await, Some(4500));
}

#[tokio::test]
async fn a_token_bounds_the_rooms_and_what_may_be_done_in_them() {
    let server = TestServer::start().await;
    let scoped = token_of("ann", |claims| {
        claims.rooms = Some(vec!["team.*".parse().unwrap()]);
    });
    let mut ann = server.connect(Format::Json).await;
    ann.hello(Some(&scoped), None).await.unwrap();
    ann.join("team.one", Some(0)).await.unwrap();
    ann.send("team.one", 1, "mine").await.unwrap();
    assert_eq!(ann.join("other", None).await.unwrap_err().code, ErrorCode::Forbidden);
    assert_eq!(ann.history("other", |_| {}).await.unwrap_err().code, ErrorCode::Forbidden);
    let refused = ann.send("other", 1, "not mine").await.unwrap_err();
    assert_eq!((refused.code, refused.is_final), (ErrorCode::Forbidden, true));

    let mut reader = server.connect(Format::Json).await;
    reader.hello(Some(&token_of("bob", |claims| claims.read_only = true)), None).await.unwrap();
    reader.join("team.one", Some(0)).await.unwrap();
    reader.entries_through("team.one", 0, 2).await;
    assert_eq!(reader.send("team.one", 1, "no").await.unwrap_err().code, ErrorCode::Forbidden);
}
