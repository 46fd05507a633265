//! How Redis is reached.

use redis::{Client, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion, RedisConnectionInfo, TlsCertificates};

use super::error::RedisError;
use crate::cluster::JoinError;
use crate::config::{Redis, RedisKind, Secret};

/// Which servers there are. URLs are `redis://[user[:password]@]host[:port][/db]`, or `rediss://…` for TLS; they are secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisServers {
    /// One server.
    Single(Secret),
    /// Some of the servers of a Redis Cluster; the others are found. User, password and TLS of the first hold for all.
    Cluster(Vec<Secret>),
    /// A master with its replicas, watched by Sentinels.
    Sentinel {
        /// The Sentinels, each with its own credentials.
        sentinels: Vec<Secret>,
        /// The name under which they know the master.
        master: String,
        /// How the master itself is reached: user, password, database and TLS of this URL, whose host is not looked at.
        node: Secret,
    },
}

/// How Redis is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisSettings {
    /// Which servers there are.
    pub servers: RedisServers,
    /// The authorities to trust in TLS, as PEM; none: those of the machine.
    pub authorities: Option<Vec<u8>>,
}

/// What was read from the settings.
#[derive(Clone)]
pub(super) struct Servers {
    pub kind: Kind,
    pub certificates: TlsCertificates,
}

#[derive(Clone)]
pub(super) enum Kind {
    Single(ConnectionInfo),
    Cluster(Vec<ConnectionInfo>),
    Sentinel { sentinels: Vec<ConnectionInfo>, master: String, node: ConnectionInfo },
}

impl RedisSettings {
    /// Makes the settings of a single server without TLS authorities of its own.
    pub fn single(url: impl Into<String>) -> Self {
        Self { servers: RedisServers::Single(Secret::new(url)), authorities: None }
    }

    /// Takes what is configured.
    ///
    /// # Errors
    /// Where a password or the certificates cannot be read.
    pub fn from_config(config: &Redis) -> Result<Self, JoinError> {
        let password = config.read_password()?;
        let sentinel_password = config.read_sentinel_password()?;
        let url = |server: &str, user: Option<&str>, password: Option<&Secret>| {
            let scheme = if config.tls { "rediss" } else { "redis" };
            let password = password.map(|password| format!(":{}", escape(password.reveal())));
            let credentials = password.map(|password| format!("{}{password}@", user.map(escape).unwrap_or_default()));
            Secret::new(format!("{scheme}://{}{server}", credentials.unwrap_or_default()))
        };
        let user = config.user.as_deref();
        let servers = || config.servers.iter().map(|server| url(server, user, password.as_ref()));
        let servers = match config.kind {
            RedisKind::Single => RedisServers::Single(servers().next().ok_or(RedisError::NoServers)?),
            RedisKind::Cluster => RedisServers::Cluster(servers().collect()),
            RedisKind::Sentinel => RedisServers::Sentinel {
                sentinels: config.servers.iter().map(|server| url(server, None, sentinel_password.as_ref())).collect(),
                master: config.sentinel_master.clone().unwrap_or_default(),
                node: url("master:6379", user, password.as_ref()),
            },
        };
        let authorities = config.tls_ca_file.as_ref().map(std::fs::read).transpose().map_err(JoinError::Authorities)?;
        Ok(Self { servers, authorities })
    }

    pub(super) fn read(&self) -> Result<Servers, RedisError> {
        let kind = match &self.servers {
            RedisServers::Single(url) => Kind::Single(read_url(1, url)?),
            RedisServers::Cluster(urls) => Kind::Cluster(read_urls(urls)?),
            RedisServers::Sentinel { sentinels, master, node } => Kind::Sentinel {
                sentinels: read_urls(sentinels)?,
                master: master.clone(),
                node: read_url(sentinels.len() + 1, node)?,
            },
        };
        Ok(Servers { kind, certificates: TlsCertificates { client_tls: None, root_cert: self.authorities.clone() } })
    }
}

impl Servers {
    /// Makes a client of one server.
    pub fn client(&self, info: ConnectionInfo) -> Result<Client, RedisError> {
        if matches!(info.addr(), redis::ConnectionAddr::TcpTls { .. }) {
            // The driver takes the process's provider, of which there may be none yet, or two to choose from.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
            return Ok(Client::build_with_tls(info, self.certificates.clone())?);
        }
        Ok(Client::open(info)?)
    }
}

/// Writes what a URL could not hold otherwise: everything but letters and digits, byte by byte.
fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn read_urls(urls: &[Secret]) -> Result<Vec<ConnectionInfo>, RedisError> {
    if urls.is_empty() {
        return Err(RedisError::NoServers);
    }
    urls.iter().enumerate().map(|(at, url)| read_url(at + 1, url)).collect()
}

/// Reads a URL. What the driver would say of a bad one may quote it.
fn read_url(place: usize, url: &Secret) -> Result<ConnectionInfo, RedisError> {
    let is_tcp = url.reveal().starts_with("redis://") || url.reveal().starts_with("rediss://");
    if !is_tcp {
        return Err(RedisError::Url { place });
    }
    let info = url.reveal().into_connection_info().map_err(|_| RedisError::Url { place })?;
    let redis: RedisConnectionInfo = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Ok(info.set_redis_settings(redis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_urls_are_told_by_their_place_and_never_quoted() {
        for (url, place) in [("canary", 2), ("http://:canary@host", 2), ("redis://:canary@:x:y", 2), ("", 2)] {
            let urls = vec![Secret::new("redis://127.0.0.1"), Secret::new(url)];
            let settings = RedisSettings { servers: RedisServers::Cluster(urls), authorities: None };
            let error = settings.read().err().expect("the URL is bad");
            assert_eq!(error, RedisError::Url { place }, "{url}");
            assert!(!format!("{error} {error:?} {settings:?}").contains("canary"));
        }
        let none = RedisSettings { servers: RedisServers::Cluster(Vec::new()), authorities: None };
        assert_eq!(none.read().err(), Some(RedisError::NoServers));
    }

    #[test]
    fn passwords_of_any_characters_reach_the_driver() {
        let password = "a:b@c/d?e#f%20 \u{e9}";
        let config =
            Redis { user: Some("chat@home".to_owned()), password: Some(Secret::new(password)), ..Redis::default() };
        let servers = RedisSettings::from_config(&config).unwrap().read().unwrap();
        let Kind::Single(info) = servers.kind else { panic!("one server") };
        assert_eq!(info.redis_settings().password(), Some(password));
        assert_eq!(info.redis_settings().username(), Some("chat@home"));
        assert_eq!(info.addr().to_string(), "127.0.0.1:6379");
    }

    #[test]
    fn good_urls_are_taken_and_shown_by_nothing() {
        for url in ["redis://user:canary@host:7000/3", "rediss://:canary@host"] {
            let settings = RedisSettings::single(url);
            assert!(settings.read().is_ok(), "{url}");
            assert!(!format!("{settings:?}").contains("canary"));
        }
    }
}
