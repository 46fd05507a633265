//! The queues of the committer and of the readers: the call that pushes takes the place.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A first-in, first-out queue of many producers and few consumers, each a thread.
///
/// It is bounded by its users: a room has one append in flight, one activation, one snapshot.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    closed: bool,
}

impl<T> Queue<T> {
    /// Makes an empty queue.
    pub fn new() -> Self {
        Self { state: Mutex::new(State { items: VecDeque::new(), closed: false }), filled: Condvar::new() }
    }

    /// Appends items that follow each other directly; gives them back if the queue is closed.
    pub fn push_all(&self, items: Vec<T>) -> Result<(), Vec<T>> {
        let mut state = self.lock();
        if state.closed {
            return Err(items);
        }
        state.items.extend(items);
        self.filled.notify_one();
        Ok(())
    }

    /// Appends an item; gives it back if the queue is closed.
    pub fn push(&self, item: T) -> Result<(), T> {
        let mut state = self.lock();
        if state.closed {
            return Err(item);
        }
        state.items.push_back(item);
        self.filled.notify_one();
        Ok(())
    }

    /// Takes no more items; what is queued is still given out.
    pub fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    /// Waits for items, then `gather` longer, and takes from the front as long as `fits` says so, at least one. None once the
    /// queue is closed and empty.
    pub fn take_group(&self, gather: Duration, mut fits: impl FnMut(&T) -> bool) -> Option<Vec<T>> {
        let mut state = self.lock();
        while state.items.is_empty() {
            if state.closed {
                return None;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !gather.is_zero() && !state.closed {
            drop(state);
            std::thread::sleep(gather);
            state = self.lock();
        }
        let mut count = 0;
        while let Some(item) = state.items.get(count) {
            if !fits(item) && count > 0 {
                break;
            }
            count += 1;
        }
        Some(state.items.drain(..count).collect())
    }

    /// Gives everything that is queued or arrives until `deadline` to `each`; true once the queue is closed.
    pub fn drain_until(&self, deadline: Instant, mut each: impl FnMut(T)) -> bool {
        loop {
            let mut state = self.lock();
            let now = Instant::now();
            if state.items.is_empty() && !state.closed && now < deadline {
                let waited = self.filled.wait_timeout(state, deadline - now);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            let items = std::mem::take(&mut state.items);
            let closed = state.closed;
            drop(state);
            items.into_iter().for_each(&mut each);
            if closed || Instant::now() >= deadline {
                return closed;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
