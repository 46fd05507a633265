//! How a session proves who it is: a fixed token, a provider that is asked for fresh ones, or a guest's proof.

/// How a session proves who it is.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// The server makes the client a guest, and the client remembers the proof of the guest's name.
    Guest,
    /// A token that does not change.
    Token(String),
    /// Tokens come from the program when they are needed.
    Provider,
}

impl std::fmt::Debug for Credentials {
    /// Leaves the token out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Guest => "Guest",
            Self::Token(_) => "Token",
            Self::Provider => "Provider",
        })
    }
}

/// A token is fetched anew where it expires within this time, in milliseconds.
const EXPIRY_MARGIN_MS: u64 = 10_000;
/// A token is refreshed this long before it expires, or at four fifths of its life, whichever is later, in milliseconds.
const REFRESH_MARGIN_MS: u64 = 60_000;

/// The token that is in use, and when it ends.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) credentials: Credentials,
    token: Option<Token>,
    /// When a fresh token is due.
    refresh_ms: Option<u64>,
    /// How often the provider failed since it last gave a token.
    pub(super) failures: u32,
}

struct Token {
    text: String,
    expires_ms: Option<u64>,
}

impl std::fmt::Debug for Token {
    /// Leaves the token out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("expires_ms", &self.expires_ms).finish_non_exhaustive()
    }
}

impl Access {
    pub(super) fn new(credentials: Credentials, guest_token: Option<String>) -> Self {
        let text = match &credentials {
            Credentials::Guest => guest_token,
            Credentials::Token(text) => Some(text.clone()),
            Credentials::Provider => None,
        };
        Self { credentials, token: text.map(|text| Token { text, expires_ms: None }), refresh_ms: None, failures: 0 }
    }

    /// Returns the token to say hello with.
    pub(super) fn token(&self) -> Option<String> {
        self.token.as_ref().map(|token| token.text.clone())
    }

    /// Tells whether the provider has to be asked before a connection is opened.
    pub(super) fn needs_token(&self, now_ms: u64) -> bool {
        let is_fresh = |token: &Token| token.expires_ms.is_none_or(|expires_ms| expires_ms > now_ms + EXPIRY_MARGIN_MS);
        self.credentials == Credentials::Provider && !self.token.as_ref().is_some_and(is_fresh)
    }

    /// Takes a token into use.
    pub(super) fn set_token(&mut self, text: String) {
        self.token = Some(Token { text, expires_ms: None });
        self.failures = 0;
    }

    /// Drops a token that the server did not accept; tells whether another can be had.
    pub(super) fn reject_token(&mut self, is_only_expired: bool) -> bool {
        let had_token = self.token.is_some();
        match self.credentials {
            Credentials::Token(_) => return false,
            Credentials::Guest => self.token = None,
            Credentials::Provider => {
                self.token = None;
                return is_only_expired;
            }
        }
        had_token
    }

    /// Learns how long the token in use is good for, in milliseconds from now.
    pub(super) fn set_lifetime(&mut self, now_ms: u64, lifetime_ms: Option<u64>) {
        if let Some(token) = &mut self.token {
            token.expires_ms = lifetime_ms.map(|lifetime_ms| now_ms + lifetime_ms);
        }
        let margin_ms = |lifetime_ms: u64| (lifetime_ms / 5).min(REFRESH_MARGIN_MS);
        self.refresh_ms = lifetime_ms
            .filter(|_| self.credentials == Credentials::Provider)
            .map(|lifetime_ms| now_ms + lifetime_ms - margin_ms(lifetime_ms));
    }

    /// Asks for a fresh token at a time.
    pub(super) fn refresh_at(&mut self, at_ms: u64) {
        self.refresh_ms = Some(at_ms);
    }

    /// Returns when a fresh token is due.
    pub(super) fn refresh_ms(&self) -> Option<u64> {
        self.refresh_ms
    }

    /// Takes the request for a fresh token, if it is due.
    pub(super) fn take_refresh(&mut self, now_ms: u64) -> bool {
        self.refresh_ms.take_if(|at_ms| *at_ms <= now_ms).is_some()
    }
}
