//! Carries faults out, and heals them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rollcall_load::run::Run;
use rollcall_proxy::{BATCH, Proxy};
use rollcall_services::Redis;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::counters::Counters;
use crate::fault::{Fault, Lost, Place};
use crate::link::harm;
use crate::node::Node;
use crate::redis_keys;
use crate::redis_servers::RedisServers;
use crate::stage::Stage;

/// How long appends of a node are waited for; one that owns no room makes none.
const APPEND_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the others may take to answer in every room of a node that is gone, with a second fault of 5 s beside it.
const TAKEOVER_TIMEOUT: Duration = Duration::from_secs(15);

/// How long what was held back is given to arrive before anything else happens.
const ARRIVAL: Duration = Duration::from_millis(300);

/// How often to look whether something has happened.
const POLL: Duration = Duration::from_millis(10);

/// Who carries faults out.
pub struct Nemesis<'a> {
    /// What is there to be broken.
    pub stage: &'a Stage,
    /// Who suffers.
    pub run: &'a Run,
    /// What a node counted is looked at before it is killed.
    pub counters: &'a Counters,
}

impl Nemesis<'_> {
    /// Carries a fault out, and returns when it is healed: nodes are ready, ways are open. Returns how many appends were held back.
    ///
    /// # Errors
    /// Where a server did not do as it was told: it had ended by itself, or does not come back.
    pub async fn inflict(&self, fault: &Fault) -> anyhow::Result<usize> {
        match *fault {
            Fault::Kill { node, down_ms, moves_clients } => {
                self.kill(node).await?;
                self.without_clients(node, moves_clients, down_ms).await;
                self.node(node).start().await?;
                self.stage.let_clients_back(node);
            }
            Fault::Pause { node, for_ms, moves_clients } => {
                self.node(node).pause().await?;
                self.without_clients(node, moves_clients, for_ms).await;
                self.node(node).resume().await?;
                self.stage.let_clients_back(node);
            }
            Fault::RollingRestart => {
                for node in &self.stage.nodes {
                    self.counters.look(node).await;
                    node.stop().await?;
                    node.start().await?;
                }
            }
            Fault::Link { link, harm: how, for_ms } => harm(&self.stage.proxies(link), how, for_ms).await,
            Fault::HeldAppend { node, by } => return self.hold_appends(node, by).await,
            Fault::RedisKilled { down_ms } => {
                self.on_redis(|redis| one(redis).map(Redis::kill)).await?;
                last(down_ms).await;
                self.on_redis(|redis| Ok(one(redis)?.restart()?)).await?;
            }
            Fault::RedisFlushed => {
                self.on_redis(RedisServers::flush).await?;
            }
            Fault::RedisRewound { node, down_ms } => {
                self.on_redis(|redis| redis_keys::put_aside(one(redis)?)).await?;
                let killed_us = self.run.clock.now_us();
                self.kill(node).await?;
                self.taken_over(node, killed_us).await;
                last(down_ms).await;
                self.on_redis(|redis| redis_keys::bring_back(one(redis)?)).await?;
                self.node(node).start().await?;
            }
            Fault::RedisStopped { for_ms } => {
                self.on_redis(|redis| Ok(one(redis)?.stop()?)).await?;
                last(for_ms).await;
                self.on_redis(|redis| Ok(one(redis)?.cont()?)).await?;
            }
            Fault::RedisMasterReplaced { node, by, down_ms } => {
                let listens_at = format!("rollcall:node:{{{}}}", self.node(node).name);
                let away = self.on_redis(move |redis| redis.replace_master(&listens_at, by)).await?;
                last(down_ms).await;
                self.on_redis(move |redis| redis.bring_back(away)).await?;
            }
            Fault::CassandraKilled { server, down_ms } => {
                let cassandra = Arc::clone(&self.stage.cassandra);
                cassandra.kill(server);
                last(down_ms).await;
                blocking(move || Ok(cassandra.restart(server)?)).await?;
            }
        }
        Ok(0)
    }

    /// Holds appends of a node back until it is gone and others have taken over, and lets them go then.
    async fn hold_appends(&self, first: Place, by: Lost) -> anyhow::Result<usize> {
        let node = self.hold_any_append(first).await;
        let (old, ways) = (self.node(node), &self.node(node).to_cassandra);
        match by {
            Lost::Killed => self.kill(node).await?,
            Lost::Paused => old.pause().await?,
        }
        let held = held_at(old);
        self.stage.move_clients_of(node);
        if self.stage.nodes.len() > 1 {
            self.taken_over(node, self.run.clock.now_us()).await;
        }
        ways.iter().for_each(|way| way.keep_aside(None));
        sleep(ARRIVAL).await; // pace: what arrives late tells nobody
        match by {
            Lost::Killed => old.start().await?,
            Lost::Paused => old.resume().await?,
        }
        self.stage.let_clients_back(node);
        Ok(held)
    }

    /// Holds appends of a node back, of this one or else of the next that makes any; returns which.
    async fn hold_any_append(&self, first: Place) -> Place {
        let nodes = self.stage.nodes.len();
        for place in (first..first + nodes).map(|place| place % nodes) {
            let node = self.node(place);
            node.to_cassandra.iter().for_each(|way| way.keep_aside(Some(BATCH)));
            if until(APPEND_TIMEOUT, || held_at(node) > 0).await {
                return place;
            }
            node.to_cassandra.iter().for_each(|way| way.keep_aside(None));
        }
        first
    }

    async fn kill(&self, node: Place) -> anyhow::Result<()> {
        self.counters.look(self.node(node)).await;
        self.node(node).kill().await
    }

    /// Waits until every room has answered somebody since a node was lost.
    async fn taken_over(&self, node: Place, since_us: u64) {
        if self.stage.nodes.len() > 1
            && !until(TAKEOVER_TIMEOUT, || self.run.pulse.silent_since(since_us).is_empty()).await
        {
            let (rooms, name) = (self.run.pulse.silent_since(since_us).join(", "), &self.node(node).name);
            self.run.complain(format!("{TAKEOVER_TIMEOUT:?} after {name} was gone nobody had taken over {rooms}"));
        }
    }

    async fn without_clients(&self, node: Place, moves_clients: bool, for_ms: u64) {
        if moves_clients {
            self.stage.move_clients_of(node);
        }
        last(for_ms).await;
    }

    fn node(&self, place: Place) -> &Node {
        &self.stage.nodes[place]
    }

    /// Does something to Redis that blocks.
    async fn on_redis<T: Send + 'static>(
        &self,
        work: impl FnOnce(&RedisServers) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let redis = self.stage.redis.clone().context("there is no Redis to be broken")?;
        blocking(move || work(&redis)).await
    }
}

/// Returns the one server that Redis is.
fn one(redis: &RedisServers) -> anyhow::Result<&Redis> {
    redis.single().context("there are several servers of Redis")
}

/// Returns how many appends of a node are held back.
fn held_at(node: &Node) -> usize {
    node.to_cassandra.iter().map(Proxy::kept_aside).sum()
}

/// Lets a fault last.
async fn last(for_ms: u64) {
    sleep(Duration::from_millis(for_ms)).await; // pace: how long the fault lasts
}

/// Waits for a condition, not longer than a limit; tells whether it holds.
pub async fn until(limit: Duration, holds: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !holds() {
        if Instant::now() > deadline {
            return false;
        }
        sleep(POLL).await; // pace: between two looks
    }
    true
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> anyhow::Result<T> {
    spawn_blocking(work).await.context("a server's task failed")?
}
