//! The unanswered writes of one device to one room, in their order.

use std::collections::VecDeque;

use rollcall_protocol::{Ack, ErrorCode, ErrorFrame, RoomId};

use super::io::{ForwardedAnswer, ToForward};
use super::room::Correlations;
use crate::cluster::Correlation;
use crate::cluster::envelope::{ForwardedWrite, Submit, SubmitReply};
use crate::room::{Rights, SenderKey};

/// A write that is not answered for this long is sent again, in milliseconds.
pub const RESEND_AFTER_MS: u64 = 2_000;

/// Size of one device's writes that are on their way to the owner, in bytes; a larger one goes alone. What waits behind them
/// follows when they are answered. An envelope has room for them all.
pub const IN_FLIGHT_BYTES_MAX: usize = 1024 * 1024;

/// Copies of a write that the owner leaves unanswered, one after the other, before another owner is looked for.
const COPIES_IN_VAIN: u32 = 2;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Device<T> {
    writes: VecDeque<Pending<T>>,
    /// When the device's first write that is on its way should have been answered.
    pub(super) deadline_ms: Option<u64>,
    /// How often in a row no answer came in time.
    overdue: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pending<T> {
    reply: T,
    rights: Rights,
    write: ForwardedWrite,
    came_at_ms: u64,
    /// When its last copy was sent, if that is still on its way.
    sent_at_ms: Option<u64>,
    /// Each copy that was ever sent, the last one last.
    copies: Vec<Correlation>,
}

/// What follows from an answer.
#[derive(Debug, PartialEq)]
pub(super) enum Taken<T> {
    /// Tell whoever waits.
    Answer(T, ForwardedAnswer),
    /// Send again, from the write that the owner lacks.
    Resend,
    /// Wait for the answer to a later copy.
    Wait,
    /// It fits no write.
    Stray,
}

impl<T> Default for Device<T> {
    fn default() -> Self {
        Self { writes: VecDeque::new(), deadline_ms: None, overdue: 0 }
    }
}

impl<T> Device<T> {
    pub fn len(&self) -> usize {
        self.writes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    pub fn push(&mut self, now_ms: u64, forward: ToForward<T>) {
        let ToForward { reply, rights, write, .. } = forward;
        let pending = Pending { reply, rights, write, came_at_ms: now_ms, sent_at_ms: None, copies: Vec::new() };
        self.writes.push_back(pending);
    }

    /// Takes in an answer that names this device.
    pub fn take(&mut self, reply: SubmitReply) -> Taken<T> {
        let fits = |pending: &Pending<T>| pending.write.n == reply.n && pending.copies.contains(&reply.correlation);
        let Some(at) = self.writes.iter().position(fits) else { return Taken::Stray };
        self.overdue = 0;
        let pending = &self.writes[at];
        if let Err(error) = &reply.result
            && error.code == ErrorCode::OutOfOrder
        {
            // Of an earlier copy: what was missing then has been sent again since.
            if pending.sent_at_ms.is_none() || pending.copies.last() != Some(&reply.correlation) {
                return Taken::Wait;
            }
            if let Some(from) = self.missing_before(at, error) {
                self.hold_from(from);
                return Taken::Resend;
            }
        }
        let pending = self.writes.remove(at).expect("it was found there");
        Taken::Answer(pending.reply, answer(reply.result, pending.copies.len()))
    }

    /// Returns where the write is that the owner lacks, if it is held here: the one that `prev` of the refused one names, or one
    /// before it.
    fn missing_before(&self, at: usize, error: &ErrorFrame) -> Option<usize> {
        let last = error.details.get("last")?.as_u64()?;
        let prev = self.writes[at].write.prev;
        if last >= prev || !self.writes.iter().take(at).any(|pending| pending.write.n == prev) {
            return None;
        }
        self.writes.iter().take(at).position(|pending| pending.write.n > last)
    }

    /// Lets everything from a place on be sent again.
    fn hold_from(&mut self, at: usize) {
        self.writes.iter_mut().skip(at).for_each(|pending| pending.sent_at_ms = None);
    }

    /// Lets everything be sent again: the owner is another one.
    pub fn hold_all(&mut self) {
        self.overdue = 0;
        self.hold_from(0);
    }

    /// Tells whether the owner has said nothing for so long that it may be another one.
    pub fn doubts_owner(&self) -> bool {
        self.overdue >= COPIES_IN_VAIN
    }

    /// Lets everything be sent again from the first write on whose answer is overdue. What came too long ago is given back: its
    /// outcome is unknown.
    pub fn time_out(&mut self, now_ms: u64, give_up_after_ms: u64) -> Vec<T> {
        let is_overdue = |pending: &Pending<T>| pending.sent_at_ms.is_some_and(|sent| now_ms >= sent + RESEND_AFTER_MS);
        if let Some(at) = self.writes.iter().position(is_overdue) {
            self.overdue += 1;
            self.hold_from(at);
        }
        let mut given_up = Vec::new();
        while self.writes.front().is_some_and(|pending| now_ms >= pending.came_at_ms + give_up_after_ms) {
            given_up.extend(self.writes.pop_front().map(|pending| pending.reply));
        }
        given_up
    }

    /// Gives back what no copy was ever sent of: the last writes.
    pub fn take_unsent(&mut self) -> Vec<T> {
        let sent = self.writes.iter().take_while(|pending| !pending.copies.is_empty()).count();
        self.writes.drain(sent..).map(|pending| pending.reply).collect()
    }

    /// Returns what is to be sent now: the first writes that are not on their way, as many as fit into `bytes_max` with those that
    /// are. Nothing overtakes what waits.
    pub fn send(
        &mut self,
        now_ms: u64,
        key: &SenderKey,
        room: &RoomId,
        correlations: &mut Correlations,
        bytes_max: usize,
    ) -> Vec<Submit> {
        let under_way = self.writes.iter().filter(|pending| pending.sent_at_ms.is_some());
        let mut bytes: usize = under_way.map(|pending| pending.write.weight_bytes()).sum();
        let mut submits: Vec<Submit> = Vec::new();
        for pending in self.writes.iter_mut().filter(|pending| pending.sent_at_ms.is_none()) {
            let weight = pending.write.weight_bytes();
            if bytes > 0 && bytes + weight > bytes_max {
                break;
            }
            bytes += weight;
            if submits.last().is_none_or(|submit| submit.rights != pending.rights) {
                submits.push(Submit {
                    correlation: correlations.next(),
                    room: room.clone(),
                    user: key.user.clone(),
                    device: key.device.clone(),
                    rights: pending.rights,
                    writes: Vec::new(),
                });
            }
            let submit = submits.last_mut().expect("one was pushed if there was none");
            submit.writes.push(pending.write.clone());
            pending.copies.push(submit.correlation);
            pending.sent_at_ms = Some(now_ms);
        }
        submits
    }

    /// Returns when time matters next for this device, in milliseconds.
    pub fn next_deadline_ms(&self, give_up_after_ms: u64) -> Option<u64> {
        let resend = self.writes.iter().filter_map(|it| it.sent_at_ms).min().map(|sent| sent + RESEND_AFTER_MS);
        let give_up = self.writes.front().map(|it| it.came_at_ms + give_up_after_ms);
        resend.into_iter().chain(give_up).min()
    }
}

/// Says of a refusal whether it is final: it is if the owner says so of every copy, or if only one copy was sent in all.
fn answer(result: Result<Ack, ErrorFrame>, copies: usize) -> ForwardedAnswer {
    result.map_err(|mut error| {
        error.is_final = !error.retryable && (error.is_final || copies == 1);
        error
    })
}
