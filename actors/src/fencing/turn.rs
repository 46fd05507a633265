//! One turn of the machine: where its parts put what is to be done.

use super::io::{Effect, Ticket};
use super::statement::Statement;
use crate::ports::AppendOutcome;

/// The statement that is to be answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Running {
    pub statement: Statement,
    pub attempt: u32,
}

/// Collects the effects of one input, and keeps in mind what is run.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub running: &'a mut Option<Running>,
    pub effects: &'a mut Vec<Effect>,
}

impl Turn<'_> {
    /// Runs a statement.
    ///
    /// # Panics
    /// While another one is not answered: one at a time is what the machine's parts rely on.
    pub fn run(&mut self, statement: Statement) {
        self.run_attempt(Running { statement, attempt: 0 });
    }

    /// Runs what was answered last once more, as it was.
    pub fn run_again(&mut self, answered: Running) {
        self.run_attempt(Running { attempt: answered.attempt.saturating_add(1), ..answered });
    }

    fn run_attempt(&mut self, running: Running) {
        self.effects.push(Effect::Run { statement: running.statement.clone(), attempt: running.attempt });
        let other = self.running.replace(running);
        assert!(other.is_none(), "a statement is run while none is under way");
    }

    /// Tells what became of an append.
    pub fn settle(&mut self, ticket: Ticket, outcome: AppendOutcome) {
        self.effects.push(Effect::Settled { ticket, outcome });
    }
}
