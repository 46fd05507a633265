//! Tokens that are and tokens that are not.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rollcall_protocol::ErrorCode;
use serde_json::{Value, json};

use super::*;
use crate::auth::issue;
use crate::config::{Auth, Secret};

const SECRET: &str = "canary-secret-of-more-than-32-bytes";
const NOW_MS: i64 = 1_000_000_000_000;
const NOW_S: i64 = NOW_MS / 1000;

struct Setting {
    folder: tempfile::TempDir,
    verifier: TokenVerifier,
}

fn setting(change: impl FnOnce(&mut Auth)) -> Setting {
    let folder = tempfile::tempdir().unwrap();
    let mut auth = Auth { secret: Some(Secret::new(SECRET)), guests: Some(true), ..Auth::default() };
    change(&mut auth);
    let verifier = TokenVerifier::open(&auth, folder.path()).unwrap();
    Setting { folder, verifier }
}

fn token(header: &Header, claims: &Value, key: &[u8]) -> String {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(key)).unwrap()
}

fn user_token(claims: &Value) -> String {
    token(&Header::default(), claims, SECRET.as_bytes())
}

fn verify(claims: &Value) -> Result<Identity, AuthError> {
    setting(|_| ()).verifier.verify(&user_token(claims), NOW_MS)
}

#[test]
fn a_users_token() {
    let claims = Claims { iat_s: Some(NOW_S), ..Claims::new(UserId::parse("ann").unwrap(), NOW_S + 60) };
    let identity = setting(|_| ()).verifier.verify(&issue(&Secret::new(SECRET), &claims), NOW_MS).unwrap();
    assert_eq!((identity.user.as_str(), identity.is_guest), ("ann", false));
    assert_eq!(identity.expires_at_ms, NOW_MS + 60_000);
}

#[test]
fn time() {
    let leeway = TOKEN_LEEWAY_S;
    let cases = [
        (json!({"sub": "ann", "exp": NOW_S - leeway}), Some(AuthError::Expired)),
        (json!({"sub": "ann", "exp": NOW_S - leeway + 1}), None),
        (json!({"sub": "ann", "exp": 0}), Some(AuthError::Expired)),
        (json!({"sub": "ann", "exp": 1e300}), None),
        (json!({"sub": "ann", "exp": (NOW_S + 9) as f64 + 0.5}), None),
        (json!({"sub": "ann", "exp": NOW_S + 99, "nbf": NOW_S + leeway}), None),
        (json!({"sub": "ann", "exp": NOW_S + 99, "nbf": NOW_S + leeway + 1}), Some(AuthError::NotYetValid)),
    ];
    for (claims, expected) in cases {
        assert_eq!(verify(&claims).err(), expected, "{claims}");
    }
    assert!(leeway <= 60);
}

#[test]
fn claims_that_are_none() {
    let cases = [
        json!({"exp": NOW_S + 60}),
        json!({"sub": "ann"}),
        json!({"sub": "", "exp": NOW_S + 60}),
        json!({"sub": "a b", "exp": NOW_S + 60}),
        json!({"sub": 7, "exp": NOW_S + 60}),
        json!({"sub": "ann", "exp": "soon"}),
        json!({"sub": "ann", "exp": NOW_S + 60, "nbf": null}),
        json!({"sub": "ann", "exp": NOW_S + 60, "rooms": "general"}),
        json!({"sub": "ann", "exp": NOW_S + 60, "rooms": ["../etc"]}),
        json!({"sub": "ann", "exp": NOW_S + 60, "read_only": "no"}),
        json!({"sub": "ann", "exp": NOW_S + 60, "moderate": [7]}),
        json!([]),
    ];
    for claims in cases {
        assert_eq!(verify(&claims), Err(AuthError::Claims), "{claims}");
    }
}

#[test]
fn audiences() {
    let named = |audience: &Value| user_token(&json!({"sub": "ann", "exp": NOW_S + 60, "aud": audience}));
    let strict = setting(|auth| auth.audience = Some("chat".to_owned())).verifier;
    let open = setting(|_| ()).verifier;
    for audience in [json!("chat"), json!(["shop", "chat"])] {
        assert!(strict.verify(&named(&audience), NOW_MS).is_ok());
        assert_eq!(open.verify(&named(&audience), NOW_MS), Err(AuthError::Audience));
    }
    let unnamed = user_token(&json!({"sub": "ann", "exp": NOW_S + 60}));
    for token in [named(&json!("shop")), named(&json!([])), unnamed] {
        assert_eq!(strict.verify(&token, NOW_MS), Err(AuthError::Audience));
    }
}

#[test]
fn forged_and_malformed() {
    let verifier = setting(|_| ()).verifier;
    let claims = json!({"sub": "ann", "exp": NOW_S + 60});
    let good = user_token(&claims);
    let parts: Vec<&str> = good.split('.').collect();
    let other = user_token(&json!({"sub": "bob", "exp": NOW_S + 60}));
    let other_payload = other.split('.').nth(1).unwrap();
    // {"alg":"none","typ":"JWT"} and {"alg":"NONE"}, in base64url.
    let (none, upper_none) = ("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0", "eyJhbGciOiJOT05FIn0");
    let critical = Header { crit: Some(vec!["b64".to_owned()]), ..Header::default() };
    let cases = [
        (token(&Header::default(), &claims, b"another key"), AuthError::Signature),
        (format!("{}.{other_payload}.{}", parts[0], parts[2]), AuthError::Signature),
        (format!("{}.{}.", parts[0], parts[1]), AuthError::Signature),
        (format!("{none}.{}.", parts[1]), AuthError::Algorithm),
        (format!("{none}.{}.{}", parts[1], parts[2]), AuthError::Algorithm),
        (format!("{upper_none}.{}.", parts[1]), AuthError::Algorithm),
        (token(&Header::new(Algorithm::HS512), &claims, SECRET.as_bytes()), AuthError::Algorithm),
        (token(&critical, &claims, SECRET.as_bytes()), AuthError::Algorithm),
        (String::new(), AuthError::Malformed),
        ("a.b".to_owned(), AuthError::Malformed),
        ("a.b.c".to_owned(), AuthError::Malformed),
        ("\u{0}.\u{1}.ä".to_owned(), AuthError::Malformed),
        (format!("!{good}"), AuthError::Malformed),
        (format!("{}.{}.!", parts[0], parts[1]), AuthError::Malformed),
    ];
    assert!(verifier.verify(&good, NOW_MS).is_ok());
    for (token, expected) in cases {
        assert_eq!(verifier.verify(&token, NOW_MS), Err(expected), "{token}");
    }
}

#[test]
fn a_guest_keeps_the_name_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let auth = Auth::default();
    let open = || TokenVerifier::open(&auth, folder.path()).unwrap();
    let guest = open().admit_guest(NOW_MS).unwrap();
    assert!(guest.identity.is_guest && guest.identity.user.as_str().starts_with(GUEST_NAME_PREFIX));
    assert_eq!(open().verify(&guest.token, NOW_MS), Ok(guest.identity.clone()));
    assert_ne!(open().admit_guest(NOW_MS).unwrap().identity.user, guest.identity.user);
    let after_ms = guest.identity.expires_at_ms + TOKEN_LEEWAY_S * 1000;
    assert_eq!(open().verify(&guest.token, after_ms), Err(AuthError::Expired));
}

#[test]
fn nobody_takes_anothers_name() {
    let ours = setting(|_| ()).verifier;
    let guest = ours.admit_guest(NOW_MS).unwrap();
    let name = guest.identity.user.as_str();
    let guest_header = Header { typ: Some(GUEST_TYPE.to_owned()), ..Header::default() };
    let guest_claims = json!({"sub": name, "exp": NOW_S + 60, "iss": GUEST_ISSUER});
    // A user's token, however it is dressed up, is no guest's.
    assert_eq!(ours.verify(&user_token(&guest_claims), NOW_MS), Err(AuthError::GuestName));
    let claims_a_name = user_token(&json!({"sub": name, "exp": NOW_S + 60}));
    assert_eq!(ours.verify(&claims_a_name, NOW_MS), Err(AuthError::GuestName));
    let claims_the_issuer = user_token(&json!({"sub": "ann", "exp": NOW_S + 60, "iss": GUEST_ISSUER}));
    assert_eq!(ours.verify(&claims_the_issuer, NOW_MS), Err(AuthError::GuestName));
    let dressed_up = token(&guest_header, &guest_claims, SECRET.as_bytes());
    assert_eq!(ours.verify(&dressed_up, NOW_MS), Err(AuthError::Signature));
    // A guest's token of another server is no one's here.
    let theirs = setting(|_| ()).verifier;
    assert_eq!(theirs.verify(&guest.token, NOW_MS), Err(AuthError::Signature));
    // With the guest key itself, which nobody has, a user's name would still not be had.
    let stolen = setting(|_| ());
    let key = open_guest_key(stolen.folder.path()).unwrap();
    let user_name = json!({"sub": "ann", "exp": NOW_S + 60, "iss": GUEST_ISSUER});
    assert_eq!(stolen.verifier.verify(&token(&guest_header, &user_name, &key), NOW_MS), Err(AuthError::Claims));
    assert_eq!(stolen.verifier.verify(&token(&Header::default(), &user_name, &key), NOW_MS), Err(AuthError::Signature));
}

#[test]
fn who_is_let_in_where() {
    let guests_only = setting(|auth| auth.secret = None).verifier;
    let users_only = setting(|auth| auth.guests = None).verifier;
    let user = user_token(&json!({"sub": "ann", "exp": NOW_S + 60}));
    let guest = guests_only.admit_guest(NOW_MS).unwrap();
    assert_eq!(guests_only.verify(&user, NOW_MS), Err(AuthError::NoSecret));
    assert_eq!(users_only.verify(&guest.token, NOW_MS), Err(AuthError::GuestsOff));
    assert_eq!(users_only.admit_guest(NOW_MS).err(), Some(AuthError::Missing));
    assert!(guests_only.takes_guests() && !users_only.takes_guests());
    let folder = setting(|auth| auth.guests = None).folder;
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a key was made that nobody needs");
}

#[test]
fn codes_and_what_is_never_shown() {
    assert_eq!(AuthError::Expired.code(), ErrorCode::TokenExpired);
    assert_eq!(AuthError::Signature.code(), ErrorCode::Unauthorized);
    let setting = setting(|_| ());
    let guest = setting.verifier.admit_guest(NOW_MS).unwrap();
    let shown = format!("{:?} {guest:?}", setting.verifier);
    assert!(!shown.contains("canary") && !shown.contains(&guest.token), "{shown}");
}
