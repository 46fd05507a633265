//! The ports: what the domain needs from the world, each with its contract on order and durability. Adapters live outside of
//! this package, and each passes the port's contract suite.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use rollcall_protocol::{Entry, Epoch, OwnerId, RoomId, Seq};

use crate::cluster::NodeRef;
use crate::cluster::ownership::{RedisAnswer, RedisCommand};
use crate::room::Buckets;

/// A future that a port returns.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who may number a room's entries: the log accepts an append from the latest fence alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The number of the ownership; grows with each activation that found the room to exist.
    pub epoch: Epoch,
    /// The activation's own name, drawn at random: two activations never share it, even where an epoch should repeat.
    pub owner: OwnerId,
}

/// A room as the log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogTail {
    /// Who fenced the room last.
    pub fence: Fence,
    /// The last committed number; 0 for a room that nobody wrote to.
    pub last_seq: Seq,
}

/// What an activation is asked with. Only `owner` matters for safety.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Activate {
    /// Drawn at random for this activation.
    pub owner: OwnerId,
    /// At least this epoch is wanted; 0 where whatever is next will do.
    pub epoch: Epoch,
    /// Where the search for the log's end begins; 0 where nothing is known. A wrong one costs time and nothing else.
    pub tip_hint: Seq,
}

impl Activate {
    /// What a server by itself asks: nobody else has promised an epoch or seen where the log ends.
    pub fn by(owner: OwnerId) -> Self {
        Self { owner, epoch: Epoch::ZERO, tip_hint: Seq::ZERO }
    }
}

/// Whose fence an activation has replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Replaced {
    /// Nobody's: the room was not there.
    Nothing,
    /// This one.
    Fence(Fence),
    /// Somebody's; the log did not say whose.
    Unknown,
}

/// A room that was fenced for a new owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Activated {
    /// Where it stands, under the new fence.
    pub tail: LogTail,
    /// Whose fence that is in the place of.
    pub replaced: Replaced,
}

/// Entries to be committed together.
#[derive(Debug, Clone)]
pub struct Append {
    /// To which room.
    pub room: RoomId,
    /// The caller's fence, from its activation.
    pub fence: Fence,
    /// Contiguous entries, at least one, all under the caller's fence; the first is the one after the last committed.
    pub entries: Arc<[Entry]>,
}

impl Append {
    /// Returns the last committed number that the append builds on.
    pub fn builds_on(&self) -> Seq {
        self.entries.first().expect("an append has at least one entry").seq.previous()
    }

    /// Asserts what every adapter relies on: at least one entry, numbers without a gap, all under the append's fence.
    ///
    /// # Panics
    /// Where it is otherwise: the caller numbers entries itself, so that would be a broken invariant of our own.
    pub fn assert_well_formed(&self) {
        let mut expected = self.builds_on();
        for entry in self.entries.iter() {
            expected = expected.next();
            assert_eq!(entry.seq, expected, "an append's entries are contiguous");
            let fence = Fence { epoch: entry.epoch, owner: entry.owner };
            assert_eq!(fence, self.fence, "an append's entries are numbered under its fence");
        }
    }
}

/// What became of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendOutcome {
    /// All of it is durable.
    Committed,
    /// None of it is stored, nor ever will be.
    NotCommitted(NotCommitted),
    /// It may be stored or not, and may yet become either. The numbers must not be used again by this activation; the next one
    /// finds out.
    Unknown(String),
}

/// Why nothing of an append was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotCommitted {
    /// Another activation has fenced the room, or the append does not build on the last committed number: this owner is none.
    Fenced,
    /// The log takes no writes now, for a reason that passes by itself, such as a full disk; the text is for whoever runs the
    /// node, and clients are not told it.
    Refused(String),
    /// What is stored cannot be what was written, so nothing can be stored upon it until somebody has seen to that. The text is
    /// for whoever runs the node.
    Damaged(String),
}

/// Which entries to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadRange {
    /// Entries after this number.
    pub after: Seq,
    /// Up to and with this number.
    pub through: Seq,
    /// At most this many.
    pub entries_max: usize,
    /// No further entry once the bodies have reached this size, in bytes; the first is always read.
    pub bytes_max: usize,
}

/// A snapshot as the log keeps it: opaque parts of at most 256 KiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSnapshot {
    /// The state is that after this entry.
    pub seq: Seq,
    /// The parts, in order. Some may be missing after a crash: the reader checks.
    pub parts: Vec<Vec<u8>>,
}

/// Why the log could not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The log is away or being reopened; try again later.
    #[error("the log is unavailable: {0}")]
    Unavailable(String),
    /// What is stored cannot be what was written.
    #[error("the log is damaged: {0}")]
    Damaged(String),
    /// The entries lie below the floor.
    #[error("entries before {floor} have expired")]
    Expired {
        /// The first number that is still kept.
        floor: Seq,
    },
}

/// The durable store of entries: the one authority on what a room's history is.
///
/// Contract, which the suite in `tests/it` shows of every adapter:
/// - *Durability.* What was answered `Committed` is there after any crash of the process or the machine, and is read by every
///   later `read`, `tail` and `activate`. A snapshot is durable when `write_snapshot` answers `Ok`.
/// - *Atomicity.* An append is stored as a whole or not at all.
/// - *Fencing.* `activate` on a room that exists makes every earlier fence fail, also for appends that are under way: each of
///   them either was committed, and is below the returned `last_seq`, or never will be.
/// - *Order.* Appends of one room are committed in the order in which they were called. An entry's number is one more than the
///   last committed one, or the append is `Fenced`.
/// - *Reads* see committed entries alone, in order and without a gap, and what was read once is never taken back.
/// - *Redaction.* Once an append that holds a redact entry was answered `Committed`, no read returns the body or salt of its
///   target or of an edit of its target; an edit of a redacted target never shows a body.
///
/// # Cancel safety
/// Dropping a future does not undo what it began: an append goes on and only its answer is lost.
pub trait Log: Send + Sync + 'static {
    /// Fences the room for a new owner, and returns where it stands and whose fence was replaced. The epoch is the one that was
    /// asked for where that is above every one that the room has seen, else the next after those. A room that nobody wrote to is
    /// answered with `last_seq` 0 and nothing is stored: its first append stores the fence.
    ///
    /// # Errors
    /// Where the log is unavailable or damaged.
    fn activate<'a>(&'a self, room: &'a RoomId, with: Activate) -> PortFuture<'a, Result<Activated, LogError>>;

    /// Says that an ownership is over here: nothing more is appended under its fence, and the log may forget what it keeps for
    /// it. What was appended before goes on; an append that comes after it all the same may be `Fenced`. A fence that is not
    /// the room's, or not any more, changes nothing. Does not block.
    fn release(&self, room: &RoomId, fence: Fence);

    /// Commits entries, under a fence that this very log has activated: an ownership need not outlive its process, and an append
    /// under any other fence may be `Fenced`. The call itself takes the append's place in the order; the future only waits.
    fn append(&self, append: Append) -> PortFuture<'static, AppendOutcome>;

    /// Reads entries, from the first after `range.after` on. Fewer than asked for, or none, means that a limit of the range was
    /// reached or that the log ends there; fewer also, that the next one is damaged, as a read from there on says.
    ///
    /// # Errors
    /// Where the log is unavailable, or the first entry of the range is damaged or lies below the floor.
    fn read<'a>(&'a self, room: &'a RoomId, range: ReadRange) -> PortFuture<'a, Result<Vec<Entry>, LogError>>;

    /// Reads where the room stands, linearizably: an append that was answered before is included. None for a room that nobody
    /// wrote to.
    ///
    /// # Errors
    /// Where the log is unavailable or damaged.
    fn tail<'a>(&'a self, room: &'a RoomId) -> PortFuture<'a, Result<Option<LogTail>, LogError>>;

    /// Stores a snapshot; older ones may be dropped once it is durable.
    ///
    /// # Errors
    /// Where the log is unavailable; a snapshot is a convenience, and the caller goes on.
    fn write_snapshot<'a>(&'a self, room: &'a RoomId, snapshot: StoredSnapshot)
    -> PortFuture<'a, Result<(), LogError>>;

    /// Reads the newest snapshot whose number is at most `at_most`, if there is one.
    ///
    /// # Errors
    /// Where the log is unavailable or damaged.
    fn read_snapshot<'a>(
        &'a self,
        room: &'a RoomId,
        at_most: Seq,
    ) -> PortFuture<'a, Result<Option<StoredSnapshot>, LogError>>;

    /// Returns in what pieces entries expire: the floor is always the first number of one. A log that deletes single entries has
    /// pieces of one.
    fn expires_in(&self) -> Buckets {
        Buckets::of_entries(1)
    }

    /// Drops the entries before `floor`; what is read afterwards below it is `Expired`. The room's numbering goes on. A floor
    /// above the newest snapshot's number plus one, or above the last entry's, is lowered to that, so that the state can always
    /// be rebuilt; one at or below the present floor changes nothing.
    ///
    /// # Errors
    /// Where the log is unavailable.
    fn expire_before<'a>(&'a self, room: &'a RoomId, floor: Seq) -> PortFuture<'a, Result<(), LogError>>;
}

/// A room that was taken from an owner who may not know it, as `takeovers` keeps it. The adapter adds the slot, which is the
/// minute, and the time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Takeover {
    /// Which room.
    pub room: RoomId,
    /// The epoch of the new ownership.
    pub epoch: Epoch,
}

/// What nodes of a cluster tell one another through the log.
///
/// Contract: a row whose insertion was answered `Ok` is in everything that is read from then on for as long as
/// [`TAKEOVERS_READ_MS`](crate::cluster::TAKEOVERS_READ_MS), whichever node reads. Rows may be read for longer, more than once,
/// and in any order.
pub trait Takeovers: Send + Sync + 'static {
    /// Inserts a row, at a quorum.
    ///
    /// # Errors
    /// Where it may be there or not.
    fn insert<'a>(&'a self, takeover: &'a Takeover) -> PortFuture<'a, Result<(), LogError>>;

    /// Reads all rows of the last [`TAKEOVERS_READ_MS`](crate::cluster::TAKEOVERS_READ_MS).
    ///
    /// # Errors
    /// Where the log is unavailable or damaged.
    fn recent(&self) -> PortFuture<'_, Result<Vec<Takeover>, LogError>>;
}

/// The name of a node of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub Arc<str>);

/// Where it is kept which nodes live and which rooms they own: a matter of liveness alone. Safety is the log's, so a wrong, stale
/// or missing answer costs time and nothing else.
pub trait Ownership: Send + Sync + 'static {
    /// Runs one command, each atomically by itself, and says what became of it within a second or so. One that failed may have
    /// been carried out, or may be still.
    fn run<'a>(&'a self, command: &'a RedisCommand) -> PortFuture<'a, RedisAnswer>;
}

/// Carries envelopes between nodes, each at most once and in any order.
pub trait Bus: Send + Sync + 'static {
    /// Sends an envelope to a node; it may be lost without a sign. Does not block.
    fn send(&self, to: &NodeId, envelope: Bytes);

    /// Returns how many envelopes may have been lost on this side. When it has grown, whoever watches rooms here is to be told of
    /// all of them.
    fn losses(&self) -> u64;
}

/// What comes in for a node.
pub trait Inbound: Send + 'static {
    /// Returns what comes next, and waits for it.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    fn next(&mut self) -> PortFuture<'_, InboundEvent>;
}

/// What comes in, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InboundEvent {
    /// The bus has confirmed the subscription: what is sent from here on comes.
    Subscribed,
    /// What another node has sent; from anybody who can reach the bus, and to be checked.
    Envelope(Bytes),
    /// What was sent since the event before may be lost, until the next [`InboundEvent::Subscribed`].
    Interrupted,
}

/// The ports that a node of a cluster is given besides.
pub struct ClusterPorts {
    /// Which node this is, in a life of its own.
    pub me: NodeRef,
    /// Where clients find it; none where they are not sent to it.
    pub connect: Option<Arc<str>>,
    /// What says who owns what.
    pub ownership: Arc<dyn Ownership>,
    /// What carries its envelopes.
    pub bus: Arc<dyn Bus>,
    /// What brings it those of others.
    pub inbound: Box<dyn Inbound>,
    /// Where nodes tell of rooms that they took over.
    pub takeovers: Arc<dyn Takeovers>,
}

/// The ports that rooms are given.
#[derive(Clone)]
pub struct Ports {
    /// What their history is kept in.
    pub log: Arc<dyn Log>,
    /// What their entries are stamped by.
    pub clock: Arc<dyn Clock>,
}

/// The time of day, as entries are stamped with it. Nothing about safety depends on it.
pub trait Clock: Send + Sync + 'static {
    /// Returns the milliseconds since 1970.
    fn now_ms(&self) -> i64;
}
