//! A gate: lets everything pass until it is closed, and tells how many wait before it.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;

/// How long a test waits for anything.
const DEADLINE: Duration = Duration::from_secs(20);

/// The gate, open at first.
#[derive(Debug)]
pub struct Gate {
    state: watch::Sender<State>,
    waiting: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    /// How many of those who come next have to wait.
    to_hold: usize,
    /// How many of those who wait may go on.
    passes: usize,
    /// Grows whenever all who wait may go on.
    released: u64,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self { state: watch::Sender::default(), waiting: watch::Sender::default() }
    }

    /// Closes it.
    pub fn hold(&self) {
        self.state.send_modify(|state| state.to_hold = usize::MAX);
    }

    /// Closes it behind the next one who comes: that one waits, others pass.
    pub fn hold_next(&self) {
        self.state.send_modify(|state| state.to_hold = 1);
    }

    /// Opens it, for those who wait and for all who come.
    pub fn release(&self) {
        self.state.send_modify(|state| *state = State { released: state.released + 1, ..State::default() });
    }

    /// Lets one of those who wait go on, whichever comes first.
    pub fn let_one_pass(&self) {
        self.state.send_modify(|state| state.passes += 1);
    }

    /// Waits until this many wait before the gate.
    pub async fn until_waiting(&self, count: usize) {
        let mut waiting = self.waiting.subscribe();
        in_time(waiting.wait_for(|&waiting| waiting == count)).await.expect("the gate is there");
    }

    pub(super) async fn pass(&self) {
        let mut changes = self.state.subscribe();
        let Some(came_at) = self.come() else { return };
        let _waiting = Waiting::at(self);
        while !self.may_go_on(came_at) {
            changes.changed().await.expect("the gate is there");
        }
    }

    /// Returns, for one who has to wait, the release that came last.
    fn come(&self) -> Option<u64> {
        let mut came_at = None;
        self.state.send_if_modified(|state| {
            came_at = (state.to_hold > 0).then_some(state.released);
            state.to_hold = state.to_hold.saturating_sub(1);
            false
        });
        came_at
    }

    fn may_go_on(&self, came_at: u64) -> bool {
        let mut may_go_on = false;
        self.state.send_if_modified(|state| {
            may_go_on = state.released > came_at || state.passes > 0;
            if state.released == came_at {
                state.passes = state.passes.saturating_sub(1);
            }
            false
        });
        may_go_on
    }
}

/// Somebody before a gate.
struct Waiting<'a>(&'a Gate);

impl<'a> Waiting<'a> {
    fn at(gate: &'a Gate) -> Self {
        gate.waiting.send_modify(|waiting| *waiting += 1);
        Self(gate)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.send_modify(|waiting| *waiting -= 1);
    }
}

/// Waits for something, but not for ever.
pub(super) async fn in_time<T>(something: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, something).await.expect("what a test waits for comes in time")
}
