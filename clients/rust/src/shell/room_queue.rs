//! What was delivered and not yet taken: a bounded queue a room, and the gate that stops the socket from being read.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_util::task::AtomicWaker;

use crate::event::RoomEvent;

/// Tells the connection's task whether it may read the socket: not while a room's queue is full.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    full_queues: AtomicUsize,
    reader: AtomicWaker,
}

impl Gate {
    /// Tells whether the socket may be read; if not, the task is woken once it may.
    pub(super) fn is_open(&self, context: &Context<'_>) -> bool {
        if self.full_queues.load(Ordering::Acquire) == 0 {
            return true;
        }
        self.reader.register(context.waker());
        self.full_queues.load(Ordering::Acquire) == 0
    }

    fn queue_filled(&self) {
        self.full_queues.fetch_add(1, Ordering::AcqRel);
    }

    fn queue_drained(&self) {
        if self.full_queues.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.reader.wake();
        }
    }
}

/// What was delivered of one room and not yet taken by the program.
///
/// It may pass its bound by what one frame of the server brings; then nothing more is read until half of it was taken.
#[derive(Debug)]
pub(crate) struct RoomQueue {
    state: Mutex<State>,
    gate: Arc<Gate>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<(RoomEvent, usize)>,
    bytes: usize,
    is_full: bool,
    /// Nothing follows.
    is_ended: bool,
    /// Nobody takes anything any more.
    is_abandoned: bool,
    taker: Option<Waker>,
}

impl RoomQueue {
    pub(crate) fn new(gate: Arc<Gate>, bytes_max: usize) -> Self {
        Self { state: Mutex::default(), gate, bytes_max }
    }

    /// Adds an event; drops it if nobody takes any.
    pub(super) fn push(&self, event: RoomEvent) {
        let mut state = self.lock();
        if state.is_abandoned {
            return;
        }
        let weight_bytes = event.weight_bytes();
        state.bytes += weight_bytes;
        state.events.push_back((event, weight_bytes));
        if state.bytes > self.bytes_max && !state.is_full {
            state.is_full = true;
            self.gate.queue_filled();
        }
        if let Some(taker) = state.taker.take() {
            drop(state);
            taker.wake();
        }
    }

    /// Lets the taker know that nothing follows.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.is_ended = true;
        if let Some(taker) = state.taker.take() {
            drop(state);
            taker.wake();
        }
    }

    /// Takes the next event; none once all were taken and nothing follows.
    pub(crate) fn poll_take(&self, context: &Context<'_>) -> Poll<Option<RoomEvent>> {
        let mut state = self.lock();
        let Some((event, weight_bytes)) = state.events.pop_front() else {
            if state.is_ended {
                return Poll::Ready(None);
            }
            state.taker = Some(context.waker().clone());
            return Poll::Pending;
        };
        state.bytes -= weight_bytes;
        if state.is_full && state.bytes <= self.bytes_max / 2 {
            state.is_full = false;
            self.gate.queue_drained();
        }
        Poll::Ready(Some(event))
    }

    /// Throws everything away, now and in future.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.is_abandoned = true;
        state.events = VecDeque::new();
        state.bytes = 0;
        if std::mem::take(&mut state.is_full) {
            self.gate.queue_drained();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use rollcall_protocol::Seq;

    use super::*;

    fn event(seq: u64) -> RoomEvent {
        RoomEvent::Expired { from: Seq::new(seq), to: Seq::new(seq) }
    }

    #[test]
    fn a_full_queue_closes_the_gate_until_half_of_it_was_taken() {
        let context = Context::from_waker(Waker::noop());
        let gate = Arc::new(Gate::default());
        let queue = RoomQueue::new(Arc::clone(&gate), 4 * event(0).weight_bytes());
        for seq in 1..=4 {
            queue.push(event(seq));
            assert!(gate.is_open(&context));
        }
        queue.push(event(5));
        assert!(!gate.is_open(&context));
        for (seq, is_open) in [(1, false), (2, false), (3, true), (4, true), (5, true)] {
            assert_eq!(queue.poll_take(&context), Poll::Ready(Some(event(seq))));
            assert_eq!(gate.is_open(&context), is_open, "after {seq}");
        }
        assert_eq!(queue.poll_take(&context), Poll::Pending);
        queue.end();
        assert_eq!(queue.poll_take(&context), Poll::Ready(None));
    }

    #[test]
    fn an_abandoned_queue_opens_the_gate_and_holds_nothing() {
        let context = Context::from_waker(Waker::noop());
        let gate = Arc::new(Gate::default());
        let queue = RoomQueue::new(Arc::clone(&gate), 0);
        queue.push(event(1));
        assert!(!gate.is_open(&context));
        queue.abandon();
        assert!(gate.is_open(&context));
        queue.push(event(2));
        assert!(gate.is_open(&context));
        assert_eq!(queue.poll_take(&context), Poll::Pending);
    }
}
