//! A desk: where a test asks a room as one device, and gets its answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rollcall_actors::room::{Answer, ChangeKind, Refusal, Rights};
use rollcall_actors::shell::{
    Ask, Asker, ChangeRequest, Directory, Inbox, JoinRequest, Reply, RoomView, Subscribed, ViewRequest, WriteRequest,
};
use rollcall_protocol::{Ack, Body, DeviceId, ErrorFrame, Hash, RoomId, Seq, UserId, WriteOp};

use super::node::{Node, in_time, room};

pub const MAY_ALL: Rights = Rights { read: true, write: true, moderate: true };

/// A device's place at a room. Every answer is taken once; a second one to the same question fails the test.
pub struct Desk {
    pub directory: Directory,
    pub room: RoomId,
    pub user: UserId,
    pub device: DeviceId,
    pub rights: Rights,
    pub inbox: Arc<Inbox>,
    asked: u64,
    answered: BTreeSet<u64>,
    answers: BTreeMap<u64, Reply>,
}

impl Desk {
    /// A user's first device, at a room.
    pub fn at(node: &Node, room_name: &str, user: &str) -> Self {
        Self {
            directory: node.directory.clone(),
            room: room(room_name),
            user: UserId::parse(user).unwrap(),
            device: DeviceId::parse("phone").unwrap(),
            rights: MAY_ALL,
            inbox: Inbox::new(),
            asked: 0,
            answered: BTreeSet::new(),
            answers: BTreeMap::new(),
        }
    }

    /// Asks, and returns the question's number.
    pub fn ask(&mut self, ask: Ask) -> u64 {
        self.asked += 1;
        let asker = Asker { inbox: Arc::clone(&self.inbox), id: self.asked, began: Instant::now() };
        self.directory.ask(&self.room, ask, &asker);
        self.asked
    }

    /// Asks for a write.
    pub fn ask_write(&mut self, n: u64, op: WriteOp, target: Option<u64>, text: Option<&str>) -> u64 {
        let write = WriteRequest {
            user: self.user.clone(),
            device: self.device.clone(),
            n,
            prev: n.saturating_sub(1),
            since: Seq::ZERO,
            op,
            target: target.map(Seq::new),
            body: text.map(|text| Body::text(text).unwrap()),
            rights: self.rights,
        };
        self.ask(Ask::Write(Box::new(write)))
    }

    pub fn send(&mut self, n: u64, text: &str) -> u64 {
        self.ask_write(n, WriteOp::Send, None, Some(text))
    }

    pub fn edit(&mut self, n: u64, target: u64, text: &str) -> u64 {
        self.ask_write(n, WriteOp::Edit, Some(target), Some(text))
    }

    pub fn redact(&mut self, n: u64, target: u64) -> u64 {
        self.ask_write(n, WriteOp::Redact, Some(target), None)
    }

    pub fn ask_join(&mut self, after: Option<u64>, hash: Option<Hash>) -> u64 {
        let join = JoinRequest {
            user: self.user.clone(),
            device: self.device.clone(),
            rights: self.rights,
            after: after.map(Seq::new),
            hash,
        };
        self.ask(Ask::Join(Box::new(join)))
    }

    pub fn ask_change(&mut self, what: ChangeKind) -> u64 {
        self.ask(Ask::Change(Box::new(ChangeRequest { user: self.user.clone(), what })))
    }

    pub fn ask_view(&mut self) -> u64 {
        self.ask(Ask::View(Box::new(ViewRequest { user: self.user.clone(), rights: self.rights })))
    }

    /// Waits for the answer to a question.
    pub async fn reply(&mut self, id: u64) -> Reply {
        // Some answers are there at once; who asks again and again must not keep the rooms from running.
        tokio::task::yield_now().await;
        loop {
            self.collect();
            if let Some(reply) = self.answers.remove(&id) {
                return reply;
            }
            in_time(self.inbox.rung()).await;
        }
    }

    /// Waits for the answer to a write or a change.
    pub async fn answer(&mut self, id: u64) -> Answer {
        match self.reply(id).await {
            Reply::Write { answer, .. } => answer,
            other => panic!("not an answer to a write: {other:?}"),
        }
    }

    /// Waits for the answer to a write, whoever gives it.
    pub async fn outcome(&mut self, id: u64) -> Result<Ack, ErrorFrame> {
        match self.reply(id).await {
            Reply::Write { answer, .. } => answer.map_err(|refusal| refusal.to_frame(true)),
            Reply::Forwarded { answer, .. } => answer,
            other => panic!("not an answer to a write: {other:?}"),
        }
    }

    /// Sends, again as long as the answer is that it should be, and waits for the number.
    pub async fn persist(&mut self, n: u64, text: &str) -> Ack {
        loop {
            let id = self.send(n, text);
            match self.outcome(id).await {
                Ok(ack) => return ack,
                Err(error) if error.retryable => {
                    let pause = Duration::from_millis(error.retry_after_ms.unwrap_or(0).max(1));
                    tokio::time::sleep(pause).await; // pace: as the room asked for
                }
                Err(error) => panic!("n {n} is refused: {error:?}"),
            }
        }
    }

    /// Waits for the answer to a write, which is that it has a number.
    pub async fn ack(&mut self, id: u64) -> Ack {
        self.answer(id).await.unwrap()
    }

    /// Waits for the answer to a write, which is a refusal that passes.
    pub async fn retryable(&mut self, id: u64) -> Refusal {
        let refusal = self.answer(id).await.unwrap_err();
        let frame = refusal.to_frame(true);
        assert!(frame.retryable && !frame.is_final && frame.retry_after_ms.is_some(), "{frame:?}");
        refusal
    }

    /// Waits for the answer to a join.
    pub async fn joined(&mut self, id: u64) -> Result<Subscribed, ErrorFrame> {
        match self.reply(id).await {
            Reply::Joined(answer) => *answer,
            other => panic!("not an answer to a join: {other:?}"),
        }
    }

    /// Sends, and waits for the number.
    pub async fn write(&mut self, n: u64, text: &str) -> Ack {
        let id = self.send(n, text);
        self.ack(id).await
    }

    /// Sends, as often as the room cannot be activated, and waits for the number.
    pub async fn write_when_activated(&mut self, n: u64, text: &str) -> Ack {
        loop {
            let id = self.send(n, text);
            match self.answer(id).await {
                Err(Refusal::NotActivated { retry_after_ms }) => {
                    tokio::time::sleep(Duration::from_millis(retry_after_ms)).await; // pace: as the room asked for
                }
                answer => return answer.unwrap(),
            }
        }
    }

    /// Sends n = `first` to `last`, one after the other, each with its n as its text.
    pub async fn write_all(&mut self, first: u64, last: u64) {
        for n in first..=last {
            self.write(n, &n.to_string()).await;
        }
    }

    /// Looks at the room.
    pub async fn view(&mut self) -> RoomView {
        let id = self.ask_view();
        match self.reply(id).await {
            Reply::View(answer) => answer.unwrap().view,
            other => panic!("not a view: {other:?}"),
        }
    }

    /// Returns how many questions have no answer yet.
    pub fn unanswered(&mut self) -> usize {
        self.collect();
        usize::try_from(self.asked).unwrap() - self.answered.len()
    }

    fn collect(&mut self) {
        for (id, reply) in self.inbox.take().answers {
            assert!(self.answered.insert(id), "question {id} was answered twice");
            self.answers.insert(id, reply);
        }
    }
}

pub fn ack(seq: u64) -> Ack {
    Ack { seq: Seq::new(seq), duplicate: false }
}

pub fn duplicate(seq: u64) -> Ack {
    Ack { seq: Seq::new(seq), duplicate: true }
}
