//! Checks tokens, and lets guests in.

use std::path::Path;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rollcall_protocol::UserId;

use super::claims::{Claims, sign};
use super::guest_key::open_guest_key;
use super::{AuthError, AuthSetupError, Identity};
use crate::config;
use crate::limits::TOKEN_LEEWAY_S;

/// How the names of guests begin; no user's token may claim such a name.
pub const GUEST_NAME_PREFIX: &str = "guest-";

/// The type in the header of guests' tokens, by which they are told from users'.
const GUEST_TYPE: &str = "rollcall-guest+jwt";

/// The issuer that guests' tokens name and users' must not.
const GUEST_ISSUER: &str = "rollcall:guest";

/// A name has this many random bytes: nobody guesses a name that is taken, and two guests never draw the same.
const GUEST_NAME_RANDOM_BYTES: usize = 10;

/// Checks tokens with the keys of one server. May be used from many tasks at once.
pub struct TokenVerifier {
    user_key: Option<DecodingKey>,
    audience: Option<String>,
    guests: Option<GuestKeys>,
}

struct GuestKeys {
    signing: EncodingKey,
    checking: DecodingKey,
    token_ttl_s: u64,
}

/// A guest who was just let in.
#[derive(Clone)]
pub struct Guest {
    /// Who it is from now on.
    pub identity: Identity,
    /// What proves the name the next time.
    pub token: String,
}

impl TokenVerifier {
    /// Opens the keys: the configured secret, and the guest key in the data folder where guests are allowed (made at the first
    /// time, with the folder).
    ///
    /// # Errors
    /// Where a key cannot be read, made or used.
    pub fn open(auth: &config::Auth, data_dir: &Path) -> Result<Self, AuthSetupError> {
        let user_key = auth.read_secret()?.map(|secret| DecodingKey::from_secret(secret.reveal().as_bytes()));
        let guests = if auth.guests_allowed() {
            let key = open_guest_key(data_dir)?;
            Some(GuestKeys {
                signing: EncodingKey::from_secret(&key),
                checking: DecodingKey::from_secret(&key),
                token_ttl_s: auth.guest_token_ttl_s,
            })
        } else {
            None
        };
        Ok(Self { user_key, audience: auth.audience.clone(), guests })
    }

    /// Tells whether those without a token come in.
    pub fn takes_guests(&self) -> bool {
        self.guests.is_some()
    }

    /// Checks a token, of a user or of a guest. `now_ms` is the time in milliseconds since 1970.
    ///
    /// # Errors
    /// Where it is not to be believed, by why.
    pub fn verify(&self, token: &str, now_ms: i64) -> Result<Identity, AuthError> {
        let header = jsonwebtoken::decode_header(token).map_err(|error| refusal(&error))?;
        if header.crit.is_some() {
            // RFC 7515, section 4.1.11: extensions that must be understood and are not.
            return Err(AuthError::Algorithm);
        }
        if header.typ.as_deref() == Some(GUEST_TYPE) {
            let keys = self.guests.as_ref().ok_or(AuthError::GuestsOff)?;
            let claims = self.claims(token, &keys.checking, now_ms)?;
            let is_ours = claims.iss.as_deref() == Some(GUEST_ISSUER);
            if !is_ours || !claims.sub.as_str().starts_with(GUEST_NAME_PREFIX) || !claims.aud.is_empty() {
                return Err(AuthError::Claims);
            }
            return Ok(Identity::of_claims(claims, true));
        }
        let claims = self.claims(token, self.user_key.as_ref().ok_or(AuthError::NoSecret)?, now_ms)?;
        let for_us = match &self.audience {
            Some(audience) => claims.aud.contains(audience),
            None => claims.aud.is_empty(),
        };
        if !for_us {
            return Err(AuthError::Audience);
        }
        if claims.iss.as_deref() == Some(GUEST_ISSUER) || claims.sub.as_str().starts_with(GUEST_NAME_PREFIX) {
            return Err(AuthError::GuestName);
        }
        Ok(Identity::of_claims(claims, false))
    }

    /// Lets in somebody without a token, under a new name.
    ///
    /// # Errors
    /// Where guests are not allowed, or no name can be drawn.
    pub fn admit_guest(&self, now_ms: i64) -> Result<Guest, AuthError> {
        let keys = self.guests.as_ref().ok_or(AuthError::Missing)?;
        let mut random = [0u8; GUEST_NAME_RANDOM_BYTES];
        getrandom::fill(&mut random).map_err(|_| AuthError::NoRandomness)?;
        let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let user = UserId::parse(&format!("{GUEST_NAME_PREFIX}{digits}")).expect("a guest's name is a user name");
        let now_s = now_ms.div_euclid(1000);
        let mut claims = Claims::new(user, now_s.saturating_add_unsigned(keys.token_ttl_s));
        claims.iat_s = Some(now_s);
        claims.iss = Some(GUEST_ISSUER.to_owned());
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(GUEST_TYPE.to_owned());
        let token = sign(&header, &claims, &keys.signing);
        Ok(Guest { identity: Identity::of_claims(claims, true), token })
    }

    /// Reads the claims of a token whose signature fits the key and whose time is now.
    fn claims(&self, token: &str, key: &DecodingKey, now_ms: i64) -> Result<Claims, AuthError> {
        let mut validation = Validation::new(Algorithm::HS256);
        // Time and audience are checked by ourselves: the library knows neither our clock nor an audience that must be absent.
        validation.required_spec_claims.clear();
        (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
        let claims = match jsonwebtoken::decode::<Claims>(token, key, &validation) {
            Ok(token) => token.claims,
            // The signature is good: what cannot be read now are the claims.
            Err(error) if matches!(error.kind(), ErrorKind::Json(_)) => return Err(AuthError::Claims),
            Err(error) => return Err(refusal(&error)),
        };
        let now_s = now_ms.div_euclid(1000);
        if now_s >= claims.exp_s.saturating_add(TOKEN_LEEWAY_S) {
            return Err(AuthError::Expired);
        }
        if claims.nbf_s.is_some_and(|nbf_s| now_s < nbf_s.saturating_sub(TOKEN_LEEWAY_S)) {
            return Err(AuthError::NotYetValid);
        }
        Ok(claims)
    }
}

impl std::fmt::Debug for TokenVerifier {
    /// Leaves the keys out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenVerifier")
            .field("takes_users", &self.user_key.is_some())
            .field("takes_guests", &self.takes_guests())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Guest {
    /// Leaves the token out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// Says what the library said in words of ours.
fn refusal(error: &jsonwebtoken::errors::Error) -> AuthError {
    match error.kind() {
        ErrorKind::InvalidSignature => AuthError::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName | ErrorKind::UnsupportedAlgorithm => {
            AuthError::Algorithm
        }
        // A header that is JSON and no header of ours: `alg` is `none`, or something that the library does not know.
        ErrorKind::Json(json) if json.is_data() => AuthError::Algorithm,
        _ => AuthError::Malformed,
    }
}

#[cfg(test)]
mod tests;
