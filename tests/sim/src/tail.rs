//! The tail of a room that all connections of a node share: its last entries.

use std::collections::VecDeque;

use rollcall_actors::cluster::node_core::Life;
use rollcall_protocol::{Entry, Seq};

/// Entries that it keeps: few, so that readers fall behind.
const ENTRIES_MAX: usize = 32;

/// The last entries that a node shows of a room.
#[derive(Debug, Default)]
pub struct Tail {
    entries: VecDeque<Entry>,
    head: Seq,
    /// The owner on this node whose entries it shows; none while a replica's are shown.
    pub owner: Option<Life>,
}

/// What lies past a cursor.
#[derive(Debug, PartialEq, Eq)]
pub enum Pulled {
    /// Nothing.
    Nothing,
    /// These entries, the first of which is the next one.
    Entries(Vec<Entry>),
    /// The cursor has fallen behind: the log is to be read.
    Behind,
}

impl Tail {
    /// Begins after a number; what was kept before is dropped, unless it goes on there.
    pub fn begin(&mut self, head: Seq) {
        if self.head != head {
            self.entries.clear();
            self.head = head;
        }
    }

    /// Adds entries. They are kept as they come: to put them in order is not the tail's.
    pub fn push(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.head = entry.seq;
            self.entries.push_back(entry.clone());
        }
        while self.entries.len() > ENTRIES_MAX {
            self.entries.pop_front();
        }
    }

    /// Returns the last number.
    pub fn head(&self) -> Seq {
        self.head
    }

    /// Returns what lies past a cursor.
    pub fn pull(&self, cursor: Seq) -> Pulled {
        if cursor >= self.head {
            return Pulled::Nothing;
        }
        match self.entries.front() {
            Some(first) if first.seq <= cursor.next() => {
                Pulled::Entries(self.entries.iter().filter(|entry| entry.seq > cursor).cloned().collect())
            }
            _ => Pulled::Behind,
        }
    }
}
