//! Why a token was not accepted, and why there can be none.

use std::path::PathBuf;

use rollcall_protocol::{ErrorCode, ErrorFrame};

use crate::config::SecretError;

/// Why somebody is not let in. No text here repeats a part of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is no token, and guests are not allowed.
    #[error("a token is needed: this server takes no guests")]
    Missing,
    /// It does not have the form of a token.
    #[error("the token is malformed: it is not a JWT of three parts")]
    Malformed,
    /// It is signed in another way than HS256, or not at all.
    #[error("the token is signed with another algorithm than HS256")]
    Algorithm,
    /// The signature is not that of this server's key.
    #[error("the token's signature does not fit this server's key")]
    Signature,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// It is meant for somebody else.
    #[error("the token's audience is not this server's")]
    Audience,
    /// A claim is missing or is not what it should be.
    #[error(
        "the token's claims are not those of a user: sub, exp, and as they apply nbf, aud, rooms, read_only, moderate"
    )]
    Claims,
    /// It is a user's token with a guest's name.
    #[error("the token claims a name that is kept for guests")]
    GuestName,
    /// It is a guest's token, and guests are not allowed.
    #[error("the token is a guest's, and this server takes no guests")]
    GuestsOff,
    /// It is a user's token, and no secret is configured to check it with.
    #[error("the token cannot be checked: this server has no secret configured and takes its own guests only")]
    NoSecret,
    /// The system gave no randomness for a guest's name.
    #[error("a guest's name cannot be drawn now")]
    NoRandomness,
}

impl AuthError {
    /// Returns the code that a client is told.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Expired => ErrorCode::TokenExpired,
            Self::NoRandomness => ErrorCode::Internal,
            _ => ErrorCode::Unauthorized,
        }
    }

    /// Returns the error as a client is told it.
    pub fn frame(self) -> ErrorFrame {
        ErrorFrame::new(self.code(), self.to_string())
    }

    /// Returns a word for metrics and log lines.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Audience => "audience",
            Self::Claims => "claims",
            Self::GuestName => "guest_name",
            Self::GuestsOff => "guests_off",
            Self::NoSecret => "no_secret",
            Self::NoRandomness => "no_randomness",
        }
    }
}

/// Why tokens cannot be checked at all: the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum AuthSetupError {
    /// The configured secret cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The guest key cannot be read or made.
    #[error("failed to open the guest key {path}: {source}")]
    GuestKey {
        /// Where it lies.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The guest key has another length than it was made with.
    #[error(
        "failed to use the guest key {path}: it has {bytes} bytes instead of 32. If it cannot be restored, remove it: guests \
         then get new names"
    )]
    GuestKeyDamaged {
        /// Where it lies.
        path: PathBuf,
        /// How long it is.
        bytes: usize,
    },
    /// Others on this machine can read the guest key.
    #[error("failed to use the guest key {path}: other users can read it; run `chmod 600` on it")]
    GuestKeyExposed {
        /// Where it lies.
        path: PathBuf,
    },
}
