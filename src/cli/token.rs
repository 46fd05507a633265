//! `rollcall token`.

use rollcall::auth::{
    AuthError, Claims, GUEST_KEY_FILE, GUEST_NAME_PREFIX, Identity, RoomPattern, TokenVerifier, issue as sign,
};
use rollcall::config::Config;
use serde_json::json;

use super::args::{InspectArguments, IssueArguments};
use super::duration::in_words;
use super::failure::{Failure, Kind};
use super::output;
use super::utc::{now_ms, utc};

const NO_SECRET: &str = "no secret is configured: put 32 bytes or more into a file (`openssl rand -hex 32 > secret`) and name it \
                         by `auth.secret_file`, in rollcall.toml or as ROLLCALL__AUTH__SECRET_FILE";

/// Makes a token for a user and prints it.
pub fn issue(arguments: &IssueArguments) -> Result<(), Failure> {
    let IssueArguments { user, ttl, rooms, moderate, read_only, json, config } = arguments;
    let auth = config.load()?.config.auth;
    // Loading has read the secret once and found it good.
    let secret = auth.read_secret().map_err(|error| Failure::new(Kind::Config, error))?;
    let secret = secret.ok_or_else(|| Failure::new(Kind::Config, NO_SECRET))?;
    if user.as_str().starts_with(GUEST_NAME_PREFIX) {
        let text = format!("names that begin with {GUEST_NAME_PREFIX} are kept for guests: take another name");
        return Err(Failure::new(Kind::Finding, text));
    }
    let now_s = now_ms() / 1000;
    let claims = Claims {
        iat_s: Some(now_s),
        aud: auth.audience.into_iter().collect(),
        rooms: (!rooms.is_empty()).then(|| rooms.clone()),
        read_only: *read_only,
        moderate: moderate.clone(),
        ..Claims::new(user.clone(), now_s.saturating_add_unsigned(ttl.0))
    };
    let token = sign(&secret, &claims);
    if *json {
        output::json(&json!({"token": token, "user": user, "expires_at_ms": claims.exp_s * 1000}))
    } else {
        output::line(&token)
    }
}

/// Checks a token and says what it allows.
pub fn inspect(arguments: &InspectArguments) -> Result<(), Failure> {
    let InspectArguments { token, json, config } = arguments;
    let token = output::argument_or_input(token)?;
    let verifier = open_keys(&config.load()?.config)?;
    let now_ms = now_ms();
    match verifier.verify(token.trim(), now_ms) {
        Ok(identity) if *json => output::json(&json!({
            "valid": true, "user": identity.user, "guest": identity.is_guest, "expires_at_ms": identity.expires_at_ms,
            "rooms": identity.rooms(), "read_only": identity.is_read_only(), "moderate": identity.moderates(),
        })),
        Ok(identity) => output::line(&explain(&identity, now_ms)),
        Err(error) => {
            if *json {
                output::json(&json!({"valid": false, "reason": error.reason(), "message": error.to_string()}))?;
            } else {
                output::line(&format!("not valid: {error}{}", advice(error)))?;
            }
            Err(Failure::finding())
        }
    }
}

/// Opens the keys that are there. A guest key is not made: nothing could have been signed with it.
fn open_keys(config: &Config) -> Result<TokenVerifier, Failure> {
    let mut auth = config.auth.clone();
    let has_guest_key = config.data.dir.join(GUEST_KEY_FILE).exists();
    if !has_guest_key && !auth.has_secret() {
        let text = format!(
            "there is no key to check the token with: no secret is configured, and {} has no {GUEST_KEY_FILE}",
            config.data.dir.display()
        );
        return Err(Failure::new(Kind::Config, text));
    }
    if !has_guest_key {
        auth.guests = Some(false);
    }
    Ok(TokenVerifier::open(&auth, &config.data.dir)?)
}

fn explain(identity: &Identity, now_ms: i64) -> String {
    let rooms = |patterns: &[RoomPattern]| match patterns {
        [] => "none".to_owned(),
        patterns => patterns.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    };
    let left_s = u64::try_from((identity.expires_at_ms - now_ms) / 1000).unwrap_or_default();
    let lines = [
        "valid".to_owned(),
        format!("user      {}{}", identity.user, if identity.is_guest { ", a guest" } else { "" }),
        format!("expires   {}, in {}", utc(identity.expires_at_ms), in_words(left_s)),
        format!("rooms     {}", identity.rooms().map_or_else(|| "all".to_owned(), rooms)),
        format!("may       {}", if identity.is_read_only() { "read" } else { "read and write" }),
        format!("moderates {}", rooms(identity.moderates())),
    ];
    lines.join("\n")
}

fn advice(error: AuthError) -> &'static str {
    match error {
        AuthError::Signature => "; it was made with another secret, or changed",
        AuthError::Expired => "; make a new one with `rollcall token issue`",
        AuthError::Audience => "; `auth.audience` names this server's",
        AuthError::GuestsOff => ", or has no guest key in its data folder",
        _ => "",
    }
}
