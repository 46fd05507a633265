//! Where tests make the log fail.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Faults that a test asks the committer for. Inert unless told otherwise, and then one lock taken per group.
///
/// Clones share their faults: one goes into [`EmbeddedOptions`](super::EmbeddedOptions), the test keeps the other.
#[derive(Debug, Clone, Default)]
pub struct FaultPoints {
    shared: Arc<(Mutex<Faults>, Condvar)>,
}

#[derive(Debug, Default)]
struct Faults {
    held: bool,
    /// Groups that may pass although groups are held.
    passes: usize,
    waiting: usize,
    next: Option<Injected>,
}

/// How a commit is made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Injected {
    /// Before anything was written: none of the group is there after the reopen.
    Commit,
    /// After the group was handed to the system and before it was synced: all of it is there after the reopen, since the
    /// machine goes on; it might not be if it did not.
    Sync,
    /// The committer panics, as only a mistake of its own could make it.
    Panic,
}

impl FaultPoints {
    /// Holds every group from now on before it is written and synced, until it is released.
    pub fn hold_syncs(&self) {
        self.lock().held = true;
    }

    /// Lets all groups go again.
    pub fn release_syncs(&self) {
        let mut faults = self.lock();
        faults.held = false;
        faults.passes = 0;
        self.shared.1.notify_all();
    }

    /// Lets one group go, and holds the ones after it.
    pub fn release_one_sync(&self) {
        self.lock().passes += 1;
        self.shared.1.notify_all();
    }

    /// Waits until a group is being held; false if none was within the time.
    pub fn wait_until_held(&self, timeout: Duration) -> bool {
        let waiting =
            self.shared.1.wait_timeout_while(self.lock(), timeout, |faults| faults.waiting == 0 || faults.passes > 0);
        waiting.is_ok_and(|(_, result)| !result.timed_out())
    }

    /// Makes the next commit fail before anything was written.
    pub fn fail_next_commit(&self) {
        self.lock().next = Some(Injected::Commit);
    }

    /// Makes the next sync fail, after the group was handed to the system.
    pub fn fail_next_sync(&self) {
        self.lock().next = Some(Injected::Sync);
    }

    /// Makes the committer panic at the next commit.
    pub fn panic_at_next_commit(&self) {
        self.lock().next = Some(Injected::Panic);
    }

    /// The committer's side: waits while groups are held, then says how the group is to fail, if it is.
    pub(super) fn before_commit(&self) -> Option<Injected> {
        let mut faults = self.lock();
        while faults.held && faults.passes == 0 {
            faults.waiting += 1;
            self.shared.1.notify_all();
            faults = self.shared.1.wait(faults).unwrap_or_else(PoisonError::into_inner);
            faults.waiting -= 1;
        }
        if faults.held {
            faults.passes -= 1;
        }
        faults.next.take()
    }

    fn lock(&self) -> MutexGuard<'_, Faults> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
