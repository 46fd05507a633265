//! What no value shows alone: which go together.

use super::{Auth, Config, ConfigError, Secret, Sources};

/// A shorter key of HS256 could be guessed; RFC 7518, section 3.2, asks for as many bits as the hash has.
const SECRET_BYTES_MIN: usize = 32;

/// The longest that a group of writes may be held for more to come, in microseconds.
const GATHER_WINDOW_US_MAX: u64 = 1_000;

/// What is wrong with the configured secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{setting}` {reason}")]
pub struct SecretError {
    /// The setting, `section.key`.
    pub setting: &'static str,
    /// What is wrong and what to do, as the end of a sentence.
    pub reason: String,
}

impl Auth {
    /// Tells whether a secret is configured, so that users have tokens.
    pub fn has_secret(&self) -> bool {
        self.secret.is_some() || self.secret_file.is_some()
    }

    /// Tells whether those without a token come in as guests.
    pub fn guests_allowed(&self) -> bool {
        self.guests.unwrap_or(!self.has_secret())
    }

    /// Returns the configured secret, from its file where it has one.
    ///
    /// # Errors
    /// Where both places are set, the file cannot be read, or the secret is too short.
    pub fn read_secret(&self) -> Result<Option<Secret>, SecretError> {
        let (setting, secret) = match (&self.secret, &self.secret_file) {
            (Some(_), Some(_)) => {
                let reason = "is set and `auth.secret_file` too: keep one of them".to_owned();
                return Err(SecretError { setting: "auth.secret", reason });
            }
            (None, None) => return Ok(None),
            (Some(secret), None) => ("auth.secret", secret.clone()),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path).map_err(|error| SecretError {
                    setting: "auth.secret_file",
                    reason: format!("names {}, which cannot be read: {error}", path.display()),
                })?;
                let text = text.strip_suffix('\n').unwrap_or(&text);
                ("auth.secret_file", Secret::new(text.strip_suffix('\r').unwrap_or(text)))
            }
        };
        let bytes = secret.reveal().len();
        if bytes < SECRET_BYTES_MIN {
            let reason = format!(
                "holds a secret of {bytes} bytes, which can be guessed: take at least {SECRET_BYTES_MIN}, for example from \
                 `openssl rand -hex 32`"
            );
            return Err(SecretError { setting, reason });
        }
        Ok(Some(secret))
    }
}

impl Config {
    /// Checks what goes together. A server calls it before it opens a port, however its configuration was made.
    ///
    /// # Errors
    /// Where a value is out of its range or contradicts another one.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_with(&Sources::default())
    }

    pub(super) fn check_with(&self, sources: &Sources) -> Result<(), ConfigError> {
        let refuse = |name: &'static str, reason: String| Err(ConfigError::refused(sources.of(name), name, reason));
        if let Err(SecretError { setting, reason }) = self.auth.read_secret() {
            return refuse(setting, reason);
        }
        let public = self.listen.public;
        if !self.auth.has_secret() {
            if self.auth.guests == Some(false) {
                return refuse("auth.guests", "is false and no secret is configured: nobody could come in".to_owned());
            }
            if !public.ip().is_loopback() {
                let reason = format!(
                    "is {public}, which other machines may reach, but no secret is configured, so anybody could come in \
                     as a guest: set `auth.secret_file`, or listen on 127.0.0.1"
                );
                return refuse("listen.public", reason);
            }
        }
        if self.ops.listen == public && public.port() != 0 {
            return refuse("ops.listen", format!("is {public}, as `listen.public`: take another port"));
        }
        if self.log.gather_window_us > GATHER_WINDOW_US_MAX {
            return refuse("log.gather_window_us", format!("is more than {GATHER_WINDOW_US_MAX}"));
        }
        let positive = [
            ("auth.guest_token_ttl_s", self.auth.guest_token_ttl_s),
            ("limits.connections_max", self.limits.connections_max.map_or(1, |max| max as u64)),
            ("limits.connections_per_address_max", self.limits.connections_per_address_max as u64),
            ("limits.commands_per_connection_burst", self.limits.commands_per_connection_burst.into()),
            ("limits.commands_per_user_burst", self.limits.commands_per_user_burst.into()),
            ("rooms.idle_ms", self.rooms.idle_ms),
            ("rooms.active_max", self.rooms.active_max as u64),
            ("rooms.ring_entries_max", self.rooms.ring_entries_max as u64),
            ("rooms.ring_bytes_max", self.rooms.ring_bytes_max as u64),
            ("rooms.queue_entries_max", self.rooms.queue_entries_max as u64),
            ("rooms.queue_bytes_max", self.rooms.queue_bytes_max as u64),
            ("drain.timeout_ms", self.drain.timeout_ms),
        ];
        if let Some((name, _)) = positive.into_iter().find(|&(_, value)| value == 0) {
            return refuse(name, "is 0: take at least 1".to_owned());
        }
        if let Err(error) = self.logging.level.parse::<tracing_subscriber::filter::EnvFilter>() {
            return refuse("logging.level", format!("is not a filter: {error}"));
        }
        Ok(())
    }
}
