//! What goes into a replica and what comes out: plain data.

use std::sync::Arc;

use rollcall_protocol::{Entry, Epoch, Hash, Seq};

use crate::cluster::node::NodeRef;
use crate::ports::{LogError, LogTail};

/// What happens to a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// So many connections of this node have joined the room now.
    Readers(usize),
    /// A reader shows a cursor above the head: either this node is behind, or the reader's history is another.
    Expect(Seq),
    /// Who owns the room, as far as could be found out; asked for by [`Effect::FindOwner`] or not.
    Owner(OwnerAnswer),
    /// A node is dead, or lives another life.
    NodeGone(NodeRef),
    /// The log tells that somebody has taken the room over under this epoch, not by a hand-over.
    TakenOver(Epoch),
    /// An owner sends what comes after `head` from now on.
    Confirmed {
        /// Who.
        from: NodeRef,
        /// Which of our watches it answers.
        number: u64,
        /// The ownership.
        epoch: Epoch,
        /// The last committed number there.
        head: Seq,
        /// The hash of the head.
        hash: Hash,
        /// The first number whose body is still kept.
        floor: Seq,
    },
    /// A node says that it does not own the room, in answer to a watch or because its ownership has ended.
    NotOwner {
        /// Who.
        from: NodeRef,
        /// Who may own it now.
        hint: Option<NodeRef>,
    },
    /// An owner has committed these.
    Batch {
        /// Who.
        from: NodeRef,
        /// Contiguous, of one fence, at least one.
        entries: Arc<[Entry]>,
    },
    /// An owner's beacon names the room.
    Head {
        /// Who.
        from: NodeRef,
        /// The ownership.
        epoch: Epoch,
        /// The last committed number there.
        head: Seq,
    },
    /// Something may have been lost on the way from the owner.
    GapPossible,
    /// The answer to [`Effect::ReadTail`]: where the log ends; none for a room that nobody wrote to.
    Tail {
        /// That of the read.
        read: u64,
        /// What the log says.
        result: Result<Option<LogTail>, LogError>,
    },
    /// The answer to [`Effect::ReadEntries`].
    Entries {
        /// That of the read.
        read: u64,
        /// What the log says: from the first that was asked for, without a gap; perhaps fewer than asked for.
        result: Result<Vec<Entry>, LogError>,
    },
    /// Time has passed.
    Tick,
}

/// Who owns a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnerAnswer {
    /// A node that lives.
    Owned {
        /// Which.
        by: NodeRef,
        /// Under which epoch, as far as is known.
        epoch: Epoch,
    },
    /// Nobody; this node should.
    Nobody {
        /// The node that the room prefers.
        preferred: NodeRef,
    },
    /// It cannot be found out now.
    Unknown,
}

/// What a replica wants to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Find out who owns the room, and give an [`Input::Owner`].
    FindOwner,
    /// Watch the room at this node, or renew the watch.
    Watch {
        /// At which node.
        at: NodeRef,
        /// To be repeated by the confirmation.
        number: u64,
    },
    /// End the watch at this node.
    Unwatch {
        /// At which node.
        at: NodeRef,
        /// The last that was sent there.
        number: u64,
    },
    /// Ask this node to activate the room, which nobody owns.
    AskToActivate(NodeRef),
    /// This node should own the room: activate it here.
    Promote,
    /// Ask the log where the room ends.
    ReadTail {
        /// To be repeated by the answer.
        read: u64,
    },
    /// Read entries from the log.
    ReadEntries {
        /// To be repeated by the answer.
        read: u64,
        /// Entries after this number.
        after: Seq,
        /// Up to and with this number.
        through: Seq,
    },
    /// Begin to show the room: its head, as far as is known, is this. Where the room was shown already, entries expired before they
    /// could be shown, and whoever reads it has to join again.
    Begin {
        /// The ownership.
        epoch: Epoch,
        /// The last committed number.
        head: Seq,
    },
    /// Show these entries, the first of which is the one after the last shown; at least one.
    Deliver(Arc<[Entry]>),
    /// Give an [`Input::Tick`] at this time, in milliseconds; the one asked for before is not needed any more.
    ArmTimer(u64),
    /// The room is over here; nothing is answered any more.
    Stop(StopReason),
}

/// Why a room is over on a node that showed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// Nobody has read it for a while.
    Idle,
    /// What was shown is not what the log has, or does not build on it. Operators are told; whoever reads it joins again, and
    /// learns by the hash whether what it has is good.
    Diverged,
}
