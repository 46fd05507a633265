//! What `rollcall doctor` asks Redis: is it there, is it one that takes writes, and may this node do what nodes do.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use redis::{Cmd, FromRedisValue as _, Value, cmd};
use rollcall_actors::cluster::ownership::{ROSTER_KEY, node_key, owner_key};
use rollcall_actors::ports::NodeId;
use rollcall_protocol::RoomId;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::connect::{ANSWER_LIMIT, Connection, connect};
use super::error::RedisError;
use super::settings::{RedisSettings, Servers};
use super::subscription::{Subscription, channel_of};
use crate::doctor::{Finding, clock};

/// Does to one key what the commands of nodes do, and leaves nothing of it.
const TRY_ALL: &str = "\
redis.call('SET', KEYS[1], '0', 'PX', '1000')
redis.call('GET', KEYS[1])
redis.call('PTTL', KEYS[1])
redis.call('INCR', KEYS[1])
redis.call('DEL', KEYS[1])
redis.call('ZADD', KEYS[1], 1, 'a')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '+inf')
redis.call('ZRANGE', KEYS[1], 0, -1)
return redis.call('TIME')";

/// Adds nothing to the list of nodes, and reads it.
const TRY_ROSTER: &str = "\
redis.call('ZREMRANGEBYSCORE', KEYS[1], 1, 0)
return redis.call('ZRANGE', KEYS[1], 0, -1)";

/// What a role needs, as `ACL SETUSER` takes it.
const RIGHTS: &str = "give the user `~room:* ~node:* ~rollcall:* &rollcall:node:*` and the commands `+@read +@write +@pubsub +@scripting \
                      +@connection +info +time`, and in a Redis Cluster `+cluster`";

/// Looks at Redis. What it writes, it writes under names that no node and no room can have, for a second at most.
///
/// # Cancel safety
/// Nothing stays for longer than a second.
pub async fn examine(settings: &RedisSettings) -> Vec<Finding> {
    let servers = match settings.read() {
        Ok(servers) => servers,
        Err(error) => return vec![Finding::failed("redis.reachable", &error)],
    };
    let mut connection = match connect(&servers).await {
        Ok(opened) => opened.connection,
        Err(error) => return vec![unusable(&error)],
    };
    let mut findings = about(&mut connection).await;
    findings.push(time(&mut connection).await);
    findings.push(commands(&mut connection).await);
    findings.push(channel(&servers, &mut connection).await);
    findings
}

fn unusable(error: &RedisError) -> Finding {
    let advice = match error {
        RedisError::Replica => {
            "nodes write to Redis: set `redis.servers` to the master, or name the Sentinels, who know it"
        }
        RedisError::TooOld { .. } => "upgrade Redis to 7 or later, or use Valkey",
        RedisError::Mode { .. } | RedisError::Url { .. } | RedisError::NoServers => {
            "set `redis.kind` and `redis.servers`"
        }
        RedisError::NoMaster { .. } => "set `redis.sentinel_master` to the name that the Sentinels know",
        RedisError::Credentials => "set `redis.user` and `redis.password_file`",
        RedisError::Permission { .. } => RIGHTS,
        RedisError::TimedOut | RedisError::Driver(_) => {
            "see that Redis runs at `redis.servers`, and that this machine may connect"
        }
    };
    let check = match error {
        RedisError::Replica | RedisError::Mode { .. } => "redis.role",
        RedisError::TooOld { .. } => "redis.version",
        RedisError::Permission { .. } => "redis.permissions",
        _ => "redis.reachable",
    };
    Finding::fail(check, error.to_string(), advice)
}

/// Reads what the server says of itself; that it was reached shows that it is new enough and takes writes.
async fn about(connection: &mut Connection) -> Vec<Finding> {
    let report = match run(connection, &cmd("INFO")).await {
        // A Redis Cluster is asked through one of its servers: each has the same settings, if somebody looks after them.
        Ok(value) => first_text(value),
        Err(error) => return vec![denied("redis.reachable", &error)],
    };
    let field = |name: &str| {
        report.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default().trim()
    };
    let version = match field("valkey_version") {
        "" => format!("Redis {}", field("redis_version")),
        valkey => format!("Valkey {valkey}"),
    };
    vec![
        Finding::ok("redis.reachable", "it answers"),
        Finding::ok("redis.version", version),
        Finding::ok("redis.role", if field("cluster_enabled") == "1" { "a Redis Cluster" } else { "a master" }),
        judge_memory(field("maxmemory"), field("maxmemory_policy")),
    ]
}

fn judge_memory(limit: &str, policy: &str) -> Finding {
    const CHECK: &str = "redis.memory";
    match (limit, policy) {
        (_, "noeviction") => Finding::ok(CHECK, "nothing is evicted"),
        ("0", policy) => Finding::ok(CHECK, format!("there is no limit of memory, so {policy} evicts nothing")),
        (limit, policy) => Finding::warn(
            CHECK,
            format!("above {limit} bytes of memory {policy} evicts keys"),
            "set `maxmemory-policy noeviction`: where a node's key is evicted, its rooms change hands for nothing",
        ),
    }
}

async fn time(connection: &mut Connection) -> Finding {
    const CHECK: &str = "redis.clock";
    let asked = SystemTime::now();
    let script = cmd("EVAL").arg("return redis.call('TIME')").arg(1).arg(key()).take();
    let told = run(connection, &script)
        .await
        .and_then(|value| <(u64, u64)>::from_redis_value(value).map_err(|error| RedisError::Driver(error.to_string())));
    match told {
        Ok((seconds, micros)) => {
            let said = Duration::from_secs(seconds) + Duration::from_micros(micros);
            clock(CHECK, "Redis", said, asked, SystemTime::now())
        }
        Err(error) => denied(CHECK, &error),
    }
}

/// Tries the commands that nodes use, in scripts and by themselves.
async fn commands(connection: &mut Connection) -> Finding {
    const CHECK: &str = "redis.permissions";
    let key = key();
    let owner = RoomId::parse("rollcall-doctor").map(|room| owner_key(&room)).unwrap_or_default();
    let tries = [
        cmd("EVAL").arg(TRY_ALL).arg(1).arg(&key).take(),
        cmd("EVAL").arg(TRY_ROSTER).arg(1).arg(ROSTER_KEY).take(),
        cmd("GET").arg(&owner).take(),
        cmd("SET").arg(&key).arg("0").arg("PX").arg(1_000).take(),
        cmd("INCR").arg(&key).take(),
        cmd("EVAL").arg("return redis.call('DEL', KEYS[1])").arg(1).arg(&key).take(),
    ];
    for command in &tries {
        if let Err(error) = run(connection, command).await {
            return denied(CHECK, &error);
        }
    }
    Finding::ok(CHECK, "the user may run the commands that nodes need")
}

/// Sends a message to a channel of its own, as one node does to another.
async fn channel(servers: &Servers, connection: &mut Connection) -> Finding {
    const CHECK: &str = "redis.channels";
    const MESSAGE: &[u8] = b"rollcall doctor";
    let channel = channel_of(&nobody());
    let (sender, mut received) = mpsc::unbounded_channel();
    let on_message = Arc::new(move |message: Bytes| drop(sender.send(message))) as Arc<dyn Fn(Bytes) + Send + Sync>;
    let _subscription = match Subscription::open(servers, &channel, &on_message).await {
        Ok(subscription) => subscription,
        Err(error) => return denied(CHECK, &error),
    };
    if let Err(error) = run(connection, &cmd("SPUBLISH").arg(&channel).arg(MESSAGE).take()).await {
        return denied(CHECK, &error);
    }
    match timeout(ANSWER_LIMIT, received.recv()).await {
        Ok(Some(message)) if message == MESSAGE => Finding::ok(CHECK, "a message came through"),
        _ => Finding::fail(CHECK, "a message that was published did not come", "see Redis's own log"),
    }
}

fn denied(check: &'static str, error: &RedisError) -> Finding {
    // A script is told in other words, and in others again from version 7.2 on.
    let denials = ["noperm", "acl failure", "can't run this command", "can't access"];
    let says = |text: &str| denials.iter().any(|words| text.to_ascii_lowercase().contains(words));
    let is_denied = match error {
        RedisError::Permission { .. } => true,
        RedisError::Driver(text) => says(text),
        _ => false,
    };
    let advice = if is_denied { RIGHTS } else { "see Redis's own log" };
    Finding::fail(check, error.to_string(), advice)
}

async fn run(connection: &mut Connection, command: &Cmd) -> Result<Value, RedisError> {
    let answer = timeout(ANSWER_LIMIT, connection.run(command)).await;
    Ok(answer.map_err(|_| RedisError::TimedOut)??)
}

/// Returns a name that no node can have, so that two doctors at once and every node keep out of each other's way.
fn nobody() -> NodeId {
    NodeId(format!("rollcall doctor {:016x}", rand::random::<u64>()).into())
}

fn key() -> String {
    node_key(&nobody())
}

/// Returns a text, or of several servers' texts the first.
fn first_text(value: Value) -> String {
    match value {
        Value::Map(answers) => answers.into_iter().next().map(|(_, answer)| first_text(answer)).unwrap_or_default(),
        value => String::from_redis_value(value).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn eviction_is_warned_of() {
        assert_eq!(judge_memory("0", "allkeys-lru").status, Status::Ok);
        assert_eq!(judge_memory("1000", "noeviction").status, Status::Ok);
        assert_eq!(judge_memory("1000", "volatile-lru").status, Status::Warn);
    }

    #[test]
    fn no_node_can_have_the_doctors_name() {
        assert!(rollcall_actors::cluster::parse_node_id(&nobody().0).is_err());
    }
}
