//! Requests: what a connection asks of a room.

use rollcall_protocol::{Body, DeviceId, Epoch, ErrorCode, ErrorFrame, Hash, RoomId, Seq, UserId, WriteOp};

use super::handle::Ask;
use super::inbox::ReplySlot;
use super::replies::{ReadReply, WriteReply};
use crate::cluster::RoomFacts;
use crate::room::{ChangeKind, Refusal, Rights};

/// A device's write, before its target was looked up.
#[derive(Debug, Clone)]
pub struct WriteRequest {
    /// Who writes.
    pub user: UserId,
    /// From which installation.
    pub device: DeviceId,
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
    /// What the sender's token allows in this room.
    pub rights: Rights,
}

impl WriteRequest {
    /// Returns the size that counts against the room's queue, in bytes.
    pub fn weight_bytes(&self) -> usize {
        self.body.as_ref().map_or(0, |body| body.as_str().len())
    }
}

/// An entry that the server wants to be written.
#[derive(Debug, Clone)]
pub struct ChangeRequest {
    /// In whose name.
    pub user: UserId,
    /// What changes.
    pub what: ChangeKind,
}

/// A subscription to a room.
#[derive(Debug, Clone)]
pub struct JoinRequest {
    /// Who joins.
    pub user: UserId,
    /// From which installation.
    pub device: DeviceId,
    /// What the token allows in this room.
    pub rights: Rights,
    /// The last entry that the client has; none: begin at the head.
    pub after: Option<Seq>,
    /// The hash of that entry, if the client knows it.
    pub hash: Option<Hash>,
}

/// A question about a room.
#[derive(Debug, Clone)]
pub struct ViewRequest {
    /// Who asks.
    pub user: UserId,
    /// What the token allows in this room.
    pub rights: Rights,
}

/// A request with the promise of its answer.
#[derive(Debug)]
pub(super) enum Request {
    Write(Box<WriteRequest>, WriteReply),
    Change(Box<ChangeRequest>, ReplySlot),
    Join(Box<JoinRequest>, ReadReply),
    View(Box<ViewRequest>, ReadReply),
}

impl Request {
    /// Makes the request of a connection of this node.
    pub fn new(ask: Ask, reply: ReplySlot) -> Self {
        match ask {
            Ask::Write(write) => Self::Write(write, WriteReply::Here(reply)),
            Ask::Change(change) => Self::Change(change, reply),
            Ask::Join(join) => Self::Join(join, ReadReply::Here(reply)),
            Ask::View(view) => Self::View(view, ReadReply::Here(reply)),
        }
    }

    /// Takes the question and the promise of a connection of this node apart again; none of another node's, which is answered.
    pub fn take_apart(self) -> Option<(Ask, ReplySlot)> {
        match self {
            Self::Write(write, WriteReply::Here(reply)) => Some((Ask::Write(write), reply)),
            Self::Change(change, reply) => Some((Ask::Change(change), reply)),
            Self::Join(join, ReadReply::Here(reply)) => Some((Ask::Join(join), reply)),
            Self::View(view, ReadReply::Here(reply)) => Some((Ask::View(view), reply)),
            Self::Write(_, WriteReply::There(_))
            | Self::Join(_, ReadReply::There(_))
            | Self::View(_, ReadReply::There(_)) => None,
        }
    }

    /// Answers with a refusal.
    pub fn refuse(self, refusal: Refusal) {
        match self {
            Self::Write(_, reply) => reply.refuse(refusal),
            Self::Change(_, reply) => reply.refuse(refusal),
            Self::Join(_, reply) | Self::View(_, reply) => reply.refuse(refusal),
        }
    }
}

/// A room as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomView {
    /// The room's name.
    pub room: RoomId,
    /// The ownership under which it is numbered.
    pub epoch: Epoch,
    /// The last committed number.
    pub head: Seq,
    /// The first number whose body is still kept.
    pub floor: Seq,
    /// The hash of the head.
    pub hash: Hash,
    /// The hash of the entry before the floor.
    pub floor_hash: Hash,
}

impl RoomView {
    /// Shows a room as it stands.
    pub(super) fn new(room: RoomId, facts: RoomFacts) -> Self {
        let RoomFacts { epoch, head, floor, hash, floor_hash, .. } = facts;
        Self { room, epoch, head, floor, hash, floor_hash }
    }
}

/// Returns the error for a reader that asks for entries after `cursor` and below the floor.
pub fn expired(cursor: Seq, floor: Seq) -> ErrorFrame {
    ErrorFrame::new(ErrorCode::Expired, format!("entries before {floor} have expired"))
        .detail("from", cursor.next().get())
        .detail("to", floor.previous().get())
}

/// Returns the error for a cursor that does not lie on the room's history.
pub fn diverged(cursor: Seq, head: Seq) -> ErrorFrame {
    ErrorFrame::new(ErrorCode::Diverged, "the cursor does not lie on this room's history")
        .detail("after", cursor.get())
        .detail("head", head.get())
}
