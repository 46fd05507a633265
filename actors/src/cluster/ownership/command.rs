//! What the machines ask of Redis, as data. Each command touches one key, so it works on a Redis Cluster as it does on a single
//! server, and each may be sent again or arrive late: what follows from it is liveness alone.

use std::sync::Arc;

use rollcall_protocol::{Epoch, RoomId, Seq};

use super::record::NodeRecord;
use crate::cluster::Incarnation;
use crate::ports::NodeId;

/// The key of the list of nodes, a sorted set of names by the time at which each was last entered.
pub const ROSTER_KEY: &str = "rollcall:nodes";

/// How long a name stays on the list of nodes after it was last entered, in milliseconds.
pub const ROSTER_KEEPS_MS: u64 = 60_000;

/// One command. Each is answered by one [`RedisAnswer`], which is `Failed` where nobody knows whether it was carried out.
///
/// The Lua text at a command is what the adapter sends; `KEYS[1]` is [`RedisCommand::key`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RedisCommand {
    /// Lets a node's key live on, or claims it where nobody has it. Answered `Renewal` with what the key held before.
    ///
    /// `local held, ttl, time = redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1]), redis.call('TIME'); if not held or
    /// string.sub(held, 1, 16) == string.sub(ARGV[1], 1, 16) then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end; return
    /// {held, ttl, time[1], time[2]}`
    RenewNode {
        /// Whose key.
        node: NodeId,
        /// What it is to hold.
        record: NodeRecord,
        /// How long it lives, in milliseconds.
        ttl_ms: u64,
    },
    /// Deletes a node's key if it holds this life of the node. Answered `Done`.
    ///
    /// `local held = redis.call('GET', KEYS[1]); if held and string.sub(held, 1, 16) == ARGV[1] then redis.call('DEL', KEYS[1]) end`
    DeleteNode {
        /// Whose key.
        node: NodeId,
        /// Which life.
        incarnation: Incarnation,
    },
    /// Answered `Node`.
    ///
    /// `return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}`
    ReadNode {
        /// Whose key.
        node: NodeId,
    },
    /// Enters a name into the list of nodes, drops those that were not entered for a minute, and reads it. Answered `Roster`.
    ///
    /// `local time = redis.call('TIME'); local now = time[1] * 1000 + math.floor(time[2] / 1000); redis.call('ZADD', KEYS[1], now,
    /// ARGV[1]); redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2]); redis.call('ZREMRANGEBYSCORE', KEYS[1], now +
    /// ARGV[2], '+inf'); return redis.call('ZRANGE', KEYS[1], 0, -1)`
    Enroll {
        /// Whose name.
        node: NodeId,
    },
    /// Answered `Text`.
    ///
    /// `GET KEYS[1]`
    ReadOwner {
        /// Of which room.
        room: RoomId,
    },
    /// Sets a room's owner if the key holds exactly what was read. Answered `Swapped` or `Found`.
    ///
    /// `local held = redis.call('GET', KEYS[1]) or ''; if held ~= ARGV[1] then return {0, held} end; if ARGV[2] == '' then
    /// redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2]) end; return {1, held}`
    SwapOwner {
        /// Of which room.
        room: RoomId,
        /// What was read; none where there was no key.
        expected: Option<Arc<str>>,
        /// What it is to hold; none to delete it.
        new: Option<Arc<str>>,
    },
    /// Draws the next epoch of a room. Answered `Number`.
    ///
    /// `INCR KEYS[1]`
    DrawEpoch {
        /// Of which room.
        room: RoomId,
    },
    /// Writes an epoch back, if what is there is lower or no number. Answered `Done`.
    ///
    /// `local held = tonumber(redis.call('GET', KEYS[1]) or ''); if not held or held < tonumber(ARGV[1]) then redis.call('SET',
    /// KEYS[1], ARGV[1]) end`
    RaiseEpoch {
        /// Of which room.
        room: RoomId,
        /// The epoch that the log has seen.
        to: Epoch,
    },
    /// Answered `Text`.
    ///
    /// `GET KEYS[1]`
    ReadSeq {
        /// Of which room.
        room: RoomId,
    },
    /// Raises the hint where the room's log ends, as `RaiseEpoch` does. Answered `Done`.
    RaiseSeq {
        /// Of which room.
        room: RoomId,
        /// A committed number.
        to: Seq,
    },
    /// Sets that hint, which was wrong. Answered `Done`.
    ///
    /// `SET KEYS[1] ARGV[1]`
    CorrectSeq {
        /// Of which room.
        room: RoomId,
        /// The last committed number.
        to: Seq,
    },
}

impl RedisCommand {
    /// Returns the one key that the command touches. What stands in braces decides which server of a Redis Cluster has it.
    pub fn key(&self) -> String {
        match self {
            Self::RenewNode { node, .. } | Self::DeleteNode { node, .. } | Self::ReadNode { node } => node_key(node),
            Self::Enroll { .. } => ROSTER_KEY.to_owned(),
            Self::ReadOwner { room } | Self::SwapOwner { room, .. } => owner_key(room),
            Self::DrawEpoch { room } | Self::RaiseEpoch { room, .. } => epoch_key(room),
            Self::ReadSeq { room } | Self::RaiseSeq { room, .. } | Self::CorrectSeq { room, .. } => seq_key(room),
        }
    }
}

/// Returns the key of a node's lease.
pub fn node_key(node: &NodeId) -> String {
    format!("node:{{{}}}", node.0)
}

/// Returns the key that names a room's owner.
pub fn owner_key(room: &RoomId) -> String {
    format!("room:{{{room}}}:owner")
}

/// Returns the key of a room's epochs.
pub fn epoch_key(room: &RoomId) -> String {
    format!("room:{{{room}}}:epoch")
}

/// Returns the key of the hint where a room's log ends.
pub fn seq_key(room: &RoomId) -> String {
    format!("room:{{{room}}}:seq")
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RedisAnswer {
    /// To `RenewNode`.
    Renewal {
        /// What the key held before; none where there was none.
        held: Option<Arc<str>>,
        /// How long that would have lived on, in milliseconds; 0 where it would not end by itself.
        held_ttl_ms: u64,
        /// The server's time of day, in milliseconds since 1970.
        redis_ms: i64,
    },
    /// To `ReadNode`: what the key holds and how long it lives on, in milliseconds.
    Node(Option<(Arc<str>, u64)>),
    /// To `Enroll`: the names, in any order, perhaps none that a node can have.
    Roster(Vec<Arc<str>>),
    /// To `ReadOwner` and `ReadSeq`.
    Text(Option<Arc<str>>),
    /// To `SwapOwner`: it was set.
    Swapped,
    /// To `SwapOwner`: it was not set, for the key holds this.
    Found(Option<Arc<str>>),
    /// To `DrawEpoch`.
    Number(i64),
    /// To the others.
    Done,
    /// It may have been carried out or not, and may be still: Redis is away, too slow, or refused it.
    Failed(String),
}
