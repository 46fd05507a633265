//! What can happen next.

/// One event. Nodes are 0 and 1, writes are numbered from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A node begins to activate the room, told an epoch and a bucket by Redis.
    Start {
        /// Which node.
        node: usize,
        /// The epoch.
        epoch: u64,
        /// The bucket.
        hint: u64,
    },
    /// A client gives a write to a node, for the first time or again.
    Submit {
        /// Which node.
        node: usize,
        /// Which write.
        write: u8,
    },
    /// The store carries out what a node has sent.
    Execute(usize),
    /// The node gets the answer.
    Deliver(usize),
    /// The node gives up waiting for a statement that was not carried out yet.
    TimeOut(usize),
    /// The node gives up waiting for an answer, which is lost.
    LoseReply(usize),
    /// The store carries out a statement that was given up.
    ExecuteLate(usize),
    /// Ten seconds have passed since an append was given whose outcome is unknown.
    Deadline(usize),
    /// The node stores a snapshot of its committed state.
    Snapshot(usize),
    /// The node dies.
    Crash(usize),
}
