//! What goes together in the sections of a cluster.

use rollcall_actors::cluster::parse_node_id;

use super::check::{has_port, read_secret};
use super::{Config, LogKind, Redis, RedisKind, Secret, SecretError};

/// What is wrong with which setting, as the end of a sentence.
type Fault = (&'static str, String);

impl Config {
    /// Checks what a cluster needs, where this server is in one.
    pub(super) fn check_cluster(&self) -> Result<(), Fault> {
        let Some(node) = &self.cluster.node else { return Ok(()) };
        if let Err(error) = parse_node_id(node) {
            return Err(("cluster.node", format!("is \"{node}\": {error}")));
        }
        if let Some(connect) = &self.cluster.connect
            && (!(connect.starts_with("ws://") || connect.starts_with("wss://"))
                || connect.contains(char::is_whitespace))
        {
            let reason = format!("is \"{connect}\": write where clients connect, such as wss://chat1.example.org");
            return Err(("cluster.connect", reason));
        }
        if self.log.kind != LogKind::Cql {
            let reason = "is set and `log.kind` is not \"cql\": the servers of a cluster share one log".to_owned();
            return Err(("cluster.node", reason));
        }
        if !self.auth.has_secret() {
            let reason =
                "is set and no secret is configured: the servers of a cluster take each other's tokens, so set the \
                          same `auth.secret_file` on all of them"
                    .to_owned();
            return Err(("cluster.node", reason));
        }
        self.redis.check()
    }
}

impl Redis {
    /// Returns the password, from its file where it has one.
    ///
    /// # Errors
    /// Where both places are set, or the file cannot be read.
    pub fn read_password(&self) -> Result<Option<Secret>, SecretError> {
        let password = ("redis.password", self.password.as_ref());
        let file = ("redis.password_file", self.password_file.as_deref());
        Ok(read_secret(password, file)?.map(|(_, password)| password))
    }

    /// Returns the password of the Sentinels themselves.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn read_sentinel_password(&self) -> Result<Option<Secret>, SecretError> {
        let file = ("redis.sentinel_password_file", self.sentinel_password_file.as_deref());
        Ok(read_secret(("redis.sentinel_password_file", None), file)?.map(|(_, password)| password))
    }

    fn check(&self) -> Result<(), Fault> {
        let fault = |SecretError { setting, reason }| (setting, reason);
        let password = self.read_password().map_err(fault)?;
        self.read_sentinel_password().map_err(fault)?;
        if self.servers.is_empty() {
            return Err(("redis.servers", "is empty: name at least one server".to_owned()));
        }
        if let Some(server) = self.servers.iter().find(|server| !has_port(server)) {
            let reason = format!("holds \"{server}\": write a host and a port, such as redis1:6379");
            return Err(("redis.servers", reason));
        }
        if self.kind == RedisKind::Single && self.servers.len() > 1 {
            let reason = "names several servers and `redis.kind` is \"single\": is it \"cluster\" or \"sentinel\"?";
            return Err(("redis.servers", reason.to_owned()));
        }
        if (self.kind == RedisKind::Sentinel) != self.sentinel_master.is_some() {
            let reason = match self.sentinel_master {
                None => "is not set: it is the name under which the Sentinels know the master",
                Some(_) => "is set and `redis.kind` is not \"sentinel\"",
            };
            return Err(("redis.sentinel_master", reason.to_owned()));
        }
        if self.tls_ca_file.is_some() && !self.tls {
            return Err(("redis.tls_ca_file", "is set and `redis.tls` is not".to_owned()));
        }
        if self.user.is_some() && password.is_none() {
            return Err(("redis.user", "is set and no password: set `redis.password_file`".to_owned()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let mut config = Config::default();
        config.cluster.node = Some("chat-1".to_owned());
        config.cluster.connect = Some("wss://chat1.example.org".to_owned());
        config.log.kind = LogKind::Cql;
        config.auth.secret = Some(Secret::new("0123456789abcdef0123456789abcdef"));
        config
    }

    fn refused(change: impl FnOnce(&mut Config)) -> Option<&'static str> {
        let mut config = config();
        change(&mut config);
        config.check_cluster().err().map(|(setting, _)| setting)
    }

    #[test]
    fn a_server_of_a_cluster_needs_what_the_others_have_too() {
        assert_eq!(refused(|_| {}), None);
        assert_eq!(refused(|config| config.log.kind = LogKind::Embedded), Some("cluster.node"));
        assert_eq!(refused(|config| config.auth.secret = None), Some("cluster.node"));
        for name in ["", "a b", "{a}", "a/b"] {
            assert_eq!(refused(|config| config.cluster.node = Some(name.to_owned())), Some("cluster.node"), "{name}");
        }
        for url in ["chat1.example.org", "https://chat1.example.org", "wss://a b"] {
            let set = |config: &mut Config| config.cluster.connect = Some(url.to_owned());
            assert_eq!(refused(set), Some("cluster.connect"), "{url}");
        }
        assert_eq!(refused(|config| config.cluster.connect = None), None);
    }

    #[test]
    fn a_server_by_itself_needs_none_of_it() {
        let alone = |config: &mut Config| {
            config.cluster.node = None;
            config.log.kind = LogKind::Embedded;
            config.redis.servers.clear();
        };
        assert_eq!(refused(alone), None);
    }

    #[test]
    fn redis_is_named_as_what_it_is() {
        assert_eq!(refused(|config| config.redis.servers.clear()), Some("redis.servers"));
        assert_eq!(refused(|config| config.redis.servers.push("redis2".to_owned())), Some("redis.servers"));
        assert_eq!(refused(|config| config.redis.servers.push("redis2:6379".to_owned())), Some("redis.servers"));
        assert_eq!(refused(|config| config.redis.kind = RedisKind::Sentinel), Some("redis.sentinel_master"));
        let master = |config: &mut Config| config.redis.sentinel_master = Some("chat".to_owned());
        assert_eq!(refused(master), Some("redis.sentinel_master"));
        let both = |config: &mut Config| {
            config.redis.kind = RedisKind::Sentinel;
            master(config);
        };
        assert_eq!(refused(both), None);
        assert_eq!(refused(|config| config.redis.tls_ca_file = Some("ca.pem".into())), Some("redis.tls_ca_file"));
        assert_eq!(refused(|config| config.redis.user = Some("chat".to_owned())), Some("redis.user"));
        assert_eq!(
            refused(|config| config.redis.password_file = Some("/nowhere/password".into())),
            Some("redis.password_file")
        );
    }
}
