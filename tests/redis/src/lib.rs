//! What the tests on real Redis servers share.

use std::time::{Duration, Instant};

use rollcall::cluster::redis::{Inbound, RedisClient, RedisState};
use rollcall_actors::cluster::ownership::{RedisAnswer, RedisCommand};
use rollcall_actors::cluster::parse_node_id;
use rollcall_actors::ports::InboundEvent;
use rollcall_actors::ports::NodeId;
use rollcall_protocol::RoomId;

/// How long a test waits for what must come.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Names a node.
///
/// # Panics
/// Where the text is no name.
pub fn node(name: &str) -> NodeId {
    parse_node_id(name).expect("it is a name")
}

/// Names a room.
///
/// # Panics
/// Where the text is no name.
pub fn room(name: &str) -> RoomId {
    RoomId::parse(name).expect("it is a name")
}

/// Waits until a client is connected, and returns which connection it is.
///
/// # Panics
/// After [`LIMIT`].
pub async fn connected(client: &RedisClient) -> u64 {
    connected_after(client, 0).await
}

/// Waits until a client has another connection than it had.
///
/// # Panics
/// After [`LIMIT`].
pub async fn connected_after(client: &RedisClient, last: u64) -> u64 {
    let mut state = client.state();
    let is_next = |state: &RedisState| matches!(state, RedisState::Connected { connection, .. } if *connection > last);
    let waited = tokio::time::timeout(LIMIT, state.wait_for(is_next)).await.map(|state| state.ok().as_deref().cloned());
    match waited {
        Ok(Some(RedisState::Connected { connection, .. })) => connection,
        _ => panic!("Redis did not answer in time: {:?}", client.state().borrow()),
    }
}

/// Runs a command again and again until it is answered, and returns the answer and how long that took.
///
/// # Panics
/// After [`LIMIT`].
pub async fn run_until_answered(client: &RedisClient, command: &RedisCommand) -> (RedisAnswer, Duration) {
    let began = Instant::now();
    loop {
        match client.run(command).await {
            RedisAnswer::Failed(why) => assert!(began.elapsed() < LIMIT, "{why}"),
            answer => return (answer, began.elapsed()),
        }
        tokio::time::sleep(Duration::from_millis(20)).await; // pace: without a connection it fails at once
    }
}

/// Returns the next event of a channel.
///
/// # Panics
/// After [`LIMIT`].
pub async fn next(inbound: &mut Inbound) -> InboundEvent {
    tokio::time::timeout(LIMIT, inbound.next()).await.expect("an event comes in time")
}
