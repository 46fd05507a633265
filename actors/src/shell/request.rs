//! Requests: what a connection asks of a room.

use rollcall_protocol::{Body, DeviceId, Epoch, ErrorCode, ErrorFrame, Hash, RoomId, Seq, UserId, WriteOp};

use super::handle::Ask;
use super::inbox::ReplySlot;
use crate::room::{ChangeKind, Rights};

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
    Write(Box<WriteRequest>, ReplySlot),
    Change(Box<ChangeRequest>, ReplySlot),
    Join(Box<JoinRequest>, ReplySlot),
    View(Box<ViewRequest>, ReplySlot),
}

impl Request {
    /// Takes the question back, and the promise with it: nobody has seen either.
    pub fn take_back(self) -> Ask {
        let (ask, reply) = match self {
            Self::Write(write, reply) => (Ask::Write(write), reply),
            Self::Change(change, reply) => (Ask::Change(change), reply),
            Self::Join(join, reply) => (Ask::Join(join), reply),
            Self::View(view, reply) => (Ask::View(view), reply),
        };
        reply.withdraw();
        ask
    }

    /// Takes the promise out, to answer with a refusal.
    pub fn into_reply(self) -> ReplySlot {
        match self {
            Self::Write(_, reply) | Self::Change(_, reply) | Self::Join(_, reply) | Self::View(_, reply) => reply,
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
