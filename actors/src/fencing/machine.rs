//! The machine of one ownership: first an activation, then an owner, then nothing more.

use rollcall_protocol::{Epoch, OwnerId, Seq};

use super::Buckets;
use super::activate::{Activating, Activation};
use super::append::Owner;
use super::io::{Answer, Effect, Input, Stop, Ticket};
use super::turn::{Running, Turn};
use crate::ports::{AppendOutcome, NotCommitted};

/// One attempt to own a room in the log, from its activation to its end.
///
/// Deterministic, and plain data: a model checker explores it as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fencing {
    buckets: Buckets,
    phase: Phase,
    running: Option<Running>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Phase {
    Activating(Activation),
    Owner(Owner),
    Stopped,
}

/// What an activation starts from. Only `owner` matters for safety.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Start {
    /// Drawn at random for this activation.
    pub owner: OwnerId,
    /// An epoch that others have promised is new; the log's own decide where it is not. 0 where there is none.
    pub epoch: Epoch,
    /// The number of the newest stored snapshot, whole or not: up to it edits and redactions are finished. 0 without one.
    pub snapshot: Seq,
    /// Where the room's last bucket probably is.
    pub hint: u64,
}

impl Fencing {
    /// Begins to activate a room.
    pub fn new(buckets: Buckets, start: Start, effects: &mut Vec<Effect>) -> Self {
        let Start { owner, epoch, snapshot, hint } = start;
        let hint = if snapshot > Seq::ZERO { hint.max(buckets.of(snapshot)) } else { hint };
        let activation = Activation::new(buckets, owner, epoch, snapshot, hint);
        let mut running = None;
        Turn { running: &mut running, effects }.run(activation.statement());
        Self { buckets, phase: Phase::Activating(activation), running }
    }

    /// Takes one input and appends what is to be done to `effects`.
    ///
    /// # Panics
    /// Where an append is given before the room was activated, or is not contiguous or of one bucket; and where an answer
    /// follows no statement or does not fit it. All of these are faults of the caller.
    pub fn handle(&mut self, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Answer(answer) => self.answer(answer, effects),
            Input::Append { ticket, entries } => match &mut self.phase {
                Phase::Activating(_) => panic!("a room is appended to once it was activated"),
                Phase::Owner(owner) => {
                    owner.append(ticket, entries, &mut Turn { running: &mut self.running, effects });
                }
                Phase::Stopped => effects.push(fenced(ticket)),
            },
            Input::Deadline { ticket } => {
                if let Phase::Owner(owner) = &mut self.phase {
                    let stop = owner.give_up(ticket, &mut Turn { running: &mut self.running, effects });
                    self.stop(stop, effects);
                }
            }
        }
    }

    /// Tells whether this ownership is over.
    pub fn is_stopped(&self) -> bool {
        self.phase == Phase::Stopped
    }

    fn answer(&mut self, answer: Answer, effects: &mut Vec<Effect>) {
        let Some(answered) = self.running.take() else {
            assert!(self.is_stopped(), "an answer follows a statement");
            return;
        };
        let mut turn = Turn { running: &mut self.running, effects };
        match &mut self.phase {
            Phase::Activating(activation) => match activation.take(answer) {
                Activating::Run(statement) => turn.run(statement),
                Activating::RunAgain => turn.run_again(answered),
                Activating::Owner(activated) => {
                    turn.effects.push(Effect::Activated(activated));
                    self.phase = Phase::Owner(Owner::new(self.buckets, activated.tail));
                }
                Activating::Stop(stop) => self.stop(Some(stop), effects),
            },
            Phase::Owner(owner) => {
                let stop = owner.answer(answered, answer, &mut turn);
                self.stop(stop, effects);
            }
            Phase::Stopped => {}
        }
    }

    /// Ends this ownership where a reason is given.
    fn stop(&mut self, reason: Option<Stop>, effects: &mut Vec<Effect>) {
        let Some(reason) = reason else { return };
        let before = std::mem::replace(&mut self.phase, Phase::Stopped);
        self.running = None;
        if let Phase::Owner(owner) = before {
            effects.extend(owner.into_waiting().map(fenced));
        }
        effects.push(Effect::Stop(reason));
    }
}

/// What was never sent is not stored and never will be.
fn fenced(ticket: Ticket) -> Effect {
    Effect::Settled { ticket, outcome: AppendOutcome::NotCommitted(NotCommitted::Fenced) }
}
