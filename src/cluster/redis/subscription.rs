//! One subscription to a node's channel: its own connection, confirmed by the server, and watched.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{ConnectionInfo, PushInfo, PushKind, RedisError as DriverError, Value, cmd};
use rollcall_actors::ports::NodeId;
use tokio::sync::{Notify, watch};

use super::connect::{ANSWER_LIMIT, at_address, config, limited, subscription_server};
use super::error::RedisError;
use super::sentinel::replaced;
use super::settings::Servers;

/// How often a connection is asked whether it is alive.
const PING_EVERY: Duration = Duration::from_secs(1);

/// How often a server may say that another one has the channel.
const REDIRECTIONS_MAX: usize = 4;

/// Returns the channel of a node. What stands in braces decides which server of a Redis Cluster has it.
pub(super) fn channel_of(node: &NodeId) -> String {
    format!("rollcall:node:{{{}}}", node.0)
}

/// Where the messages of a subscription go. Called on the connection's own task: it must not wait.
pub(super) type OnMessage = Arc<dyn Fn(Bytes) + Send + Sync>;

/// A subscription that was confirmed.
pub(super) struct Subscription {
    connection: MultiplexedConnection,
    /// Which server it is.
    at: ConnectionInfo,
    events: Arc<Events>,
}

/// What the server has pushed besides messages.
struct Events {
    confirmed: watch::Sender<bool>,
    ended: Notify,
}

impl Subscription {
    /// Subscribes at whichever server has the channel, and returns when that has confirmed it. In a Redis Cluster a replica of the
    /// master that has it will do: it gets what is published there, and may become the master.
    pub async fn open(servers: &Servers, channel: &str, on_message: &OnMessage) -> Result<Self, RedisError> {
        let mut at = subscription_server(servers).await?;
        for _ in 0..REDIRECTIONS_MAX {
            match Self::open_at(servers, at.clone(), channel, on_message).await? {
                Ok(subscription) => return Ok(subscription),
                Err(refused) => {
                    let other = refused.redirect_node().and_then(|(address, _)| at_address(&at, address));
                    at = other.ok_or_else(|| RedisError::from(refused))?;
                }
            }
        }
        Err(RedisError::Driver("the servers do not agree who has the node's channel".to_owned()))
    }

    /// Subscribes at one server; gives back what it said if it refused.
    async fn open_at(
        servers: &Servers,
        at: ConnectionInfo,
        channel: &str,
        on_message: &OnMessage,
    ) -> Result<Result<Self, DriverError>, RedisError> {
        let events = Arc::new(Events { confirmed: watch::Sender::new(false), ended: Notify::new() });
        let (pushed, on_message, own) = (Arc::clone(&events), Arc::clone(on_message), channel.to_owned());
        let config = config().set_push_sender(move |push: PushInfo| {
            pushed.take(push, &own, &on_message);
            Ok::<(), std::convert::Infallible>(())
        });
        let client = servers.client(at.clone())?;
        let mut connection = limited(client.get_multiplexed_async_connection_with_config(&config)).await?;
        if let Err(refused) = cmd("SSUBSCRIBE").arg(channel).query_async::<Value>(&mut connection).await {
            return Ok(Err(refused));
        }
        let mut confirmed = events.confirmed.subscribe();
        match tokio::time::timeout(ANSWER_LIMIT, confirmed.wait_for(|&confirmed| confirmed)).await {
            Ok(Ok(_)) => {}
            _ => return Err(RedisError::TimedOut),
        }
        Ok(Ok(Self { connection, at, events }))
    }

    /// Returns when the subscription has ended: the connection is gone, silent, the channel has moved to another server, or the
    /// Sentinels name another master.
    pub async fn ended(&mut self, servers: &Servers) {
        let at = self.at.clone();
        tokio::select! {
            () = self.lost() => {}
            () = replaced(servers, Some(&at)) => {}
        }
    }

    async fn lost(&mut self) {
        loop {
            tokio::select! {
                () = self.events.ended.notified() => return,
                () = tokio::time::sleep(PING_EVERY) => {}
            }
            let ping = cmd("PING");
            let pong = tokio::time::timeout(ANSWER_LIMIT, ping.query_async::<Value>(&mut self.connection)).await;
            if !matches!(pong, Ok(Ok(_))) {
                return;
            }
        }
    }
}

impl Events {
    fn take(&self, push: PushInfo, channel: &str, on_message: &OnMessage) {
        let names_channel =
            |data: &[Value]| matches!(data.first(), Some(Value::BulkString(name)) if name == channel.as_bytes());
        match push.kind {
            PushKind::SMessage if names_channel(&push.data) => {
                if let Some(Value::BulkString(message)) = push.data.into_iter().nth(1) {
                    on_message(message.into());
                }
            }
            PushKind::SSubscribe if names_channel(&push.data) => drop(self.confirmed.send_replace(true)),
            PushKind::SUnsubscribe | PushKind::Disconnection => self.ended.notify_one(),
            _ => {}
        }
    }
}
