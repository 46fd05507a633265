//! The rules of the modelled world: what may happen next, and what comes of it.

use std::sync::Arc;

use rollcall_actors::fencing::{Answer, Statement};
use stateright::{Model, Property};

use crate::action::Action;
use crate::limits::Limits;
use crate::node::{Node, World};
use crate::promises;
use crate::state::State;
use crate::weakening::Weakening;

/// Two nodes and a store, as they ship or weakened.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// How much may happen.
    pub limits: Limits,
    /// What is left out of the protocol; none of what ships.
    pub weakening: Option<Weakening>,
}

impl Model for Cluster {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::first(&self.limits)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (at, node) in state.nodes.iter().enumerate() {
            match node {
                Some(node) => self.actions_of(state, at, node, actions),
                // The nodes are alike: that the first one is node 0 says nothing.
                None if state.spent.activations < self.limits.activations
                    && (at == 0 || state.spent.activations > 0) =>
                {
                    let told = self.limits.told_by_redis.iter();
                    actions.extend(told.map(|&(epoch, hint)| Action::Start { node: at, epoch, hint }));
                }
                None => {}
            }
        }
        actions.extend((0..state.late.len()).map(Action::ExecuteLate));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        match action {
            Action::Start { node, epoch, hint } => {
                next.spent.activations += 1;
                let activation = next.spent.activations;
                self.update(&mut next, node, |_, world| Node::start(activation, epoch, hint, world));
            }
            Action::Submit { node, write } => {
                next.spent.writes = next.spent.writes.max(write + 1);
                self.update(&mut next, node, |up, world| up?.submit(write, world));
            }
            Action::Execute(at) => self.execute(&mut next, at),
            Action::Deliver(node) => {
                self.update(&mut next, node, |up, world| {
                    let up = up?;
                    let answer = up.sent.as_ref()?.1.clone()?;
                    up.answer(answer, world)
                });
            }
            Action::TimeOut(node) => {
                next.spent.timeouts += 1;
                leave_behind(&mut next, node);
                self.update(&mut next, node, |up, world| up?.answer(lost(), world));
            }
            Action::LoseReply(node) => {
                next.spent.lost_replies += 1;
                self.update(&mut next, node, |up, world| up?.answer(lost(), world));
            }
            Action::ExecuteLate(which) => {
                let statement = next.late.remove(which);
                Arc::make_mut(&mut next.store).write(&statement, self.weakening);
            }
            Action::Deadline(node) => {
                leave_behind(&mut next, node);
                self.update(&mut next, node, |up, world| up?.deadline(world));
            }
            Action::Snapshot(at) => {
                next.spent.snapshots += 1;
                let state = last.nodes[at].as_ref()?.committed()?.clone();
                Arc::make_mut(&mut next.store).snapshots.push(state);
            }
            Action::Crash(at) => {
                next.spent.crashes += 1;
                leave_behind(&mut next, at);
                next.nodes[at] = None;
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        promises::all(self.weakening)
    }
}

impl Cluster {
    fn actions_of(&self, state: &State, at: usize, node: &Node, actions: &mut Vec<Action>) {
        let (limits, spent) = (&self.limits, &state.spent);
        if let Some((statement, answer)) = &node.sent {
            let is_read = matches!(statement, Statement::ReadFence { .. });
            match answer {
                None => actions.push(Action::Execute(at)),
                Some(_) => actions.push(Action::Deliver(at)),
            }
            // A read that is given up is read again, as if it had been late.
            if !is_read && answer.is_none() && spent.timeouts < limits.timeouts {
                actions.push(Action::TimeOut(at));
            }
            if !is_read && answer.is_some() && spent.lost_replies < limits.lost_replies {
                actions.push(Action::LoseReply(at));
            }
            if node.is_unknown {
                actions.push(Action::Deadline(at));
            }
        }
        if node.is_active() {
            let is_wanted = |write: &u8| !node.waiting.contains(write) && !state.told.acked.contains_key(write);
            let known_and_next = 0..limits.writes.min(spent.writes + 1);
            actions.extend(known_and_next.filter(is_wanted).map(|write| Action::Submit { node: at, write }));
        }
        let newest = state.store.snapshots.last().map(|state| state.head).unwrap_or_default();
        if spent.snapshots < limits.snapshots && node.committed().is_some_and(|state| state.head > newest) {
            actions.push(Action::Snapshot(at));
        }
        if spent.crashes < limits.crashes {
            actions.push(Action::Crash(at));
        }
    }

    /// Lets a node take part in what happens; none is down, before or after.
    fn update(&self, next: &mut State, at: usize, change: impl FnOnce(Option<Node>, &mut World<'_>) -> Option<Node>) {
        let node = next.nodes[at].take().map(Arc::unwrap_or_clone);
        let State { store, told, .. } = next;
        let mut world = World { limits: &self.limits, weakening: self.weakening, store, told };
        next.nodes[at] = change(node, &mut world).map(Arc::new);
    }

    fn execute(&self, next: &mut State, at: usize) {
        let Some(node) = &mut next.nodes[at] else { return };
        let Some((statement, answer)) = &mut Arc::make_mut(node).sent else { return };
        let carried_out = match next.store.read(statement) {
            Some(read) => read,
            None => Arc::make_mut(&mut next.store).write(statement, self.weakening),
        };
        *answer = Some(carried_out);
    }
}

/// What a node had sent and was not carried out yet may be carried out at any time.
fn leave_behind(state: &mut State, at: usize) {
    let sent = state.nodes[at].as_ref().and_then(|node| node.sent.as_ref());
    if let Some((statement, None)) = sent
        && !matches!(statement, Statement::ReadFence { .. })
    {
        state.late.push(statement.clone());
    }
}

fn lost() -> Answer {
    Answer::Unknown("no answer came".to_owned())
}
