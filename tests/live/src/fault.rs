//! What can go wrong.

use std::fmt;

use rollcall_proxy::Direction;

use crate::redis_servers::RedisKind;

/// A node, or a server of Cassandra, by its place from 0.
pub type Place = usize;

/// A fault. It ends by itself: what was killed is started again, what was stopped goes on, what was cut is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A node is killed with -9.
    Kill {
        /// Which.
        node: Place,
        /// For how long it is gone, in milliseconds.
        down_ms: u64,
        /// Its clients go to the other nodes.
        moves_clients: bool,
    },
    /// A node is stopped for longer than its lease, and wakes up in the middle of whatever it was doing.
    Pause {
        /// Which.
        node: Place,
        /// For how long, in milliseconds.
        for_ms: u64,
        /// Its clients go to the other nodes.
        moves_clients: bool,
    },
    /// All nodes are stopped with SIGTERM and started again, one after the other.
    RollingRestart,
    /// Something happens to a way between two.
    Link {
        /// To which.
        link: Link,
        /// What.
        harm: Harm,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// Appends of a node are held back on their way to Cassandra, and arrive after others have taken over its rooms.
    HeldAppend {
        /// Whose; if that owns no room, the next one's.
        node: Place,
        /// How it loses its rooms meanwhile.
        by: Lost,
    },
    /// Redis is killed, and comes back empty.
    RedisKilled {
        /// For how long it is gone, in milliseconds.
        down_ms: u64,
    },
    /// Redis forgets everything and goes on.
    RedisFlushed,
    /// Redis goes back to what it held before a node was killed and its rooms went to others.
    RedisRewound {
        /// The node.
        node: Place,
        /// For how long it is gone, in milliseconds.
        down_ms: u64,
    },
    /// Redis answers nobody.
    RedisStopped {
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// The master that a node listens at is taken away, and a replica is promoted. Then it comes back, as a replica in the end.
    RedisMasterReplaced {
        /// The node.
        node: Place,
        /// How it goes: killed, or stopped, so that it takes itself for the master when it wakes up.
        by: Lost,
        /// For how long it is gone after it was replaced, in milliseconds.
        down_ms: u64,
    },
    /// A server of Cassandra is killed with -9.
    CassandraKilled {
        /// Which.
        server: Place,
        /// For how long it is gone, in milliseconds; its start takes seconds more.
        down_ms: u64,
    },
}

/// A way between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// From a node to Redis.
    Redis(Place),
    /// From a node to Cassandra: all servers, or one.
    Cassandra(Place, Option<Place>),
    /// From its clients to a node.
    Clients(Place),
}

/// What happens to a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// Its connections are closed, once.
    Cut,
    /// Its connections are closed, and new ones too.
    Refused,
    /// Everything comes so many milliseconds later.
    Delayed(u64),
    /// Nothing comes through one way; then all of it does.
    Held(Direction),
    /// Nothing comes through one way; then its connections are closed.
    Lost(Direction),
    /// Nothing comes through either way; then its connections are closed.
    BlackHole,
}

/// How a node loses its rooms, or a master of Redis its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// It is killed with -9.
    Killed,
    /// It is stopped, and goes on when others are in its place.
    Paused,
}

/// A kind of fault: what faults are drawn and counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// [`Fault::Kill`].
    Kill,
    /// [`Fault::Pause`].
    Pause,
    /// [`Fault::RollingRestart`].
    RollingRestart,
    /// [`Fault::Link`] between a node and Redis.
    LinkToRedis,
    /// [`Fault::Link`] between a node and Cassandra.
    LinkToCassandra,
    /// [`Fault::Link`] between clients and a node.
    LinkToClients,
    /// [`Fault::HeldAppend`] of a node that is killed.
    HeldAppendKilled,
    /// [`Fault::HeldAppend`] of a node that is stopped.
    HeldAppendPaused,
    /// [`Fault::RedisKilled`].
    RedisKilled,
    /// [`Fault::RedisFlushed`].
    RedisFlushed,
    /// [`Fault::RedisRewound`].
    RedisRewound,
    /// [`Fault::RedisStopped`].
    RedisStopped,
    /// [`Fault::RedisMasterReplaced`] of one that is killed.
    RedisMasterKilled,
    /// [`Fault::RedisMasterReplaced`] of one that is stopped.
    RedisMasterStopped,
    /// [`Fault::CassandraKilled`].
    CassandraKilled,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::Kill,
        Self::Pause,
        Self::RollingRestart,
        Self::LinkToRedis,
        Self::LinkToCassandra,
        Self::LinkToClients,
        Self::HeldAppendKilled,
        Self::HeldAppendPaused,
        Self::RedisKilled,
        Self::RedisFlushed,
        Self::RedisRewound,
        Self::RedisStopped,
        Self::RedisMasterKilled,
        Self::RedisMasterStopped,
        Self::CassandraKilled,
    ];

    /// Returns its name in reports and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::RollingRestart => "rolling_restart",
            Self::LinkToRedis => "link_to_redis",
            Self::LinkToCassandra => "link_to_cassandra",
            Self::LinkToClients => "link_to_clients",
            Self::HeldAppendKilled => "held_append_killed",
            Self::HeldAppendPaused => "held_append_paused",
            Self::RedisKilled => "redis_killed",
            Self::RedisFlushed => "redis_flushed",
            Self::RedisRewound => "redis_rewound",
            Self::RedisStopped => "redis_stopped",
            Self::RedisMasterKilled => "redis_master_killed",
            Self::RedisMasterStopped => "redis_master_stopped",
            Self::CassandraKilled => "cassandra_killed",
        }
    }

    /// Tells whether it needs Redis, and so a cluster.
    pub fn needs_redis(self) -> bool {
        self == Self::LinkToRedis || self.is_of_redis()
    }

    /// Tells whether it happens to Redis itself.
    pub fn is_of_redis(self) -> bool {
        matches!(self, Self::RedisKilled | Self::RedisFlushed | Self::RedisRewound | Self::RedisStopped)
            || self.replaces_a_master()
    }

    /// Tells whether a master of Redis is replaced by it.
    pub fn replaces_a_master(self) -> bool {
        matches!(self, Self::RedisMasterKilled | Self::RedisMasterStopped)
    }

    /// Tells whether it can happen with this kind of Redis: one server has nobody to take its place; several tell their own addresses,
    /// so that no proxy stands before them, and none of them holds all keys, or all of Redis.
    pub fn happens_with(self, redis: RedisKind) -> bool {
        match self {
            Self::LinkToRedis | Self::RedisKilled | Self::RedisRewound | Self::RedisStopped => {
                redis == RedisKind::Single
            }
            Self::RedisMasterKilled | Self::RedisMasterStopped => redis != RedisKind::Single,
            _ => true,
        }
    }

    /// Tells whether it needs others who take over.
    pub fn needs_others(self) -> bool {
        matches!(self, Self::HeldAppendPaused)
    }

    /// Tells whether a node loses its rooms by it without handing them over.
    pub fn takes_an_owner(self) -> bool {
        matches!(self, Self::Kill | Self::Pause | Self::HeldAppendKilled | Self::HeldAppendPaused | Self::RedisRewound)
    }

    /// Tells whether it may come while another fault is there: it touches no process of ours, and none that the other touches.
    pub fn may_accompany(self, other: Self) -> bool {
        let touches_links = matches!(self, Self::LinkToRedis | Self::LinkToCassandra | Self::LinkToClients);
        let touches_redis = matches!(self, Self::RedisFlushed | Self::RedisStopped) || self.replaces_a_master();
        self != other && (touches_links || touches_redis && !other.is_of_redis())
    }
}

impl Fault {
    /// Returns what kind of fault it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Kill { .. } => Kind::Kill,
            Self::Pause { .. } => Kind::Pause,
            Self::RollingRestart => Kind::RollingRestart,
            Self::Link { link: Link::Redis(_), .. } => Kind::LinkToRedis,
            Self::Link { link: Link::Cassandra(..), .. } => Kind::LinkToCassandra,
            Self::Link { link: Link::Clients(_), .. } => Kind::LinkToClients,
            Self::HeldAppend { by: Lost::Killed, .. } => Kind::HeldAppendKilled,
            Self::HeldAppend { by: Lost::Paused, .. } => Kind::HeldAppendPaused,
            Self::RedisKilled { .. } => Kind::RedisKilled,
            Self::RedisFlushed => Kind::RedisFlushed,
            Self::RedisRewound { .. } => Kind::RedisRewound,
            Self::RedisStopped { .. } => Kind::RedisStopped,
            Self::RedisMasterReplaced { by: Lost::Killed, .. } => Kind::RedisMasterKilled,
            Self::RedisMasterReplaced { by: Lost::Paused, .. } => Kind::RedisMasterStopped,
            Self::CassandraKilled { .. } => Kind::CassandraKilled,
        }
    }
}

/// Returns a node's name in settings, histories and reports.
pub fn node_name(node: Place) -> String {
    format!("n{}", node + 1)
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moved = |moves: &bool| if *moves { ", its clients go to others" } else { "" };
        match self {
            Self::Kill { node, down_ms, moves_clients } => {
                write!(f, "{} killed for {down_ms} ms{}", node_name(*node), moved(moves_clients))
            }
            Self::Pause { node, for_ms, moves_clients } => {
                write!(f, "{} stopped for {for_ms} ms{}", node_name(*node), moved(moves_clients))
            }
            Self::RollingRestart => f.write_str("all nodes restarted in turn"),
            Self::Link { link, harm, for_ms } => {
                match link {
                    Link::Redis(node) => write!(f, "{} to Redis", node_name(*node)),
                    Link::Cassandra(node, None) => write!(f, "{} to Cassandra", node_name(*node)),
                    Link::Cassandra(node, Some(server)) => {
                        write!(f, "{} to Cassandra {}", node_name(*node), server + 1)
                    }
                    Link::Clients(node) => write!(f, "clients to {}", node_name(*node)),
                }?;
                write!(f, ": {harm} for {for_ms} ms")
            }
            Self::HeldAppend { node, by: Lost::Killed } => {
                write!(f, "appends of {} held back until it was killed and replaced", node_name(*node))
            }
            Self::HeldAppend { node, by: Lost::Paused } => {
                write!(f, "appends of {} held back until it was stopped and replaced", node_name(*node))
            }
            Self::RedisKilled { down_ms } => write!(f, "Redis killed for {down_ms} ms, empty after it"),
            Self::RedisFlushed => f.write_str("Redis flushed"),
            Self::RedisRewound { node, .. } => {
                write!(f, "Redis rewound to before the death of {}", node_name(*node))
            }
            Self::RedisStopped { for_ms } => write!(f, "Redis stopped for {for_ms} ms"),
            Self::RedisMasterReplaced { node, by, .. } => {
                let how = if *by == Lost::Killed { "killed" } else { "stopped" };
                write!(f, "the master of Redis that {} listens at {how} and replaced", node_name(*node))
            }
            Self::CassandraKilled { server, down_ms } => {
                write!(f, "Cassandra {} killed for {down_ms} ms", server + 1)
            }
        }
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = |direction: &Direction| match direction {
            Direction::Up => "requests",
            Direction::Down => "answers",
        };
        match self {
            Self::Cut => f.write_str("cut"),
            Self::Refused => f.write_str("refused"),
            Self::Delayed(ms) => write!(f, "delayed by {ms} ms"),
            Self::Held(direction) => write!(f, "{} held", way(direction)),
            Self::Lost(direction) => write!(f, "{} lost", way(direction)),
            Self::BlackHole => f.write_str("all lost"),
        }
    }
}
