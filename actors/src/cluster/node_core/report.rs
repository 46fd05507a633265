//! What operators see of a room on a node.

use std::ops::Bound;

use rollcall_protocol::{Epoch, RoomId, Seq};

use super::node::NodeCore;
use super::room::Phase;
use crate::cluster::NodeRef;

/// A room on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomReport {
    /// Which room.
    pub room: RoomId,
    /// What the node is to it.
    pub role: RoomRole,
    /// Whether it is read here.
    pub is_read: bool,
    /// The ownership, the highest that was heard of; 0 where none was.
    pub epoch: Epoch,
    /// The last committed number that is known here; none where none is.
    pub head: Option<Seq>,
    /// Who owns it, as far as is known here.
    pub owner: Option<NodeRef>,
    /// Of an owner: the nodes that watch it.
    pub watchers: Vec<NodeRef>,
}

/// What a node is to a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomRole {
    /// It numbers the room's entries.
    Owner,
    /// It is about to, or was fenced and ends.
    Moving,
    /// It shows the room. The owner has confirmed that it sends every batch, or what may be missing is read from the log.
    Replica {
        /// Whether the owner has.
        is_confirmed: bool,
    },
    /// It looks for the owner.
    Seeking,
}

/// The beacons between this node and others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BeaconReport {
    /// Nodes that watch rooms here: the number of the last beacon to each, and how many rooms.
    pub sent: Vec<(NodeRef, u64, usize)>,
    /// Nodes at which rooms are watched: the number of the last beacon of each, none where none came yet, and how many rooms.
    pub heard: Vec<(NodeRef, Option<u64>, usize)>,
}

impl<T> NodeCore<T> {
    /// Returns how the beacons stand.
    pub fn beacon_report(&self) -> BeaconReport {
        BeaconReport {
            sent: self.beacons.reports().map(|(to, number, rooms)| (to.clone(), number, rooms)).collect(),
            heard: self.links.reports().map(|(from, number, rooms)| (from.clone(), number, rooms)).collect(),
        }
    }

    /// Returns the rooms that are wanted here, by their names, from the first after `after` on.
    pub fn rooms_after(&self, after: Option<&RoomId>) -> impl Iterator<Item = &RoomId> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.rooms.range::<RoomId, _>((from, Bound::Unbounded)).map(|(room, _)| room)
    }

    /// Returns what this node knows of a room; none where nobody wants it here.
    pub fn report(&self, room: &RoomId) -> Option<RoomReport> {
        let state = self.rooms.get(room)?;
        let is_read = state.readers > 0;
        let report = RoomReport {
            room: room.clone(),
            role: RoomRole::Seeking,
            is_read,
            epoch: Epoch::ZERO,
            head: None,
            owner: state.found.clone(),
            watchers: Vec::new(),
        };
        let owner = state.owner.as_ref().map(|owner| &owner.phase);
        let shown = state.shown.as_ref().map(|shown| &shown.replica);
        Some(match (owner, shown) {
            (Some(Phase::Active(active)), _) if active.notice.is_open() => RoomReport {
                role: RoomRole::Owner,
                epoch: active.fence.epoch,
                head: Some(active.standing.head),
                owner: Some(self.me.clone()),
                watchers: active.watchers.nodes().cloned().collect(),
                ..report
            },
            (Some(_), None) => RoomReport { role: RoomRole::Moving, ..report },
            (_, Some(replica)) => RoomReport {
                role: RoomRole::Replica { is_confirmed: replica.confirmed_at().is_some() },
                epoch: replica.epoch(),
                head: replica.head(),
                ..report
            },
            (None, None) => report,
        })
    }
}
