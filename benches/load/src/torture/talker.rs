//! What a client writes: messages, and edits, redactions and reactions of its own ones, some at a time.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::bail;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rollcall_checker::{Op, Outcome, WriteEvent};
use rollcall_client::{Ack, Body, NewWrite, PendingWrite, RoomWriter, Seq, WriteError};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::doubt::Doubts;
use crate::history::Place;
use crate::payload::{BODY_BYTES_MIN, Payload};
use crate::run::{Run, count};

/// Writes that a client leaves unanswered in a room. All are sent at once: a server that dies leaves all of them in doubt.
const UNANSWERED_MAX: usize = 16;

/// How often a client writes to a room.
const PACE: Duration = Duration::from_millis(2);

/// Own messages that a client remembers, to edit, redact or react to.
const REMEMBERED_MAX: usize = 100;

/// Who a client is to the server.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The user.
    pub user: String,
    /// The user's device.
    pub device: String,
}

/// One client's writes to one room.
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
    /// What was asked for, by n.
    asked: HashMap<u64, Asked>,
}

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
        Self { run, doubts, place, identity, random, n: 0, own: Vec::new(), asked: HashMap::new() }
    }

    /// Writes until it is stopped, then waits until each write has its answer. Gives how often.
    ///
    /// # Errors
    /// Where the client does not take a write.
    pub async fn run(mut self, writer: RoomWriter, stop: CancellationToken) -> anyhow::Result<()> {
        let mut unanswered = FuturesUnordered::new();
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !stop.is_cancelled() || !unanswered.is_empty() {
            tokio::select! {
                Some((n, outcome)) = unanswered.next() => self.answered(n, outcome)?,
                _ = pace.tick(), if unanswered.len() < UNANSWERED_MAX && !stop.is_cancelled() => {
                    let (n, pending) = self.write(&writer);
                    unanswered.push(async move { (n, pending.await) });
                }
                () = stop.cancelled(), if !stop.is_cancelled() => {}
            }
        }
        Ok(())
    }

    fn write(&mut self, writer: &RoomWriter) -> (u64, PendingWrite) {
        self.n += 1;
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
                self.acked(n, &asked, ack, now_us);
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
            node: "server".to_owned(),
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

    fn acked(&mut self, n: u64, asked: &Asked, ack: Ack, now_us: u64) {
        let tally = &self.run.tally;
        count(&tally.acked_all);
        if let Some(killed_us) = self.doubts.in_doubt_since(asked.invoked_us, now_us) {
            // An attempt of its own in the history: its answer never came.
            self.record(n, asked, Outcome::Unknown, None, killed_us);
            count(&tally.unknown);
            if ack.duplicate {
                count(&tally.unknown_stored);
            }
        }
        if asked.op == Op::Send {
            self.own.push(ack.seq);
            if self.own.len() > REMEMBERED_MAX {
                self.own.remove(0);
            }
        }
    }
}
