//! One moment of the modelled world.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rollcall_actors::fencing::Statement;
use rollcall_protocol::{OwnerId, Seq};

use crate::limits::Limits;
use crate::node::Node;
use crate::store::Store;

/// Everything that there is. What seldom changes is shared between states.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The store.
    pub store: Arc<Store>,
    /// The nodes; none is down.
    pub nodes: [Option<Arc<Node>>; 2],
    /// Statements that were given up and may still be carried out.
    pub late: Vec<Statement>,
    /// What clients and readers were told.
    pub told: Arc<Told>,
    /// How much has happened.
    pub spent: Spent,
}

/// What clients and readers were told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Told {
    /// The number of each write that was acked.
    pub acked: BTreeMap<u8, Seq>,
    /// A write was acked under two numbers.
    pub acked_twice: bool,
    /// A client was given a refusal that nothing it did can have caused.
    pub misjudged: bool,
    /// Number, owner and write of appends that were answered as not committed, and never will be.
    pub not_committed: BTreeSet<(Seq, OwnerId, Option<u8>)>,
    /// What readers were shown under each number: the owner who wrote it, and which write it is.
    pub shown: BTreeMap<Seq, (OwnerId, Option<u8>)>,
    /// Readers were shown two entries of one number.
    pub shown_two: bool,
    /// The log was called damaged.
    pub damaged: bool,
    /// An append whose outcome was unknown was found to be committed.
    pub unknown_was_committed: bool,
    /// An append whose outcome was unknown was found not to be committed.
    pub unknown_was_not_committed: bool,
}

/// How much has happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Spent {
    /// Activations begun.
    pub activations: u8,
    /// Nodes that died.
    pub crashes: u8,
    /// Statements given up.
    pub timeouts: u8,
    /// Answers lost.
    pub lost_replies: u8,
    /// Snapshots stored.
    pub snapshots: u8,
    /// Different writes that clients have made.
    pub writes: u8,
}

impl State {
    /// Nothing has happened yet.
    pub fn first(limits: &Limits) -> Self {
        Self {
            store: Arc::new(Store::new(limits.buckets)),
            nodes: [None, None],
            late: Vec::new(),
            told: Arc::default(),
            spent: Spent::default(),
        }
    }
}
