//! What goes into the forwarding of a room and what comes out: plain data.

use rollcall_protocol::{Ack, DeviceId, ErrorFrame, UserId};

use crate::cluster::NodeRef;
use crate::cluster::envelope::{ForwardedWrite, Submit, SubmitReply};
use crate::room::Rights;

/// A write that is to reach the owner. `T` stands for whoever waits for the answer, which comes exactly once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToForward<T> {
    /// Who waits.
    pub reply: T,
    /// Who writes.
    pub user: UserId,
    /// From which installation.
    pub device: DeviceId,
    /// What the sender's token allows in this room.
    pub rights: Rights,
    /// What is written.
    pub write: ForwardedWrite,
}

/// What happens.
#[derive(Debug, Clone, PartialEq)]
pub enum ForwardInput<T> {
    /// Time has passed.
    Tick,
    /// A connection writes. What one device writes comes in the order in which it was sent.
    Submit(ToForward<T>),
    /// This life of this node owns the room now, or nobody that is known. Said too when a search that was asked for found nobody.
    Owner(Option<NodeRef>),
    /// An answer has come, from the owner or an earlier one.
    Reply(SubmitReply),
    /// A node says that it does not own the room, and has taken none of the writes that it got since it gave the room up.
    NotOwner {
        /// Which one.
        from: NodeRef,
    },
    /// No node can own the room now: what was never sent to one is answered with this.
    Refuse(ErrorFrame),
}

/// The answer to a write, as the client gets it.
pub type ForwardedAnswer = Result<Ack, ErrorFrame>;

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum ForwardEffect<T> {
    /// Send these in one envelope.
    Send {
        /// To whom.
        to: NodeRef,
        /// Writes of one device, in their order; several where its rights have changed between them.
        submits: Vec<Submit>,
    },
    /// Answer.
    Answer {
        /// Whom.
        reply: T,
        /// With what.
        answer: ForwardedAnswer,
    },
    /// Writes wait and nobody is known who owns the room, or who should answers nothing: look for the owner, and say who it is.
    FindOwner,
    /// An answer came that fits no write: to be counted.
    Stray,
}
