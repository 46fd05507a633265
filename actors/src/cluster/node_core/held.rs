//! What is sent to an owner that this node may be about to become, until it is.

use std::collections::BTreeSet;

use crate::cluster::NodeRef;
use crate::cluster::envelope::Submit;

/// Submits that wait for one room. What comes beyond a bound is not answered, and comes again.
const SUBMITS_MAX: usize = 256;

/// Their size, in bytes; the first one always fits.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Size of the submits that wait for all rooms of a node, in bytes; a turn may go beyond it by one envelope.
pub(super) const NODE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The submits that wait for one room, in the order in which they are to be taken.
#[derive(Debug, Default)]
pub(super) struct HeldSubmits {
    submits: Vec<(NodeRef, Submit)>,
    bytes: usize,
    /// As much as the node has counted of it.
    pub counted_bytes: usize,
}

impl HeldSubmits {
    pub fn is_empty(&self) -> bool {
        self.submits.is_empty()
    }

    /// Returns their size, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes one more, if it fits. What it repeats takes its place: whoever sends a write again sends all that comes after it, too,
    /// now or later.
    pub fn push(&mut self, from: NodeRef, submit: Submit) {
        self.forget_repeated(&from, &submit);
        let bytes = submit.weight_bytes();
        if self.submits.is_empty() || self.submits.len() < SUBMITS_MAX && self.bytes + bytes <= BYTES_MAX {
            self.bytes += bytes;
            self.submits.push((from, submit));
        }
    }

    fn forget_repeated(&mut self, from: &NodeRef, later: &Submit) {
        let again: BTreeSet<u64> = later.writes.iter().map(|write| write.n).collect();
        for (node, earlier) in &mut self.submits {
            if node == from && earlier.user == later.user && earlier.device == later.device {
                earlier.writes.retain(|write| !again.contains(&write.n));
            }
        }
        self.retain(|_, submit| !submit.writes.is_empty());
    }

    /// Forgets what a node sent that is gone.
    pub fn forget_node(&mut self, node: &NodeRef) {
        self.retain(|from, _| from != node);
    }

    fn retain(&mut self, keep: impl Fn(&NodeRef, &Submit) -> bool) {
        self.submits.retain(|(from, submit)| keep(from, submit));
        self.bytes = self.submits.iter().map(|(_, submit)| submit.weight_bytes()).sum();
    }

    /// Takes all of them out.
    pub fn take(&mut self) -> Vec<(NodeRef, Submit)> {
        self.bytes = 0;
        std::mem::take(&mut self.submits)
    }
}
