//! This server's membership in a cluster: what a node of it is made with.

use std::sync::Arc;

use rollcall_actors::cluster::{Incarnation, NodeNameError, NodeRef, parse_node_id};
use rollcall_actors::ports::{Bus as _, ClusterPorts, Takeovers};

use super::redis::{COMMAND_KINDS, Inbound, RedisBus, RedisClient, RedisError, RedisSettings, RedisState};
use crate::config::{Config, RedisKind, SecretError};

/// Why a server cannot be a node of a cluster.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The node's name is none.
    #[error("`cluster.node` {0}")]
    Name(#[from] NodeNameError),
    /// Redis cannot be used.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// A password cannot be read.
    #[error(transparent)]
    Password(#[from] SecretError),
    /// The certificates cannot be read.
    #[error("`redis.tls_ca_file` cannot be read: {0}")]
    Authorities(std::io::Error),
}

/// Tells whether Redis may be well without anybody changing a setting: it is away, or its master is just being replaced.
fn passes_by_itself(error: &RedisError, kind: RedisKind) -> bool {
    match error {
        RedisError::TimedOut | RedisError::Driver(_) => true,
        RedisError::Replica | RedisError::NoMaster { .. } => kind != RedisKind::Single,
        _ => false,
    }
}

/// A server's membership. Dropping it leaves the cluster without a word; a drain says it first.
#[derive(Debug, Clone)]
pub struct Membership {
    redis: RedisClient,
    bus: RedisBus,
}

impl Membership {
    /// Prepares to be a node, in a new life of its name. Redis is checked once, so that settings that cannot work are told at the
    /// start; later it may be away at any time.
    ///
    /// # Errors
    /// Where the settings name no usable Redis.
    ///
    /// # Cancel safety
    /// Dropping the future ends what it began.
    pub async fn prepare(
        config: &Config,
        node: &str,
        takeovers: Arc<dyn Takeovers>,
    ) -> Result<(Self, ClusterPorts), JoinError> {
        let node = parse_node_id(node)?;
        let settings = RedisSettings::from_config(&config.redis)?;
        match RedisClient::check(&settings).await {
            Ok(_) => {}
            // It may come back; whoever is asked for rooms meanwhile says so.
            Err(error) if passes_by_itself(&error, config.redis.kind) => {
                tracing::warn!(%error, "Redis does not answer; the server starts without it and is not ready before it does");
            }
            Err(error) => return Err(error.into()),
        }
        let inbound = Inbound::start(&settings, &node)?;
        let redis = RedisClient::start(&settings)?;
        let bus = RedisBus::new(redis.clone());
        let ports = ClusterPorts {
            me: NodeRef::new(node, Incarnation(rand::random())),
            connect: config.cluster.connect.as_deref().map(Arc::from),
            ownership: Arc::new(redis.clone()),
            bus: Arc::new(bus.clone()),
            inbound: Box::new(inbound),
            takeovers,
        };
        Ok((Self { redis, bus }, ports))
    }

    /// Says why Redis cannot be asked now; none where it can.
    pub fn away(&self) -> Option<String> {
        match &*self.redis.state().borrow() {
            RedisState::Connected { .. } => None,
            RedisState::Away(None) => Some("Redis is away".to_owned()),
            RedisState::Away(Some(error)) => Some(error.to_string()),
        }
    }

    /// Returns how many commands of each of [`COMMAND_KINDS`] were run on Redis, without what was published.
    pub fn commands(&self) -> [u64; COMMAND_KINDS.len()] {
        self.redis.commands()
    }

    /// Returns how many envelopes were published.
    pub fn published(&self) -> u64 {
        self.redis.published()
    }

    /// Returns how many envelopes may have been lost on this side.
    pub fn losses(&self) -> u64 {
        self.bus.losses()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_waits_for_what_passes_by_itself_and_for_nothing_else() {
        let no_master = RedisError::NoMaster { name: "chat".to_owned() };
        for kind in [RedisKind::Single, RedisKind::Sentinel, RedisKind::Cluster] {
            let is_replaced_by_others = kind != RedisKind::Single;
            assert!(passes_by_itself(&RedisError::TimedOut, kind));
            assert_eq!(passes_by_itself(&RedisError::Replica, kind), is_replaced_by_others);
            assert_eq!(passes_by_itself(&no_master, kind), is_replaced_by_others);
            assert!(!passes_by_itself(&RedisError::Credentials, kind));
            assert!(!passes_by_itself(&RedisError::Permission { reason: String::new() }, kind));
        }
    }
}
