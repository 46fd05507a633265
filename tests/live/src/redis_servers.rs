//! What nodes meet in: a Redis by itself, a master under Sentinels, or a cluster of masters.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use clap::ValueEnum;
use rollcall_services::{Redis, RedisCluster, RedisSentinel, ServiceError};
use serde::Serialize;

use crate::fault::Lost;
use crate::redis_keys;

/// Which Redis nodes meet in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RedisKind {
    /// One server, by proxies.
    #[default]
    Single,
    /// A master with two replicas under three Sentinels.
    Sentinel,
    /// Three masters with a replica each.
    Cluster,
}

impl RedisKind {
    /// Returns its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Sentinel => "sentinel",
            Self::Cluster => "cluster",
        }
    }
}

impl fmt::Display for RedisKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single => "a single Redis",
            Self::Sentinel => "Redis under Sentinels",
            Self::Cluster => "a Redis Cluster",
        })
    }
}

/// The servers. Dropped, they are killed.
#[derive(Debug)]
pub enum RedisServers {
    /// [`RedisKind::Single`].
    Single(Redis),
    /// [`RedisKind::Sentinel`].
    Sentinel(RedisSentinel),
    /// [`RedisKind::Cluster`].
    Cluster(RedisCluster),
}

impl RedisServers {
    /// Starts the servers in a folder, and returns when they are whole. It blocks.
    ///
    /// # Errors
    /// [`ServiceError::Skipped`] where this machine has no Redis; else where one does not start.
    pub fn start(kind: RedisKind, folder: &Path) -> Result<Self, ServiceError> {
        Ok(match kind {
            RedisKind::Single => Self::Single(Redis::start(folder)?),
            RedisKind::Sentinel => Self::Sentinel(RedisSentinel::start(folder)?),
            RedisKind::Cluster => Self::Cluster(RedisCluster::start(folder)?),
        })
    }

    /// Returns the server that a node can be led to by a proxy. Several of them tell each other's addresses, which are their own.
    pub fn by_proxy(&self) -> Option<SocketAddr> {
        self.single().map(Redis::address)
    }

    /// Returns the one server, where it is one.
    pub fn single(&self) -> Option<&Redis> {
        match self {
            Self::Single(redis) => Some(redis),
            Self::Sentinel(_) | Self::Cluster(_) => None,
        }
    }

    /// Returns a node's settings, as `(SECTION__KEY, value)`; of the server of [`by_proxy`](Self::by_proxy) it needs the address too.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let addresses = |servers: &[Redis]| {
            let addresses: Vec<String> = servers.iter().map(|server| server.address().to_string()).collect();
            ("REDIS__SERVERS", addresses.join(","))
        };
        let kind = |name: &str| ("REDIS__KIND", name.to_owned());
        match self {
            Self::Single(_) => vec![kind("single")],
            Self::Cluster(cluster) => vec![kind("cluster"), addresses(cluster.nodes())],
            Self::Sentinel(trio) => {
                let master = ("REDIS__SENTINEL_MASTER", trio.master_name().to_owned());
                vec![kind("sentinel"), addresses(trio.sentinels()), master]
            }
        }
    }

    /// Has all of them forget everything. It blocks.
    ///
    /// # Errors
    /// Where one does not.
    pub fn flush(&self) -> anyhow::Result<()> {
        match self {
            Self::Single(redis) => redis_keys::flush(redis),
            Self::Sentinel(trio) => redis_keys::flush(&trio.servers()[trio.master()?]),
            Self::Cluster(cluster) => {
                // Replicas refuse it, and forget with their masters.
                let is_master = |redis: &&Redis| redis_keys::is_master(redis);
                cluster.nodes().iter().filter(is_master).try_for_each(redis_keys::flush)
            }
        }
    }

    /// Takes the master that has a key away, and returns which it is once a replica is in its place. It blocks.
    ///
    /// # Errors
    /// Where there is no such master, the servers were not whole before, or nobody takes its place.
    pub fn replace_master(&self, key: &str, by: Lost) -> anyhow::Result<TakenAway> {
        let take = |redis: &Redis| match by {
            Lost::Killed => {
                redis.kill();
                Ok(())
            }
            Lost::Paused => redis.stop(),
        };
        let index = match self {
            Self::Single(_) => anyhow::bail!("a Redis by itself has nobody to take its place"),
            Self::Sentinel(trio) => {
                trio.wait_until_whole()?;
                let index = trio.master()?;
                take(&trio.servers()[index])?;
                trio.wait_until_replaced(index)?;
                index
            }
            Self::Cluster(cluster) => {
                cluster.wait_until_whole()?;
                let index = cluster.master_of(key)?;
                take(&cluster.nodes()[index])?;
                cluster.wait_until_replaced(index, key)?;
                index
            }
        };
        Ok(TakenAway { index, by })
    }

    /// Brings a master back that was replaced: killed, it starts empty; stopped, it goes on where it was, and takes itself for the
    /// master. It blocks until it follows the new one.
    ///
    /// # Errors
    /// Where it does not.
    pub fn bring_back(&self, TakenAway { index, by }: TakenAway) -> anyhow::Result<()> {
        let start = |redis: &Redis| match by {
            Lost::Killed => redis.restart(),
            Lost::Paused => redis.cont(),
        };
        match self {
            Self::Single(_) => {}
            Self::Sentinel(trio) => {
                start(&trio.servers()[index])?;
                trio.wait_until_whole()?;
            }
            Self::Cluster(cluster) => {
                start(&cluster.nodes()[index])?;
                cluster.wait_until_whole()?;
            }
        }
        Ok(())
    }
}

/// A master that was taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenAway {
    index: usize,
    by: Lost,
}

#[cfg(test)]
mod tests {
    use rollcall_services::{Reply, unless_skipped};

    use super::*;

    fn ask(redis: &Redis, words: &[&str]) -> Option<Reply> {
        redis.command(words).ok()
    }

    /// Where a key is now, written and read.
    fn keeps(servers: &RedisServers, key: &str) -> bool {
        let redis = match servers {
            RedisServers::Single(redis) => redis,
            RedisServers::Sentinel(trio) => &trio.servers()[trio.master().unwrap()],
            RedisServers::Cluster(cluster) => &cluster.nodes()[cluster.master_of(key).unwrap()],
        };
        ask(redis, &["SET", key, "1"]) == Some(Reply::Text("OK".to_owned()))
    }

    fn check_replacements(kind: RedisKind) {
        let folder = tempfile::tempdir().unwrap();
        let Some(servers) = unless_skipped(RedisServers::start(kind, folder.path())) else { return };
        assert!(keeps(&servers, "a"));
        for by in [Lost::Killed, Lost::Paused] {
            let away = servers.replace_master("a", by).unwrap();
            assert!(keeps(&servers, "a"), "{by:?}");
            servers.bring_back(away).unwrap();
        }
        servers.flush().unwrap();
        assert!(keeps(&servers, "a"));
        assert_eq!(servers.by_proxy(), None);
    }

    #[test]
    fn under_sentinels_a_master_of_redis_is_replaced_and_comes_back_as_a_replica() {
        check_replacements(RedisKind::Sentinel);
    }

    #[test]
    fn in_a_redis_cluster_a_master_is_replaced_and_comes_back_as_a_replica() {
        check_replacements(RedisKind::Cluster);
    }
}
