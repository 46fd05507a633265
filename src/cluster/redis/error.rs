//! Why Redis cannot be used. No text names a URL: those may hold passwords.

/// Why Redis cannot be used as it is configured, or now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedisError {
    /// A URL is none, or not of Redis.
    #[error("the Redis URL at place {place} is not `redis://` or `rediss://` with a host")]
    Url {
        /// Which of them, from 1.
        place: usize,
    },
    /// No server is named.
    #[error("no Redis server is named")]
    NoServers,
    /// It is older than what is needed.
    #[error("Redis {found} is too old: upgrade it to 7.0 or later, whose channels are sharded, or use Valkey")]
    TooOld {
        /// Its version.
        found: String,
    },
    /// It follows another server, and takes no writes.
    #[error("this Redis is a replica: name its master, or its Sentinels")]
    Replica,
    /// It is a part of a Redis Cluster and was not configured as one, or the other way round.
    #[error("this Redis {}", if *is_cluster {
        "is a part of a Redis Cluster: set `redis.kind` to \"cluster\""
    } else {
        "is no part of a Redis Cluster: set `redis.kind` to \"single\" or \"sentinel\""
    })]
    Mode {
        /// What it is.
        is_cluster: bool,
    },
    /// The Sentinels know no master of that name.
    #[error("no Sentinel knows a master named {name:?}: check `redis.sentinel_master`")]
    NoMaster {
        /// The name.
        name: String,
    },
    /// It refused the credentials.
    #[error(
        "Redis refuses to let rollcall in: check `redis.user` and `redis.password_file`, and for Sentinels \
             `redis.sentinel_password_file`"
    )]
    Credentials,
    /// The user may not do what is needed.
    #[error("Redis does not permit what rollcall needs: {reason}; `rollcall doctor` says which rights the user lacks")]
    Permission {
        /// What it said.
        reason: String,
    },
    /// It did not answer in time.
    #[error("Redis did not answer in time")]
    TimedOut,
    /// Anything else.
    #[error("Redis cannot be used: {0}")]
    Driver(String),
}

impl From<redis::RedisError> for RedisError {
    fn from(error: redis::RedisError) -> Self {
        let refused = matches!(error.code(), Some("WRONGPASS" | "NOAUTH"));
        if refused || error.kind() == redis::ErrorKind::AuthenticationFailed {
            Self::Credentials
        } else if error.code() == Some("NOPERM") {
            Self::Permission { reason: error.detail().unwrap_or_default().to_owned() }
        } else if error.is_timeout() {
            Self::TimedOut
        } else {
            Self::Driver(error.to_string())
        }
    }
}
