//! Envelopes: what nodes say to one another.
//!
//! An envelope is carried at most once, in any order, by a server that both nodes trust with availability alone: whatever comes out
//! of one was checked, and what cannot be read is an error and never a panic. On the wire: one byte of format version, then
//! MessagePack without field names. Several payloads share an envelope when they go to one node at the same moment: a committed
//! batch takes that node's replies along.

use std::sync::Arc;

use bytes::Bytes;
use rollcall_protocol::{
    Ack, Body, DeviceId, Entry, Epoch, ErrorFrame, Hash, OwnerId, RoomId, Seq, Signal, UserId, WriteOp, limits,
};

use super::node::{Incarnation, NodeRef};
use super::wire;
use crate::ports::Fence;
use crate::room::Rights;

/// The format that this version writes, and the only one that it reads.
pub const ENVELOPE_FORMAT: u8 = 1;

/// Size of an envelope, in bytes: the largest batch with its replies, or a few of the largest bodies.
pub const ENVELOPE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Rooms that one beacon names; a node that has more to tell sends several in a row.
pub const BEACON_ROOMS_MAX: usize = 8 * 1024;

/// What a forwarded write costs besides its body, in bytes.
const WRITE_BYTES: usize = 128;

/// What one node sends to another at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// Who sends.
    pub from: NodeRef,
    /// Who is meant: in another life of that node it is dropped.
    pub to: NodeRef,
    /// What is said, in this order.
    pub payloads: Vec<Payload>,
}

/// One thing that is said.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// To a room's owner: write this.
    Submit(Submit),
    /// The answer to one write of a submit.
    SubmitReply(SubmitReply),
    /// To a room's owner: send its batches from now on. Renewed in the same words.
    Watch(Watch),
    /// The answer: from now on.
    WatchConfirmed(WatchConfirmed),
    /// The answer to a watch or a submit, or said to all who watch when an ownership ends: this node does not own the room.
    NotOwner {
        /// Which room.
        room: RoomId,
        /// Who may own it now.
        hint: Option<NodeRef>,
    },
    /// To a room's owner: send no more of it. Numbered as the watch that it ends, so that it ends none that came after.
    Unwatch(Watch),
    /// From a room's owner: these were committed.
    Batch(Batch),
    /// From a node that is watched, every 500 ms: this much there should be.
    Beacon(Beacon),
    /// To the node that a room prefers: somebody wants to read it and nobody owns it.
    Activate(RoomId),
    /// From an owner that has drained a room, to the node that is to be the next: its fence can be taken, and nobody need be told.
    HandOver {
        /// Which room.
        room: RoomId,
        /// The fence under which nothing more is written.
        fence: Fence,
    },
    /// To a room's owner: may this user join or look at the room, and where does it stand?
    Question(Question),
    /// The answer to a question.
    Told(Told),
    /// To the owner of a room that is shown here: somebody has read this entry, and it is not what was written. Said again as long as it is
    /// read so.
    Damaged {
        /// In which room.
        room: RoomId,
        /// Which entry.
        entry: Seq,
    },
    /// To a room's owner and from it: something ephemeral, for everybody who reads the room. It may be lost.
    Signal(Signal),
}

/// Writes of one device to one room, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Submit {
    /// What each reply repeats.
    pub correlation: Correlation,
    /// To which room.
    pub room: RoomId,
    /// Who writes.
    pub user: UserId,
    /// From which installation.
    pub device: DeviceId,
    /// What the sender's token, which the sending node has verified, allows in this room.
    pub rights: Rights,
    /// At least one.
    pub writes: Vec<ForwardedWrite>,
}

impl Submit {
    /// Returns the size that counts against bounds, in bytes.
    pub fn weight_bytes(&self) -> usize {
        self.writes.iter().map(ForwardedWrite::weight_bytes).sum()
    }
}

/// Names a submit: a counter of the life of the node that sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Correlation {
    /// Whose counter.
    pub incarnation: Incarnation,
    /// From 1.
    pub counter: u64,
}

/// One write on its way to the owner, who looks for its target itself as it does for its own connections: whether that was redacted
/// is known there alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ForwardedWrite {
    /// The device's own counter of writes to the room, from 1.
    pub n: u64,
    /// The device's last accepted n.
    pub prev: u64,
    /// A head of the room that the device saw before it first wrote there.
    pub since: Seq,
    /// What the write does.
    pub op: WriteOp,
    /// What it is about.
    pub target: Option<Seq>,
    /// What is said.
    pub body: Option<Body>,
}

impl ForwardedWrite {
    /// Returns the size that counts against bounds, in bytes.
    pub fn weight_bytes(&self) -> usize {
        WRITE_BYTES + self.body.as_ref().map_or(0, |body| body.as_str().len())
    }
}

/// What became of one write. Names all that the asker compares before it believes it.
#[derive(Debug, Clone, PartialEq)]
pub struct SubmitReply {
    /// That of the submit.
    pub correlation: Correlation,
    /// To which room it was written.
    pub room: RoomId,
    /// By whom.
    pub user: UserId,
    /// From which installation.
    pub device: DeviceId,
    /// The device's counter.
    pub n: u64,
    /// The answer. A refusal is marked final only where every copy of the write is refused; what else is final the sending node
    /// knows, from how many copies it sent.
    pub result: Result<Ack, ErrorFrame>,
}

/// What somebody on another node wants to know of a room before reading it there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// What the answer repeats.
    pub correlation: Correlation,
    /// Which room.
    pub room: RoomId,
    /// Who asks.
    pub user: UserId,
    /// What the asker's token, which the sending node has verified, allows in this room.
    pub rights: Rights,
    /// From where the asker wants to follow the room; none where it is only looked at.
    pub join: Option<JoinFrom>,
}

/// From where a device wants to follow a room.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JoinFrom {
    /// Which installation.
    pub device: DeviceId,
    /// The last entry that it has; none: begin at the head.
    pub after: Option<Seq>,
    /// The hash of that entry, if it knows it.
    pub hash: Option<Hash>,
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// That of the question.
    pub correlation: Correlation,
    /// Which room.
    pub room: RoomId,
    /// How the room stands, or why that is not told.
    pub result: Result<RoomFacts, ErrorFrame>,
}

/// How a room stands at its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RoomFacts {
    /// The ownership.
    pub epoch: Epoch,
    /// The last committed number.
    pub head: Seq,
    /// The first number whose body is still kept.
    pub floor: Seq,
    /// The hash of the head.
    pub hash: Hash,
    /// The hash of the entry before the floor.
    pub floor_hash: Hash,
    /// The asking device's last accepted n, 0 if it has none or does not join.
    pub last_n: u64,
}

/// A watch of one room, by the node that sends it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Watch {
    /// Which room.
    pub room: RoomId,
    /// Grows with each watch and renewal that the node sends for this room.
    pub number: u64,
}

/// A room's owner sends everything after `head` from now on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WatchConfirmed {
    /// Which room.
    pub room: RoomId,
    /// That of the watch.
    pub number: u64,
    /// The ownership.
    pub epoch: Epoch,
    /// The last committed number.
    pub head: Seq,
    /// The hash of the head.
    pub hash: Hash,
    /// The first number whose body is still kept.
    pub floor: Seq,
}

/// A committed batch, all of it under one fence.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Batch {
    /// Of which room.
    pub room: RoomId,
    /// At least one, without a gap.
    pub entries: Arc<[Entry]>,
}

impl Batch {
    /// Makes a batch of what was committed together.
    ///
    /// # Panics
    /// Where there are no entries, or they are not contiguous and of one fence: no owner commits such.
    pub fn new(room: RoomId, entries: Arc<[Entry]>) -> Self {
        assert!(!entries.is_empty() && entries.len() <= limits::BATCH_ENTRIES_MAX, "a batch has 1 to 256 entries");
        let fits = |pair: &[Entry]| {
            pair[0].seq.next() == pair[1].seq && (pair[0].epoch, pair[0].owner) == (pair[1].epoch, pair[1].owner)
        };
        assert!(entries.windows(2).all(fits), "a batch is contiguous and of one fence");
        Self { room, entries }
    }

    /// Returns the ownership under which it was committed.
    pub fn epoch(&self) -> Epoch {
        self.entries[0].epoch
    }

    /// Returns the activation that committed it.
    pub fn owner(&self) -> OwnerId {
        self.entries[0].owner
    }

    /// Returns the first entry's number.
    pub fn first(&self) -> Seq {
        self.entries[0].seq
    }
}

/// How far the rooms are that one node watches at another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Beacon {
    /// One more than that of the beacon before it to the same node.
    pub number: u64,
    /// Rooms that were lately appended to; all that are watched, after the sender could not send for a while.
    pub heads: Vec<RoomHead>,
    /// Rooms that lately ceased to be owned by the sender.
    pub released: Vec<RoomId>,
}

/// How far a room is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomHead {
    /// Which room.
    pub room: RoomId,
    /// Under which ownership.
    pub epoch: Epoch,
    /// The last committed number.
    pub head: Seq,
}

/// Why bytes are no envelope, or payloads cannot become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// More bytes than any envelope has.
    #[error("an envelope has at most {ENVELOPE_BYTES_MAX} bytes, not {bytes}")]
    TooLarge {
        /// How many.
        bytes: usize,
    },
    /// Written by a version of rollcall that this one cannot read; the room is read from the log meanwhile.
    #[error("the envelope's format is {found}, not {ENVELOPE_FORMAT}")]
    Format {
        /// The version on the envelope.
        found: u8,
    },
    /// Not what any version writes.
    #[error("the envelope is malformed: {0}")]
    Malformed(&'static str),
}

impl Envelope {
    /// Writes the envelope.
    ///
    /// # Errors
    /// Where it would be too large.
    pub fn encode(&self) -> Result<Bytes, EnvelopeError> {
        let payloads: Vec<Bytes> = self.payloads.iter().map(Payload::encode).collect();
        seal(&self.from, &self.to, &payloads)
    }

    /// Reads an envelope.
    ///
    /// # Errors
    /// Where the bytes are no envelope of this format; whatever they are, it does not panic, and allocates no more than a few times
    /// their size.
    pub fn decode(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        if bytes.len() > ENVELOPE_BYTES_MAX {
            return Err(EnvelopeError::TooLarge { bytes: bytes.len() });
        }
        match bytes.split_first() {
            None => Err(EnvelopeError::Malformed("it is empty")),
            Some((&ENVELOPE_FORMAT, rest)) => wire::read_envelope(rest).map_err(EnvelopeError::Malformed),
            Some((&found, _)) => Err(EnvelopeError::Format { found }),
        }
    }

    /// Tells whether it is for this node in its present life.
    pub fn is_for(&self, me: &NodeRef) -> bool {
        self.to == *me
    }
}

impl Payload {
    /// Writes the payload alone, once for all nodes that it goes to.
    pub fn encode(&self) -> Bytes {
        wire::write_payload(self).into()
    }
}

/// Puts payloads that were written before into one envelope.
///
/// # Errors
/// Where it would be too large.
pub fn seal(from: &NodeRef, to: &NodeRef, payloads: &[Bytes]) -> Result<Bytes, EnvelopeError> {
    let mut bytes = vec![ENVELOPE_FORMAT];
    wire::write_envelope(&mut bytes, from, to, payloads);
    if bytes.len() > ENVELOPE_BYTES_MAX {
        return Err(EnvelopeError::TooLarge { bytes: bytes.len() });
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests;
