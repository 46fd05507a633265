//! A write event in short: names are numbers, nothing is lost.

use crate::anomaly::Evidence;
use crate::chain::NO_BODY;
use crate::event::{Event, Op, Outcome, WriteEvent};
use crate::names::{ConnIx, NameIx, Names, Sender};

#[derive(Debug)]
pub(crate) struct WriteRecord {
    pub(crate) sender: Sender,
    pub(crate) n: u64,
    pub(crate) t_invoke: u64,
    pub(crate) t_return: u64,
    /// `NO_BODY` if it has none.
    pub(crate) body_hash: [u8; 32],
    /// 0 if it was not given.
    pub(crate) target: u64,
    /// 0 if it was not given, which no entry has.
    pub(crate) seq: u64,
    /// 0 if it was not given.
    pub(crate) epoch: u64,
    pub(crate) op: Op,
    pub(crate) outcome: Outcome,
    conn: ConnIx,
    node: NameIx,
}

impl WriteRecord {
    pub(crate) fn new(event: &WriteEvent, conn: ConnIx, names: &mut Names) -> Self {
        Self {
            sender: names.sender(&event.user, &event.device),
            n: event.n,
            t_invoke: event.t_invoke,
            t_return: event.t_return,
            body_hash: event.body_hash.unwrap_or(NO_BODY),
            target: event.target.unwrap_or(0),
            seq: event.seq.unwrap_or(0),
            epoch: event.epoch.unwrap_or(0),
            op: event.op,
            outcome: event.outcome,
            conn,
            node: names.name(&event.node),
        }
    }

    /// Whether two writes with the same key are attempts of the same write.
    pub(crate) fn has_content_of(&self, other: &Self) -> bool {
        self.op == other.op && self.body_hash == other.body_hash && self.target == other.target
    }

    pub(crate) fn evidence(&self, room: &str, names: &Names) -> Evidence {
        let given = |number: u64| (number != 0).then_some(number);
        Evidence::Event(Event::Write(WriteEvent {
            op: self.op,
            t_invoke: self.t_invoke,
            t_return: self.t_return,
            conn: names.of_conn(self.conn).to_owned(),
            node: names.of(self.node).to_owned(),
            room: room.to_owned(),
            user: names.of(self.sender.user).to_owned(),
            device: names.of(self.sender.device).to_owned(),
            n: self.n,
            target: given(self.target),
            body_hash: (self.body_hash != NO_BODY).then_some(self.body_hash),
            outcome: self.outcome,
            seq: given(self.seq),
            epoch: given(self.epoch),
        }))
    }
}
