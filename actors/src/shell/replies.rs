//! Who waits for an owner's answer: a connection of this node, or another node that asks for one of its own. Each is answered exactly
//! once, also by being dropped.

use rollcall_protocol::ErrorFrame;

use super::admission::Permit;
use super::cluster::Cluster;
use super::inbox::ReplySlot;
use crate::cluster::node_core::{Life, NodeInput, OwnerEvent, RemoteWriter};
use crate::cluster::{NodeRef, Question, RoomFacts, SubmitReply};
use crate::room::{Answer, Refusal};

/// Who waits for what becomes of a write.
#[derive(Debug)]
pub enum WriteReply {
    /// A connection of this node.
    Here(ReplySlot),
    /// A node that forwards.
    There(Forwarded),
}

/// A write that another node has forwarded, or this one before the room was open here.
#[derive(Debug)]
pub struct Forwarded {
    writer: Option<Box<RemoteWriter>>,
    life: Life,
    cluster: Cluster,
    /// Held until the answer is given.
    _permit: Option<Permit>,
}

impl WriteReply {
    /// Answers by itself, not together with others.
    pub fn refuse(self, refusal: Refusal) {
        match self {
            Self::Here(reply) => reply.refuse(refusal),
            Self::There(forwarded) => forwarded.refuse(refusal),
        }
    }
}

impl Forwarded {
    /// Promises an answer to a writer, by the owner `life` of its room.
    pub fn new(writer: Box<RemoteWriter>, life: Life, cluster: Cluster, permit: Option<Permit>) -> Self {
        Self { writer: Some(writer), life, cluster, _permit: permit }
    }

    /// Makes the answer, which the caller sends.
    pub fn reply(mut self, answer: Answer) -> (NodeRef, SubmitReply) {
        self.writer.take().expect("it is taken once").reply(answer)
    }

    /// Answers by itself.
    pub fn refuse(mut self, refusal: Refusal) {
        self.answer(refusal);
    }

    fn answer(&mut self, refusal: Refusal) {
        if let Some(writer) = self.writer.take() {
            let room = writer.room.clone();
            let event = OwnerEvent::Replied(vec![writer.reply(Err(refusal))]);
            self.cluster.tell(NodeInput::Owner { room, life: self.life, event });
        }
    }
}

impl Drop for Forwarded {
    fn drop(&mut self) {
        self.answer(Refusal::OutcomeUnknown);
    }
}

/// Who waits for how a room stands, to read it.
#[derive(Debug)]
pub enum ReadReply {
    /// A connection of this node.
    Here(ReplySlot),
    /// Another node.
    There(Asked),
}

/// A question that another node has asked.
#[derive(Debug)]
pub struct Asked {
    question: Option<Box<(NodeRef, Question)>>,
    cluster: Cluster,
    /// Held until the answer is given.
    _permit: Permit,
}

impl ReadReply {
    /// Answers that it is to be asked again.
    pub fn refuse(self, refusal: Refusal) {
        match self {
            Self::Here(reply) => reply.refuse(refusal),
            Self::There(asked) => asked.tell(Err(refusal.to_frame(true))),
        }
    }

    /// Answers why not.
    pub fn fail(self, error: ErrorFrame) {
        match self {
            Self::Here(reply) => reply.fail(error),
            Self::There(asked) => asked.tell(Err(error)),
        }
    }
}

impl Asked {
    /// Promises an answer.
    pub fn new(from: NodeRef, question: Question, cluster: Cluster, permit: Permit) -> Self {
        Self { question: Some(Box::new((from, question))), cluster, _permit: permit }
    }

    /// Answers.
    pub fn tell(mut self, result: Result<RoomFacts, ErrorFrame>) {
        self.answer(result);
    }

    fn answer(&mut self, result: Result<RoomFacts, ErrorFrame>) {
        if let Some(question) = self.question.take() {
            let (to, question) = *question;
            self.cluster.tell(NodeInput::Answered { to, question, result });
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.answer(Err(Refusal::Unavailable("the room is being recovered".to_owned()).to_frame(true)));
    }
}
