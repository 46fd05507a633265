//! What goes into a node and what comes out: plain data.

use std::sync::Arc;

use rollcall_protocol::{Ack, DeviceId, Entry, Epoch, ErrorFrame, RoomId, Seq, Signal, UserId};

use crate::cluster::envelope::{
    Batch, Correlation, Envelope, ForwardedWrite, JoinFrom, Payload, Question, RoomFacts, SubmitReply,
};
use crate::cluster::forwarding::ToForward;
use crate::cluster::ownership::{ActivateWith, RedisAnswer, RedisCommand};
use crate::cluster::{NodeRef, Replaced, RoomStanding, Standing, Takeover, replica};
use crate::ports::{Fence, LogError, LogTail, NodeId};
use crate::room::{Answer, Rights, StopReason};

/// Numbers the replicas, owners and searches of a node: an answer to an earlier one is dropped.
pub type Life = u64;

/// Who asked Redis.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asker {
    /// The node's lease.
    Lease,
    /// What knows the other nodes.
    Peers,
    /// What keeps the keys of a room that is owned here.
    Owned(RoomId),
    /// The search for a room's owner.
    Seeking(RoomId, Life),
}

/// Who asked the log for a room's tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TailAsker {
    /// A replica.
    Replica {
        /// Which one.
        life: Life,
        /// Which of its reads.
        read: u64,
    },
    /// What tells whether an owner may trust its tail.
    Trust {
        /// Which read.
        number: u64,
    },
}

/// What is asked of a room before it is read: whether the user may, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskOwner {
    /// Who asks.
    pub user: UserId,
    /// What the asker's token allows in this room.
    pub rights: Rights,
    /// From where the asker wants to follow the room; none where it is only looked at.
    pub join: Option<JoinFrom>,
}

/// What happens to a node. `T` stands for whoever waits for the answer to a write; it is handed back with the answer, exactly once.
#[derive(Debug)]
pub enum NodeInput<T> {
    /// Time has passed.
    Tick,
    /// So many connections of this node have joined the room now.
    Readers {
        /// Which room.
        room: RoomId,
        /// How many.
        count: usize,
    },
    /// A reader shows a cursor above the head that this node knows.
    Expect {
        /// In which room.
        room: RoomId,
        /// The cursor.
        seq: Seq,
    },
    /// Somebody here has read an entry, and it is not what was written.
    Damaged {
        /// In which room.
        room: RoomId,
        /// Which entry.
        entry: Seq,
    },
    /// A connection writes. What one device writes comes in the order in which it was sent.
    Write {
        /// To which room.
        room: RoomId,
        /// What, and who waits.
        write: ToForward<T>,
    },
    /// Somebody here wants to read a room that is not open here as far as the asker knows.
    Ask {
        /// Which room.
        room: RoomId,
        /// What is asked.
        ask: AskOwner,
        /// Who waits.
        reply: T,
    },
    /// The owner's answer to [`NodeEffect::Examine`].
    Answered {
        /// Who asked.
        to: NodeRef,
        /// What.
        question: Question,
        /// The answer.
        result: Result<RoomFacts, ErrorFrame>,
    },
    /// Somebody here tells everybody in a room something ephemeral; those who read it on this node know.
    Signal(Signal),
    /// An envelope has come.
    Received(Envelope),
    /// The subscription of this node was interrupted and is confirmed again: what came meanwhile is lost, perhaps in both
    /// directions.
    BusReturned,
    /// What became of a command.
    Redis {
        /// Whose.
        asker: Asker,
        /// What became of it.
        answer: RedisAnswer,
    },
    /// The answer to [`NodeEffect::ReadTail`].
    Tail {
        /// Of which room.
        room: RoomId,
        /// Who asked.
        asker: TailAsker,
        /// What the log says.
        result: Result<Option<LogTail>, LogError>,
    },
    /// The answer to [`NodeEffect::ReadEntries`].
    Entries {
        /// Of which room.
        room: RoomId,
        /// Which replica asked.
        life: Life,
        /// Which of its reads.
        read: u64,
        /// What the log says.
        result: Result<Vec<Entry>, LogError>,
    },
    /// The answer to [`NodeEffect::ReadTakeovers`]; none where they could not be read.
    Takeovers {
        /// That of the effect.
        sent_at_ms: u64,
        /// All that were found.
        rows: Option<Vec<Takeover>>,
    },
    /// The answer to [`NodeEffect::InsertTakeover`].
    Noticed {
        /// Of which room.
        room: RoomId,
        /// Of which owner.
        life: Life,
        /// Whether the row is there, at a quorum; it may be where this says no.
        is_inserted: bool,
    },
    /// Something happened to the owner of a room on this node.
    Owner {
        /// Of which room.
        room: RoomId,
        /// Which owner.
        life: Life,
        /// What.
        event: OwnerEvent,
    },
    /// A room that is owned here is to be given up: it is idle, or should be elsewhere.
    GiveUp(RoomId),
    /// A room that is owned here is to be given to another node. Where that node does not live it is given up.
    Move {
        /// Which room.
        room: RoomId,
        /// To whom.
        to: NodeId,
    },
    /// The node is to stop: it takes no rooms, gives its own to others, and gives its name back.
    Drain,
}

/// What happens to the owner of a room on this node.
#[derive(Debug, Clone, PartialEq)]
pub enum OwnerEvent {
    /// The log has activated the room.
    Activated {
        /// Under which fence.
        fence: Fence,
        /// Whose fence that replaced.
        replaced: Replaced,
        /// Where the room stands.
        standing: RoomStanding,
    },
    /// The room could not be activated; the owner is gone.
    NotActivated,
    /// As many rooms are active here as may be, so that the log was not asked; there is no owner.
    NoSpace,
    /// A batch was committed.
    Committed {
        /// What.
        entries: Arc<[Entry]>,
        /// The first number whose body is still kept.
        floor: Seq,
        /// The answers that are ready for writers on other nodes, or for those of this node that took the same way.
        replies: Vec<(NodeRef, SubmitReply)>,
    },
    /// Answers are ready without a commit.
    Replied(Vec<(NodeRef, SubmitReply)>),
    /// The owner is gone: everything that it took was answered.
    Stopped {
        /// Why.
        reason: StopReason,
    },
    /// The owner is gone without a word, as when its actor has failed: what it had taken may be stored or not.
    Lost,
}

/// How an owner's rule over a room ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerEnd {
    /// It stopped by itself.
    Stopped(StopReason),
    /// It is in doubt, and the log did not say in time whether it owns the room still.
    Yielded,
    /// It ended without a word.
    Lost,
}

/// Who waits for an owner's answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Writer<T> {
    /// A connection of this node.
    Here(T),
    /// A node that forwards.
    Node(Box<RemoteWriter>),
}

/// A writer on another node, or on this one before the room was opened here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RemoteWriter {
    /// Which node.
    pub node: NodeRef,
    /// What its answer repeats.
    pub correlation: Correlation,
    /// The room.
    pub room: RoomId,
    /// The sender.
    pub user: UserId,
    /// The sender's installation.
    pub device: DeviceId,
    /// The device's counter.
    pub n: u64,
}

impl RemoteWriter {
    /// Makes the answer as it is sent. How many copies were sent the forwarding node knows, not this one.
    pub fn reply(self, answer: Answer) -> (NodeRef, SubmitReply) {
        let Self { node, correlation, room, user, device, n } = self;
        let result: Result<Ack, ErrorFrame> = answer.map_err(|refusal| refusal.to_frame(false));
        (node, SubmitReply { correlation, room, user, device, n, result })
    }
}

/// A write on its way to the owner on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerWrite<T> {
    /// Who waits for the answer.
    pub writer: Writer<T>,
    /// Who writes.
    pub user: UserId,
    /// From which installation.
    pub device: DeviceId,
    /// What the sender's token allows in this room.
    pub rights: Rights,
    /// What is written.
    pub write: ForwardedWrite,
}

/// What a node wants to be done, in this order.
#[derive(Debug, PartialEq)]
pub enum NodeEffect<T> {
    /// Send this, in one envelope.
    Send {
        /// To whom.
        to: NodeRef,
        /// What.
        payloads: Vec<Payload>,
    },
    /// Send a batch to these nodes, each with replies that ride along: one envelope a node, and the batch written once for all.
    Publish {
        /// What was committed.
        batch: Batch,
        /// To whom, and what else goes there.
        to: Vec<(NodeRef, Vec<SubmitReply>)>,
    },
    /// Run this, and give one answer. Commands of one asker are run one at a time.
    Redis {
        /// Whose command it is.
        asker: Asker,
        /// What to run.
        command: RedisCommand,
    },
    /// Read where the log ends, linearizably.
    ReadTail {
        /// Of which room.
        room: RoomId,
        /// For whom.
        asker: TailAsker,
    },
    /// Read entries from the log.
    ReadEntries {
        /// Of which room.
        room: RoomId,
        /// For which replica.
        life: Life,
        /// Which of its reads.
        read: u64,
        /// Entries after this number.
        after: Seq,
        /// Up to and with this number.
        through: Seq,
    },
    /// Read the takeovers of the last [`TAKEOVERS_READ_MS`](crate::cluster::TAKEOVERS_READ_MS).
    ReadTakeovers {
        /// To be repeated by the answer.
        sent_at_ms: u64,
    },
    /// Insert this row, at a quorum.
    InsertTakeover {
        /// Of which owner.
        life: Life,
        /// The row.
        takeover: Takeover,
    },
    /// Activate a room in the log and own it here.
    StartOwner {
        /// Which room.
        room: RoomId,
        /// Numbers the owner.
        life: Life,
        /// What Redis gave for it.
        with: ActivateWith,
    },
    /// Let the owner finish what it took, and stop.
    StopOwner {
        /// Of which room.
        room: RoomId,
        /// Which owner.
        life: Life,
        /// Whether another node takes the room at once, as far as is known.
        goes_on: bool,
    },
    /// Have the owner read this entry, which somebody has found damaged.
    LookAt {
        /// In which room.
        room: RoomId,
        /// Which owner.
        life: Life,
        /// Which entry.
        entry: Seq,
    },
    /// Give this to the owner.
    Submit {
        /// Of which room.
        room: RoomId,
        /// Which owner.
        life: Life,
        /// What.
        write: OwnerWrite<T>,
    },
    /// The owner here is open: let it answer this question of somebody here.
    AskHere {
        /// Of which room.
        room: RoomId,
        /// Which owner.
        life: Life,
        /// Who waits.
        reply: T,
    },
    /// The owner elsewhere has answered this question of somebody here.
    Told {
        /// Of which room.
        room: RoomId,
        /// What was asked.
        ask: AskOwner,
        /// Who waits.
        reply: T,
        /// The answer.
        result: Result<RoomFacts, ErrorFrame>,
    },
    /// No owner has answered this question: answer it from the log.
    AskLog {
        /// Of which room.
        room: RoomId,
        /// What was asked.
        ask: AskOwner,
        /// Who waits.
        reply: T,
    },
    /// Let the owner here answer this question of another node, and give its [`NodeInput::Answered`].
    Examine {
        /// Of which room.
        room: RoomId,
        /// Which owner.
        life: Life,
        /// Who asks.
        from: NodeRef,
        /// What.
        question: Question,
    },
    /// Other nodes watch the owner here, or none does any more: while they do the room is not idle.
    Watched {
        /// Which room.
        room: RoomId,
        /// Which owner.
        life: Life,
        /// Whether any does.
        is_watched: bool,
    },
    /// The owner here is open: joins are answered by it from here on.
    Open {
        /// Which room.
        room: RoomId,
        /// Which owner.
        life: Life,
        /// Where it stands.
        standing: RoomStanding,
    },
    /// The owner here is not to be believed any more: no join is answered by it, and what it commits from now on is not shown to
    /// anybody, since it may lie behind what a replica shows by then.
    Closed {
        /// Which room.
        room: RoomId,
        /// How the owner ended, or ends.
        end: OwnerEnd,
    },
    /// Begin to show a room that another node owns: its head, as far as is known, is this. Where it was shown already, entries
    /// expired before they could be shown, and whoever reads it has to join again.
    Begin {
        /// Which room.
        room: RoomId,
        /// The ownership.
        epoch: Epoch,
        /// The last committed number.
        head: Seq,
    },
    /// Show these entries of a room that another node owns, the first of which is the one after the last shown.
    Deliver {
        /// Which room.
        room: RoomId,
        /// What.
        entries: Arc<[Entry]>,
    },
    /// The room is not shown here any more.
    Ended {
        /// Which room.
        room: RoomId,
        /// Why: where it has diverged, whoever reads it has to join again.
        reason: replica::StopReason,
    },
    /// Answer a write.
    Answer {
        /// Whom.
        reply: T,
        /// With what.
        answer: Result<Ack, ErrorFrame>,
    },
    /// The hint where a room's log ends lay beyond it and is corrected; to be counted.
    HintCorrected {
        /// Which room.
        room: RoomId,
        /// What it was.
        was: Seq,
    },
    /// Give everybody who reads the room on this node something ephemeral from another one.
    Signal(Signal),
    /// A watch that was sent renews one that another node keeps; to be counted.
    WatchRenewed,
    /// An answer came that fits no write; to be counted.
    Stray,
    /// The node's standing in the cluster has changed.
    Standing(Standing),
    /// The node has given up its rooms and its name: it may end.
    Over,
}
