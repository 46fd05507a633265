//! What is under way in the simulated world.

use bytes::Bytes;
use rollcall_actors::cluster::Takeover;
use rollcall_actors::cluster::node_core::{Asker, Life, NodeInput, OwnerWrite};
use rollcall_actors::cluster::ownership::RedisCommand;
use rollcall_actors::fencing::{Answer, Statement, Ticket};
use rollcall_actors::ports::{LogError, StoredSnapshot};
use rollcall_actors::room::{Expirable, LastExpired};
use rollcall_client::session;
use rollcall_protocol::{Incoming, OutgoingCommand, RoomId, Seq};

use crate::faults::Fault;

/// A node in one of its lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeLife {
    /// Its place among the nodes.
    pub node: usize,
    /// Which life.
    pub life: u64,
}

/// Names a connection for ever.
pub type ConnId = u64;

/// Who waits for the answer to a command: a connection, and the command's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// Which connection.
    pub conn: ConnId,
    /// The command's id.
    pub id: u64,
}

/// Something that will happen.
#[derive(Debug)]
pub enum Event {
    /// The node has asked to be woken.
    WakeNode(NodeLife),
    /// Something comes to a node, from its own shell or from outside.
    ToNode(NodeLife, Box<NodeInput<Token>>),
    /// Something comes to an owner on a node.
    ToOwner(NodeLife, RoomId, Life, Box<ToOwner>),
    /// An envelope arrives where a node of this place listens.
    Arrive(usize, Bytes),
    /// A command arrives at Redis.
    AtRedis(NodeLife, Asker, RedisCommand, Fate),
    /// A request arrives at the store.
    AtStore(Box<Request>, Fate),
    /// A page that a connection wanted was read, or not.
    PageRead(NodeLife, ConnId, RoomId, bool),
    /// A command arrives at the server's end of a connection.
    Command(ConnId, Box<OutgoingCommand>),
    /// The server learns that a connection is gone.
    ConnectionGone(ConnId),
    /// A server's ping is due.
    Ping(ConnId),
    /// Something comes to a client in this life.
    ToClient(usize, u64, Option<ConnId>, Box<session::Input>),
    /// A client's program has something to write.
    Write(usize),
    /// A node starts, unless it lives.
    Start(usize),
    /// A fault begins.
    Begin(Fault),
    /// A fault ends.
    End(Fault),
}

/// What becomes of a request on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is carried out and answered.
    Answered,
    /// It is carried out; the answer does not come.
    AnswerLost,
    /// It is not carried out.
    Lost,
}

/// What comes to an owner.
#[derive(Debug)]
pub enum ToOwner {
    /// It begins: the newest snapshot was read, or nothing was.
    Began(Option<Seq>),
    /// The answer to its statement of this number.
    Answer(u64, Answer),
    /// Ten seconds after an append was given.
    Deadline(Ticket),
    /// What the log has was read, so that the room's state can be rebuilt; or it could not be.
    Replay(bool),
    /// A write.
    Submit(OwnerWrite<Token>),
    /// What lies before this number is to expire.
    Expire(Seq),
    /// It is open: what an earlier owner let expire is to be deleted.
    Retain,
    /// What may expire.
    Found(Result<Option<LastExpired>, LogError>),
    /// A snapshot for an expiry was stored and read back, or was not.
    Kept(Option<Seq>),
    /// It is to stop.
    Stop {
        /// Whether another node takes the room at once.
        goes_on: bool,
    },
}

/// What the store is asked.
#[derive(Debug)]
pub struct Request {
    /// Who asks.
    pub from: NodeLife,
    /// What.
    pub what: Asked,
}

/// What the store is asked.
#[derive(Debug)]
pub enum Asked {
    /// A statement of a room's owner.
    Statement {
        /// Of which room.
        room: RoomId,
        /// Of which owner.
        life: Life,
        /// Its number.
        number: u64,
        /// What to do.
        statement: Statement,
    },
    /// A read for the node.
    Read(Box<Read>),
    /// A takeover to insert.
    Takeover(Life, Takeover),
}

/// A read for the node itself.
#[derive(Debug)]
pub enum Read {
    /// A room's tail.
    Tail(RoomId, rollcall_actors::cluster::node_core::TailAsker),
    /// Entries for a replica.
    Entries {
        /// Of which room.
        room: RoomId,
        /// For which replica.
        life: Life,
        /// Which of its reads.
        read: u64,
        /// After this number.
        after: Seq,
        /// Up to and with this number.
        through: Seq,
    },
    /// The takeovers.
    Takeovers(u64),
    /// A page for a connection.
    Page(ConnId, RoomId),
    /// The newest snapshot, for an owner that begins.
    Snapshot(RoomId, Life),
    /// What a state is rebuilt from, for an owner that was activated.
    Replay(RoomId, Life),
    /// What may expire, for an owner.
    Expirable(RoomId, Life, Expirable),
    /// Not a read alone: a snapshot is stored first, and then read back.
    Keep(RoomId, Life, StoredSnapshot),
}

/// A frame on its way to a client.
pub type Frame = Incoming;

impl Event {
    /// Returns the node at which it happens; it waits while that node is paused.
    pub fn node(&self) -> Option<NodeLife> {
        match self {
            Self::WakeNode(life) | Self::ToNode(life, _) | Self::ToOwner(life, ..) | Self::PageRead(life, ..) => {
                Some(*life)
            }
            _ => None,
        }
    }

    /// Returns a number that tells it from others of its kind.
    pub fn word(&self) -> u64 {
        let node = |life: &NodeLife| (life.node as u64) << 8 | life.life << 16;
        match self {
            Self::WakeNode(life) => 1 | node(life),
            Self::ToNode(life, _) => 2 | node(life),
            Self::ToOwner(life, _, owner, _) => 3 | node(life) | owner << 32,
            Self::Arrive(at, bytes) => 4 | (*at as u64) << 8 | xxhash_rust::xxh3::xxh3_64(bytes) << 16,
            Self::AtRedis(life, ..) => 5 | node(life),
            Self::AtStore(request, fate) => 6 | node(&request.from) | (*fate as u64) << 32,
            Self::PageRead(life, conn, ..) => 7 | node(life) | conn << 32,
            Self::Command(conn, _) => 8 | conn << 8,
            Self::ConnectionGone(conn) => 9 | conn << 8,
            Self::Ping(conn) => 10 | conn << 8,
            Self::ToClient(client, life, conn, _) => 11 | (*client as u64) << 8 | life << 16 | conn.unwrap_or(0) << 32,
            Self::Write(client) => 12 | (*client as u64) << 8,
            Self::Begin(fault) => 13 | fault.at_ms << 8,
            Self::Start(at) => 15 | (*at as u64) << 8,
            Self::End(fault) => 14 | fault.at_ms << 8,
        }
    }

    /// Returns words for whoever reads a failing run.
    pub fn to_text(&self) -> String {
        match self {
            Self::Arrive(at, bytes) => {
                let envelope = rollcall_actors::cluster::Envelope::decode(bytes);
                format!("n{at} gets {envelope:?}")
            }
            other => format!("{other:?}"),
        }
    }
}
