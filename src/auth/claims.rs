//! What a token says, and how one is made.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rollcall_protocol::UserId;
use serde::{Deserialize, Deserializer, Serialize};

use super::RoomPattern;
use crate::config::Secret;

/// What a token says. Claims that are not listed here are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    /// Who it is.
    pub sub: UserId,
    /// Until when it holds, in seconds since 1970.
    #[serde(rename = "exp", deserialize_with = "numeric_date")]
    pub exp_s: i64,
    /// From when on it holds, in seconds since 1970.
    #[serde(rename = "nbf", default, deserialize_with = "some_numeric_date", skip_serializing_if = "Option::is_none")]
    pub nbf_s: Option<i64>,
    /// When it was made, in seconds since 1970.
    #[serde(rename = "iat", default, deserialize_with = "some_numeric_date", skip_serializing_if = "Option::is_none")]
    pub iat_s: Option<i64>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Whom it is meant for: any one of these.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub aud: Vec<String>,
    /// Which rooms it is good for; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rooms: Option<Vec<RoomPattern>>,
    /// Whether it is good for reading alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// In which of its rooms it may redact what others wrote; none where absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moderate: Vec<RoomPattern>,
}

impl Claims {
    /// Says who it is and until when, in seconds since 1970; good for all rooms, moderating none.
    pub fn new(sub: UserId, exp_s: i64) -> Self {
        Self {
            sub,
            exp_s,
            nbf_s: None,
            iat_s: None,
            iss: None,
            aud: Vec::new(),
            rooms: None,
            read_only: false,
            moderate: Vec::new(),
        }
    }
}

/// Makes a user's token, signed with the secret.
///
/// # Panics
/// Never: claims are plain JSON, and HMAC takes a key of any length.
pub fn issue(secret: &Secret, claims: &Claims) -> String {
    sign(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret.reveal().as_bytes()))
}

pub(super) fn sign(header: &Header, claims: &Claims, key: &EncodingKey) -> String {
    jsonwebtoken::encode(header, claims, key).expect("claims are plain JSON, and HMAC takes a key of any length")
}

/// Reads a number of seconds, which RFC 7519 allows to have a fraction.
fn numeric_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and a far future is one")]
    f64::deserialize(deserializer).map(|seconds| seconds.floor() as i64)
}

fn some_numeric_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    numeric_date(deserializer).map(Some)
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(audience) => vec![audience],
        OneOrMany::Many(audiences) => audiences,
    })
}
