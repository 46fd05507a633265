//! What no value shows alone: which go together.

use std::path::Path;

use super::{Auth, Config, ConfigError, Cql, LogKind, Secret, Sources};
use crate::log::cql::schema::Replicas;

/// A shorter key of HS256 could be guessed; RFC 7518, section 3.2, asks for as many bits as the hash has.
const SECRET_BYTES_MIN: usize = 32;

/// The longest that a group of writes may be held for more to come, in microseconds.
const GATHER_WINDOW_US_MAX: u64 = 1_000;

/// The longest name of a keyspace.
const KEYSPACE_BYTES_MAX: usize = 48;

/// What is wrong with a configured secret.
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
        let secret = ("auth.secret", self.secret.as_ref());
        let file = ("auth.secret_file", self.secret_file.as_deref());
        let Some((setting, secret)) = read_secret(secret, file)? else { return Ok(None) };
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

impl Cql {
    /// Returns the password, from its file where it has one.
    ///
    /// # Errors
    /// Where both places are set, or the file cannot be read.
    pub fn read_password(&self) -> Result<Option<Secret>, SecretError> {
        let password = ("cql.password", self.password.as_ref());
        let file = ("cql.password_file", self.password_file.as_deref());
        Ok(read_secret(password, file)?.map(|(_, password)| password))
    }

    /// Returns the copies that the keyspace is made with; none where it is not to be made.
    ///
    /// # Errors
    /// Says what is wrong with an item, as the end of a sentence.
    pub fn replicas(&self) -> Result<Vec<Replicas>, String> {
        let replicas = |item: &String| {
            let (datacenter, factor) = item.split_once('=')?;
            let is_name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            let factor = factor.trim().parse().ok().filter(|&factor| factor > 0)?;
            let datacenter = Some(datacenter.trim()).filter(|name| !name.is_empty() && name.chars().all(is_name))?;
            Some(Replicas { datacenter: datacenter.to_owned(), factor })
        };
        let parse =
            |item| replicas(item).ok_or(format!("holds \"{item}\": write a data centre and its copies, such as dc1=3"));
        self.replication.iter().map(parse).collect()
    }

    /// Checks what goes together.
    ///
    /// # Errors
    /// Names the setting and says what is wrong with it, as the end of a sentence.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let password = self.read_password().map_err(|SecretError { setting, reason }| (setting, reason))?;
        if self.contact_points.is_empty() {
            return Err(("cql.contact_points", "is empty: name at least one server".to_owned()));
        }
        if let Some(point) = self.contact_points.iter().find(|point| !has_port(point)) {
            return Err((
                "cql.contact_points",
                format!("holds \"{point}\": write a host and a port, such as db1:9042"),
            ));
        }
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if self.keyspace.len() > KEYSPACE_BYTES_MAX
            || !self.keyspace.starts_with(|c: char| c.is_ascii_lowercase())
            || !self.keyspace.chars().all(is_word)
        {
            let reason = format!("is \"{}\": take at most 48 of a-z, 0-9 and _, a letter first", self.keyspace);
            return Err(("cql.keyspace", reason));
        }
        self.replicas().map_err(|reason| ("cql.replication", reason))?;
        match (&self.user, password) {
            (Some(_), None) => Err(("cql.user", "is set and no password: set `cql.password_file`".to_owned())),
            (None, Some(_)) => Err(("cql.user", "is not set, and a password is".to_owned())),
            (Some(_), Some(_)) | (None, None) => Ok(()),
        }
    }
}

pub(super) fn has_port(point: &str) -> bool {
    point
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Returns a secret with the setting that it came from: itself, or a file that holds it, without one line end.
pub(super) fn read_secret(
    (setting, secret): (&'static str, Option<&Secret>),
    (file_setting, file): (&'static str, Option<&Path>),
) -> Result<Option<(&'static str, Secret)>, SecretError> {
    match (secret, file) {
        (Some(_), Some(_)) => {
            let reason = format!("is set and `{file_setting}` too: keep one of them");
            Err(SecretError { setting, reason })
        }
        (None, None) => Ok(None),
        (Some(secret), None) => Ok(Some((setting, secret.clone()))),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path).map_err(|error| SecretError {
                setting: file_setting,
                reason: format!("names {}, which cannot be read: {error}", path.display()),
            })?;
            let text = text.strip_suffix('\n').unwrap_or(&text);
            Ok(Some((file_setting, Secret::new(text.strip_suffix('\r').unwrap_or(text)))))
        }
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
        if self.log.kind == LogKind::Cql
            && let Err((setting, reason)) = self.cql.check()
        {
            return refuse(setting, reason);
        }
        if let Err((setting, reason)) = self.check_cluster() {
            return refuse(setting, reason);
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
            ("retention.entries_max", self.retention.entries_max.unwrap_or(1)),
            ("retention.age_max_s", self.retention.age_max_s.unwrap_or(1)),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Cql)) -> Option<&'static str> {
        let mut config = Config::default();
        config.log.kind = LogKind::Cql;
        change(&mut config.cql);
        match config.check() {
            Ok(()) => None,
            Err(ConfigError::Refused { name, .. }) => Some(name),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn settings_of_the_servers_are_checked_where_they_are_used() {
        assert_eq!(refused(|_| {}), None);
        assert_eq!(refused(|cql| cql.contact_points.clear()), Some("cql.contact_points"));
        for point in ["db1", "db1:", ":9042", "db1:0", "db1:x", "db1:99999"] {
            assert_eq!(refused(|cql| cql.contact_points.push(point.to_owned())), Some("cql.contact_points"), "{point}");
        }
        assert_eq!(refused(|cql| cql.contact_points.push("[::1]:9042".to_owned())), None);
        for keyspace in ["", "Rooms", "1st", "a-b", "a;b", &"k".repeat(49)] {
            assert_eq!(refused(|cql| cql.keyspace = keyspace.to_owned()), Some("cql.keyspace"), "{keyspace}");
        }
        for item in ["dc1", "dc1=", "dc1=0", "=3", "dc1=-1", "d'c=3"] {
            assert_eq!(refused(|cql| cql.replication.push(item.to_owned())), Some("cql.replication"), "{item}");
        }
        let mut embedded = Config::default();
        embedded.cql.contact_points.clear();
        assert_eq!(embedded.check(), Ok(()), "nobody asks them");
    }

    #[test]
    fn a_user_and_a_password_go_together() {
        let user = Some("rollcall".to_owned());
        let password = Some(Secret::new("canary"));
        assert_eq!(refused(|cql| cql.user.clone_from(&user)), Some("cql.user"));
        assert_eq!(refused(|cql| cql.password.clone_from(&password)), Some("cql.user"));
        let both = |cql: &mut Cql| (cql.user, cql.password) = (user.clone(), password.clone());
        assert_eq!(refused(both), None);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        let of_file = |cql: &mut Cql| (cql.user, cql.password_file) = (user.clone(), Some(file.clone()));
        assert_eq!(refused(of_file), Some("cql.password_file"), "it is not there");
        std::fs::write(&file, "from a file\r\n").unwrap();
        assert_eq!(refused(of_file), None);
        let mut cql = Cql::default();
        of_file(&mut cql);
        assert_eq!(cql.read_password(), Ok(Some(Secret::new("from a file"))));
        assert_eq!(
            refused(|cql| {
                both(cql);
                of_file(cql);
            }),
            Some("cql.password")
        );
    }

    #[test]
    fn replication_is_a_list_of_data_centres() {
        let cql = Cql { replication: vec!["dc1=3".to_owned(), " eu-west.2 = 1".to_owned()], ..Cql::default() };
        let expected = [("dc1", 3), ("eu-west.2", 1)];
        let replicas = cql.replicas().unwrap();
        assert!(replicas.iter().map(|it| (it.datacenter.as_str(), it.factor)).eq(expected), "{replicas:?}");
    }
}
