//! What a seat and those around it share.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use tokio::sync::Notify;

/// A seat's orders, and where it is.
#[derive(Debug, Default)]
pub struct Board {
    orders: RefCell<VecDeque<Order>>,
    rung: Notify,
    /// The last entry that the seat was given.
    pub cursor: Cell<u64>,
    /// Writes that were sent and not answered.
    pub unanswered: Cell<usize>,
    /// The seat reads and writes no more.
    pub is_lost: Cell<bool>,
}

/// A write to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Due at this time, in µs: what is late counts as latency.
    Due(u64),
    /// To be sent at once; its latency counts from when it is sent.
    Now,
}

impl Board {
    /// Orders a write.
    pub fn order(&self, order: Order) {
        self.orders.borrow_mut().push_back(order);
        self.rung.notify_one();
    }

    /// Takes the next order.
    pub fn take(&self) -> Option<Order> {
        self.orders.borrow_mut().pop_front()
    }

    /// Waits for an order that came after the last look.
    ///
    /// # Cancel safety
    /// Safe: an order that came is not forgotten.
    pub async fn rung(&self) {
        self.rung.notified().await;
    }

    /// Tells whether all that was ordered was sent and answered.
    pub fn is_settled(&self) -> bool {
        self.is_lost.get() || (self.unanswered.get() == 0 && self.orders.borrow().is_empty())
    }
}
