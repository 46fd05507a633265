//! One ownership of a room: the machine of the fencing protocol, and who waits for its appends.
//!
//! While the machine has a statement to run, one task runs it; an idle ownership is a few hundred bytes and no task.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rollcall_actors::fencing::{Answer, Effect, Fencing, Input, Statement, Stop, Ticket};
use rollcall_actors::ports::{AppendOutcome, Fence, LogTail, NotCommitted};
use rollcall_protocol::{Entry, RoomId, Seq};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until};

use super::options::CqlOptions;
use super::pause;
use super::store::Store;
use crate::log::stats::Counters;

/// An ownership that was activated.
pub(super) struct Ownership {
    room: RoomId,
    /// As it was activated.
    tail: LogTail,
    store: Arc<Store>,
    options: Arc<CqlOptions>,
    counters: Arc<Counters>,
    desk: Mutex<Desk>,
}

struct Desk {
    machine: Fencing,
    last_ticket: Ticket,
    /// In the order of their tickets, so of their deadlines too.
    waiting: VecDeque<Waiting>,
    to_run: Option<(Statement, u32)>,
    /// Whether a task runs what is to be run.
    is_driven: bool,
    last_used: Instant,
    stopped: Option<Stop>,
}

struct Waiting {
    ticket: Ticket,
    deadline: Instant,
    since: Instant,
    entries: u64,
    /// Whether nobody knew for a while what became of it.
    was_unknown: bool,
    answer: oneshot::Sender<AppendOutcome>,
}

impl Ownership {
    /// Takes a machine that was just activated.
    pub fn new(
        room: RoomId,
        tail: LogTail,
        machine: Fencing,
        store: Arc<Store>,
        options: Arc<CqlOptions>,
        counters: Arc<Counters>,
    ) -> Self {
        let desk = Desk {
            machine,
            last_ticket: 0,
            waiting: VecDeque::new(),
            to_run: None,
            is_driven: false,
            last_used: Instant::now(),
            stopped: None,
        };
        Self { room, tail, store, options, counters, desk: Mutex::new(desk) }
    }

    /// Returns the fence under which it appends.
    pub fn fence(&self) -> Fence {
        self.tail.fence
    }

    /// Tells whether its fence is stored since it was activated; that of an empty room is stored by the first append.
    pub fn was_stored(&self) -> bool {
        self.tail.last_seq > Seq::ZERO
    }

    /// Tells whether anything was appended under it, or was to be.
    pub fn was_used(&self) -> bool {
        self.lock().last_ticket > 0
    }

    /// Returns when it was appended to last; none while something is under way.
    pub fn idle_since(&self) -> Option<Instant> {
        let desk = self.lock();
        (!desk.is_driven && desk.waiting.is_empty()).then_some(desk.last_used)
    }

    /// Tells whether it is over.
    pub fn is_stopped(&self) -> bool {
        self.lock().stopped.is_some()
    }

    /// Gives entries to the machine; the call itself takes their place. What becomes of them is sent to `answer`.
    pub fn append(self: &Arc<Self>, entries: Arc<[Entry]>, answer: oneshot::Sender<AppendOutcome>) {
        let mut desk = self.lock();
        let since = Instant::now();
        desk.last_used = since;
        desk.last_ticket += 1;
        let ticket = desk.last_ticket;
        let deadline = since + self.options.append_deadline;
        let count = entries.len() as u64;
        desk.waiting.push_back(Waiting { ticket, deadline, since, entries: count, was_unknown: false, answer });
        self.handle(&mut desk, Input::Append { ticket, entries });
        if desk.to_run.is_some() && !desk.is_driven {
            desk.is_driven = true;
            tokio::spawn(Arc::clone(self).drive());
        }
    }

    /// Runs what the machine wants, until it wants nothing more.
    async fn drive(self: Arc<Self>) {
        while let Some((statement, attempt)) = self.next_statement() {
            let running = async {
                sleep(pause::before_attempt(attempt, self.options.retry_pause)).await;
                self.store.run(&self.room, &statement).await
            };
            let mut running = pin!(running);
            let answer = loop {
                let deadline = self.lock().waiting.front().map(|waiting| waiting.deadline);
                tokio::select! {
                    answer = &mut running => break Some(answer),
                    () = sleep_until_some(deadline) => {
                        if self.give_up_late_ones() {
                            break None;
                        }
                    }
                }
            };
            // What an ownership that is over had asked for is of no use to it.
            let Some(answer) = answer else { continue };
            if let Answer::Unknown(reason) = &answer {
                tracing::debug!(room = %self.room, attempt, reason, "a statement's outcome is unknown");
            }
            if matches!((&statement, &answer), (Statement::Append { .. }, Answer::Unknown(_))) {
                // Appends are sent in their order, one at a time.
                if let Some(waiting) = self.lock().waiting.front_mut() {
                    waiting.was_unknown = true;
                }
            }
            let redacts = matches!(statement, Statement::Redact { .. } | Statement::RedactEdit { .. });
            if redacts && answer == Answer::Applied {
                self.counters.redacted.fetch_add(1, Relaxed);
            }
            self.handle(&mut self.lock(), Input::Answer(answer));
        }
    }

    fn next_statement(&self) -> Option<(Statement, u32)> {
        let mut desk = self.lock();
        let next = desk.to_run.take();
        desk.is_driven = next.is_some();
        next
    }

    /// Tells those whose time has come what is known; returns whether the ownership is over by it.
    fn give_up_late_ones(&self) -> bool {
        let mut desk = self.lock();
        let now = Instant::now();
        while let Some(ticket) = desk.waiting.front().filter(|it| it.deadline <= now).map(|it| it.ticket) {
            self.handle(&mut desk, Input::Deadline { ticket });
        }
        desk.stopped.is_some()
    }

    /// Gives the machine an input and does what it wants, but for running statements.
    fn handle(&self, desk: &mut Desk, input: Input) {
        let mut effects = Vec::new();
        desk.machine.handle(input, &mut effects);
        for effect in effects {
            match effect {
                Effect::Run { statement, attempt } => desk.to_run = Some((statement, attempt)),
                Effect::Settled { ticket, outcome } => self.settle(desk, ticket, outcome),
                Effect::Stop(stop) => {
                    log_stop(&self.room, &stop);
                    desk.to_run = None;
                    desk.stopped = Some(stop);
                }
                Effect::Activated(_) => unreachable!("it was activated before"),
            }
        }
    }

    fn settle(&self, desk: &mut Desk, ticket: Ticket, outcome: AppendOutcome) {
        let place = desk.waiting.iter().position(|waiting| waiting.ticket == ticket);
        let waiting = place.and_then(|place| desk.waiting.remove(place)).expect("an append is settled once");
        if waiting.was_unknown {
            match &outcome {
                AppendOutcome::Committed => self.counters.settled_applied.fetch_add(1, Relaxed),
                AppendOutcome::NotCommitted(_) => self.counters.settled_not_applied.fetch_add(1, Relaxed),
                // It is unknown still, and counts as a failure.
                AppendOutcome::Unknown(_) => 0,
            };
        }
        match &outcome {
            AppendOutcome::Committed => {
                self.counters.committed(waiting.since.elapsed());
                self.counters.appends.fetch_add(1, Relaxed);
                self.counters.entries.fetch_add(waiting.entries, Relaxed);
            }
            AppendOutcome::Unknown(_) => {
                self.counters.failures.fetch_add(1, Relaxed);
            }
            AppendOutcome::NotCommitted(NotCommitted::Refused(_)) => {
                self.counters.refused.fetch_add(1, Relaxed);
            }
            AppendOutcome::NotCommitted(NotCommitted::Fenced | NotCommitted::Damaged(_)) => {}
        }
        // Whoever waited may have gone.
        let _ = waiting.answer.send(outcome);
    }

    /// Takes the lock. What it guards is whole between two inputs; a machine that panicked was in the middle of one.
    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An ownership may be over for a reason that somebody has to look at.
pub(super) fn log_stop(room: &RoomId, stop: &Stop) {
    match stop {
        Stop::Fenced => tracing::info!(%room, "another owner has fenced the room"),
        Stop::OutcomeUnknown => {
            tracing::warn!(%room, "the outcome of an append stayed unknown; the next owner finds out");
        }
        Stop::Unavailable(reason) => tracing::warn!(%room, reason, "the log refuses what a room needs"),
        Stop::Damaged(reason) => {
            tracing::error!(%room, reason, "the log of a room is damaged; nothing is numbered over that");
        }
    }
}

async fn sleep_until_some(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
