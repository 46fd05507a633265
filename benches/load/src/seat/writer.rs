//! A seat's writes: numbered, sent, and sent again in their order until each has its final answer.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::rc::Rc;

use anyhow::{bail, ensure};
use rollcall_checker::{Op as RecordedOp, Outcome, WriteEvent};
use rollcall_protocol::{Ack, Command, ErrorCode, ErrorFrame, Op, RoomId, Welcome, Write, WriteOp, limits};

use crate::history::Place;
use crate::link::Link;
use crate::payload::Payload;
use crate::run::{Run, count};

use super::board::Order;

/// A write that leaves later than this after it was due is counted as late, in µs.
const LATE_US: u64 = 1_000;

/// How long to wait before writes that were not taken are sent again, where the server does not say, in µs.
const RETRY_US: u64 = 20_000;

/// How often one write is sent again before the seat gives up.
const RETRIES_MAX: u32 = 1_000;

/// The writes of one device to one room.
pub struct Writer {
    run: Rc<Run>,
    room: RoomId,
    body_bytes: usize,
    /// The number of the command of write n is this plus n.
    id_base: u64,
    n: u64,
    /// In ascending order of n.
    unanswered: VecDeque<Unanswered>,
    /// Copies whose answers have not come.
    answers_due: usize,
    /// When to send all of them again, in µs: once all answers to the copies before have come.
    resend_at_us: Option<u64>,
    /// What is recorded of a write; the fields that differ are put in for each.
    event: WriteEvent,
}

struct Unanswered {
    n: u64,
    due_us: u64,
    sent_us: u64,
    payload: Payload,
    retries: u32,
}

impl Writer {
    /// Begins with n = 1: the device is new to the room. The commands of its writes are numbered from `id_base` + 1 on.
    pub fn new(run: Rc<Run>, room: RoomId, place: &Place, welcome: &Welcome, body_bytes: usize, id_base: u64) -> Self {
        let event = WriteEvent {
            op: RecordedOp::Send,
            t_invoke: 0,
            t_return: 0,
            conn: place.conn.clone(),
            node: "server".to_owned(),
            room: place.room.clone(),
            user: welcome.user.as_str().to_owned(),
            device: welcome.device.as_str().to_owned(),
            n: 0,
            target: None,
            body_hash: None,
            outcome: Outcome::Unknown,
            seq: None,
            epoch: None,
        };
        Self {
            run,
            room,
            body_bytes,
            id_base,
            n: 0,
            unanswered: VecDeque::new(),
            answers_due: 0,
            resend_at_us: None,
            event,
        }
    }

    /// Tells whether another write may be sent: at most 64 are unanswered, and none waits to be sent again.
    pub fn has_room(&self) -> bool {
        self.unanswered.len() < limits::UNANSWERED_WRITES_MAX && self.resend_at_us.is_none()
    }

    /// Returns how many writes have no final answer.
    pub fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// Returns when writes are to be sent again, in µs.
    pub fn resend_at_us(&self) -> Option<u64> {
        self.resend_at_us.filter(|_| self.answers_due == 0)
    }

    /// Queues the next write on the connection.
    ///
    /// # Errors
    /// Where the connection has ended.
    pub fn send(&mut self, link: &mut Link, order: Order) -> anyhow::Result<()> {
        let sent_us = self.run.clock.now_us();
        let due_us = match order {
            Order::Due(due_us) => due_us,
            Order::Now => sent_us,
        };
        self.n += 1;
        let payload = Payload::make(self.body_bytes, &self.event.conn, self.n, due_us);
        let tally = &self.run.tally;
        count(&tally.sent_all);
        if tally.in_window(sent_us) {
            count(&tally.sent);
            if sent_us.saturating_sub(due_us) > LATE_US {
                count(&tally.late);
            }
        }
        self.unanswered.push_back(Unanswered { n: self.n, due_us, sent_us, payload, retries: 0 });
        let newest = self.unanswered.len() - 1;
        self.feed(link, newest)
    }

    /// Sends all unanswered writes again, in their order.
    ///
    /// # Errors
    /// Where the connection has ended, or a write was tried too often.
    pub fn resend(&mut self, link: &mut Link) -> anyhow::Result<()> {
        self.resend_at_us = None;
        for place in 0..self.unanswered.len() {
            let write = &mut self.unanswered[place];
            write.retries += 1;
            ensure!(write.retries <= RETRIES_MAX, "write {} was not taken {RETRIES_MAX} times", write.n);
            count(&self.run.tally.retried);
            self.feed(link, place)?;
        }
        Ok(())
    }

    /// Learns that a command succeeded. Returns the number of the entry if that settles a write.
    pub fn acked(&mut self, id: u64, ack: Ack) -> Option<u64> {
        self.answers_due = self.answers_due.saturating_sub(1);
        let place = self.place_of(id)?;
        let write = self.unanswered.remove(place)?;
        let now_us = self.run.clock.now_us();
        let tally = &self.run.tally;
        count(&tally.acked_all);
        if tally.in_window(now_us) {
            count(&tally.acked);
        }
        if tally.in_window(write.due_us) {
            tally.ack.borrow_mut().record_us(now_us.saturating_sub(write.due_us));
        }
        if write.retries > 0 {
            count(&tally.unknown);
            if ack.duplicate {
                count(&tally.unknown_stored);
            }
        }
        self.record(&write, Outcome::Ok, Some(ack.seq.get()), now_us);
        Some(ack.seq.get())
    }

    /// Learns that a command failed. One that may succeed later is sent again, with all that followed it.
    ///
    /// # Errors
    /// Where the refusal is for good: the seat cannot go on.
    pub fn failed(&mut self, id: u64, error: &ErrorFrame) -> anyhow::Result<()> {
        self.answers_due = self.answers_due.saturating_sub(1);
        let Some(place) = self.place_of(id) else { return Ok(()) };
        let now_us = self.run.clock.now_us();
        // A write that was not taken makes those after it come too early.
        let is_early = error.code == ErrorCode::OutOfOrder && place > 0;
        if error.retryable || is_early || (error.code == ErrorCode::OutOfOrder && self.resend_at_us.is_some()) {
            let wait_us = error.retry_after_ms.map_or(RETRY_US, |ms| ms.saturating_mul(1_000));
            self.resend_at_us = self.resend_at_us.max(Some(now_us.saturating_add(wait_us)));
            return Ok(());
        }
        let Some(write) = self.unanswered.remove(place) else { return Ok(()) };
        count(&self.run.tally.refused);
        let outcome = if error.is_final { Outcome::Failed } else { Outcome::Unknown };
        self.record(&write, outcome, None, now_us);
        bail!("write {} of {} was refused: {error}", write.n, self.event.conn)
    }

    /// Compares the numbers of this writer's commands with one, to find the writer that a number belongs to.
    pub fn compare_with(&self, id: u64) -> Ordering {
        if id <= self.id_base {
            Ordering::Greater
        } else if id > self.id_base + self.n {
            Ordering::Less
        } else {
            Ordering::Equal
        }
    }

    /// Records what has no final answer as unknown: the seat gives up.
    pub fn give_up(&mut self) {
        let now_us = self.run.clock.now_us();
        for write in std::mem::take(&mut self.unanswered) {
            self.record(&write, Outcome::Unknown, None, now_us);
        }
    }

    fn feed(&mut self, link: &mut Link, place: usize) -> anyhow::Result<()> {
        let write = &self.unanswered[place];
        let body = Some(write.payload.body.clone());
        let write = Write { room: self.room.clone(), n: write.n, prev: None, since: None, target: None, body };
        let id = self.id_base + write.n;
        link.feed(&Command { id: Some(id), op: Op::Write(WriteOp::Send, write) })?;
        self.answers_due += 1;
        Ok(())
    }

    fn place_of(&self, id: u64) -> Option<usize> {
        let n = id.checked_sub(self.id_base)?;
        self.unanswered.binary_search_by_key(&n, |write| write.n).ok()
    }

    fn record(&mut self, write: &Unanswered, outcome: Outcome, seq: Option<u64>, now_us: u64) {
        let event = &mut self.event;
        (event.t_invoke, event.t_return) = (write.sent_us, now_us);
        (event.n, event.body_hash) = (write.n, Some(write.payload.hash));
        (event.outcome, event.seq) = (outcome, seq);
        self.run.history.borrow_mut().write(event);
    }
}
