//! What a client writes: messages, and edits, redactions and reactions of its own ones, some at a time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::bail;
use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rollcall_checker::{Op, Outcome, WriteEvent};
use rollcall_client::storage::{SavedRoom, SavedWrite};
use rollcall_client::{Ack, Body, NewWrite, PendingWrite, RoomWriter, Seq, WriteError};
use rollcall_protocol::WriteOp;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::doubt::Doubts;
use crate::history::Place;
use crate::payload::{BODY_BYTES_MIN, Payload, body_hash};
use crate::run::{Run, count};

/// Own messages that a client remembers, to edit, redact or react to.
const REMEMBERED_MAX: usize = 100;

/// How much a client writes to a room.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How often.
    pub every: Duration,
    /// Writes that it leaves unanswered. All are sent at once: a server that dies leaves all of them in doubt.
    pub unanswered_max: usize,
}

/// Who a client is to the server.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The user.
    pub user: String,
    /// The user's device.
    pub device: String,
    /// The server that it is connected to, by the history's name.
    pub node: String,
}

/// One client's writes to one room, through all its lives.
pub struct Talker {
    run: Rc<Run>,
    doubts: Rc<Doubts>,
    place: Place,
    identity: Identity,
    random: StdRng,
    /// The client numbers its writes to a room in the order in which it is asked for them.
    n: u64,
    /// Numbers of own messages that have a body still.
    own: Vec<Seq>,
    /// What was asked for and has no answer, by n.
    asked: BTreeMap<u64, Asked>,
}

/// A write.
struct Asked {
    op: Op,
    target: Option<Seq>,
    body_hash: Option<[u8; 32]>,
    invoked_us: u64,
}

impl Talker {
    /// Begins with n = 1.
    pub fn new(run: Rc<Run>, doubts: Rc<Doubts>, place: Place, identity: Identity, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed);
        Self { run, doubts, place, identity, random, n: 0, own: Vec::new(), asked: BTreeMap::new() }
    }

    /// Goes on in a new life, from what the old one has kept of the room.
    pub fn reborn(&mut self, kept: &SavedRoom) {
        self.n = kept.last_n;
        // A write that was not kept was not sent either; its number goes to another.
        self.asked.split_off(&(kept.last_n + 1));
        // One that was kept and ended had its answer, which died with the program.
        let has_ended = |n: &u64| kept.unanswered.binary_search_by_key(n, |write| write.n).is_err();
        let ended: Vec<u64> = self.asked.keys().copied().filter(has_ended).collect();
        for n in ended {
            if let Some(asked) = self.asked.remove(&n) {
                self.record(n, &asked, Outcome::Unknown, None, self.run.clock.now_us());
            }
        }
    }

    /// Learns what became of a write of an earlier life. It may have been known already: then it is recorded once more, for the
    /// judge to compare.
    ///
    /// # Errors
    /// As [`talk`].
    pub fn recovered(&mut self, write: &SavedWrite, outcome: Result<Ack, WriteError>) -> anyhow::Result<()> {
        if let Ok(ack) = outcome {
            count(&self.run.tally.unknown);
            if ack.duplicate {
                count(&self.run.tally.unknown_stored);
            }
        }
        if self.asked.contains_key(&write.n) {
            return self.answered(write.n, outcome);
        }
        let known = Asked {
            op: match write.op {
                WriteOp::Send => Op::Send,
                WriteOp::Edit => Op::Edit,
                WriteOp::Redact => Op::Redact,
                WriteOp::React => Op::React,
            },
            target: write.target,
            body_hash: write.body.as_ref().map(|body| body_hash(body.as_str())),
            invoked_us: self.run.clock.now_us(),
        };
        let (outcome, seq) = match outcome {
            Ok(ack) => (Outcome::Ok, Some(ack.seq.get())),
            Err(WriteError::Refused(_)) => (Outcome::Failed, None),
            Err(_) => (Outcome::Unknown, None),
        };
        self.record(write.n, &known, outcome, seq, known.invoked_us);
        Ok(())
    }

    /// Returns the numbers of the writes that have no answer.
    pub fn unanswered(&self) -> impl Iterator<Item = u64> {
        self.asked.keys().copied()
    }

    fn write(&mut self, writer: &RoomWriter) -> (u64, PendingWrite) {
        self.n += 1;
        count(&self.run.tally.sent_all);
        let invoked_us = self.run.clock.now_us();
        let payload = Payload::make(BODY_BYTES_MIN, &self.place.conn, self.n, invoked_us);
        let (op, target, body) = self.choose(payload.body);
        let body_hash = body.is_some().then_some(payload.hash);
        self.asked.insert(self.n, Asked { op, target, body_hash, invoked_us });
        let write = match (op, target, body) {
            (Op::Edit, Some(target), Some(body)) => NewWrite::edit(target, body),
            (Op::Redact, Some(target), _) => NewWrite::redact(target),
            (Op::React, Some(target), Some(body)) => NewWrite::react(target, body),
            (_, _, Some(body)) => NewWrite::message(body),
            (_, _, None) => unreachable!("only a redaction has no body"),
        };
        (self.n, writer.submit(write))
    }

    /// Mostly messages; an edit, a redaction or a reaction now and then, once there is something to be about.
    fn choose(&mut self, body: Body) -> (Op, Option<Seq>, Option<Body>) {
        let about = if self.own.is_empty() { None } else { Some(self.random.random_range(0..self.own.len())) };
        match (self.random.random_range(0..20), about) {
            (0, Some(place)) => (Op::Edit, Some(self.own[place]), Some(body)),
            (1, Some(place)) => (Op::React, Some(self.own[place]), Some(body)),
            // Nothing else is about it from here on, or a refusal would only say that it is gone.
            (2, Some(place)) => (Op::Redact, Some(self.own.swap_remove(place)), None),
            _ => (Op::Send, None, Some(body)),
        }
    }

    fn answered(&mut self, n: u64, outcome: Result<Ack, WriteError>) -> anyhow::Result<()> {
        let Some(asked) = self.asked.remove(&n) else { bail!("write {n} was answered twice") };
        let now_us = self.run.clock.now_us();
        let (outcome, seq) = match outcome {
            Ok(ack) => {
                self.acked(&asked, ack);
                (Outcome::Ok, Some(ack.seq.get()))
            }
            Err(WriteError::Refused(error)) => {
                count(&self.run.tally.refused);
                eprintln!("{}: write {n} ({:?}) was refused: {error}", self.place.conn, asked.op);
                (Outcome::Failed, None)
            }
            Err(WriteError::Unknown { .. }) => (Outcome::Unknown, None),
            Err(error @ (WriteError::QueueFull | WriteError::Closed | WriteError::Body(_))) => return Err(error.into()),
        };
        self.record(n, &asked, outcome, seq, now_us);
        Ok(())
    }

    fn record(&self, n: u64, asked: &Asked, outcome: Outcome, seq: Option<u64>, returned_us: u64) {
        let event = WriteEvent {
            op: asked.op,
            t_invoke: asked.invoked_us,
            t_return: returned_us,
            conn: self.place.conn.clone(),
            node: self.identity.node.clone(),
            room: self.place.room.clone(),
            user: self.identity.user.clone(),
            device: self.identity.device.clone(),
            n,
            target: asked.target.map(Seq::get),
            body_hash: asked.body_hash,
            outcome,
            seq,
            epoch: None,
        };
        self.run.history.borrow_mut().write(&event);
    }

    fn acked(&mut self, asked: &Asked, ack: Ack) {
        let tally = &self.run.tally;
        count(&tally.acked_all);
        let now_us = self.run.clock.now_us();
        tally.ack.borrow_mut().record_us(now_us.saturating_sub(asked.invoked_us));
        self.run.pulse.beat(&self.place.room, now_us);
        if asked.op == Op::Send {
            self.own.push(ack.seq);
            if self.own.len() > REMEMBERED_MAX {
                self.own.remove(0);
            }
        }
    }

    /// Notes an attempt whose answer was lost: with the client's connection, or on the way between servers, as an answer tells that
    /// says that the write was stored before.
    fn note_doubt(&self, n: u64, outcome: &Result<Ack, WriteError>) {
        let (Some(asked), Ok(ack)) = (self.asked.get(&n), outcome) else { return };
        let lost_us = self.doubts.in_doubt_since(asked.invoked_us, self.run.clock.now_us());
        let Some(lost_us) = lost_us.or(ack.duplicate.then_some(asked.invoked_us)) else { return };
        self.record(n, asked, Outcome::Unknown, None, lost_us);
        count(&self.run.tally.unknown);
        if ack.duplicate {
            count(&self.run.tally.unknown_stored);
        }
    }
}

/// Writes for one life: until its end, or until it is stopped and every write has its answer, those of earlier lives included.
///
/// # Errors
/// Where the client does not take a write.
pub async fn talk(
    talker: Rc<RefCell<Talker>>,
    writer: RoomWriter,
    pace: Pace,
    stop: CancellationToken,
    death: CancellationToken,
) -> anyhow::Result<()> {
    let mut unanswered = FuturesUnordered::new();
    let mut ticks = interval(pace.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = death.cancelled() => break,
            Some((n, outcome)) = unanswered.next() => {
                let mut talker = talker.borrow_mut();
                talker.note_doubt(n, &outcome);
                talker.answered(n, outcome)?;
            }
            _ = ticks.tick() => {
                if stop.is_cancelled() {
                    if talker.borrow().asked.is_empty() {
                        return Ok(());
                    }
                } else if unanswered.len() < pace.unanswered_max {
                    let (n, pending) = talker.borrow_mut().write(&writer);
                    unanswered.push(async move { (n, pending.await) });
                }
            }
        }
    }
    // What the program had been told before it died, it had been told.
    while let Some(Some((n, outcome))) = unanswered.next().now_or_never() {
        if outcome.is_ok() {
            let mut talker = talker.borrow_mut();
            talker.note_doubt(n, &outcome);
            talker.answered(n, outcome)?;
        }
    }
    Ok(())
}
