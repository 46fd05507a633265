//! What a room's actor tells the node that has started it.

use std::sync::Arc;

use rollcall_protocol::{Entry, OwnerId, RoomId, Seq};

use super::handle::Cluster;
use crate::cluster::node_core::{Life, NodeInput, OwnerEvent};
use crate::cluster::ownership::ActivateWith;
use crate::cluster::{NodeRef, Replaced, RoomStanding, SubmitReply};
use crate::ports::{Activate, Fence};
use crate::room::{RoomState, StopReason};

/// The link of an owner to its node. Dropped before the owner said how it ended, as when its actor panics, it says so itself.
#[derive(Debug)]
pub struct OwnerLink {
    cluster: Cluster,
    room: RoomId,
    life: Life,
    with: ActivateWith,
    /// The last word, unless another is said.
    last: Option<OwnerEvent>,
}

impl OwnerLink {
    /// Links the owner `life` of a room, which is to be activated with what Redis has given.
    pub fn new(cluster: Cluster, room: RoomId, life: Life, with: ActivateWith) -> Self {
        Self { cluster, room, life, with, last: Some(OwnerEvent::NotActivated) }
    }

    /// Returns what the log is asked with.
    pub fn activate(&self, owner: OwnerId) -> Activate {
        Activate { owner, epoch: self.with.epoch, tip_hint: self.with.hint }
    }

    /// Tells whether the time of day of this node can be gone by where a wrong one does harm.
    pub fn has_right_clock(&self, wall_ms: i64) -> bool {
        self.cluster.has_right_clock(wall_ms)
    }

    /// Says that the log has activated the room.
    pub fn activated(&mut self, fence: Fence, replaced: Replaced, state: &RoomState) {
        let standing = RoomStanding { epoch: fence.epoch, head: state.head, hash: state.hash, floor: state.floor };
        self.last = Some(OwnerEvent::Lost);
        self.tell(OwnerEvent::Activated { fence, replaced, standing });
    }

    /// Says what was committed, with the room's floor, and what other nodes are answered.
    pub fn progressed(&self, committed: Option<(Arc<[Entry]>, Seq)>, replies: Vec<(NodeRef, SubmitReply)>) {
        match committed {
            Some((entries, floor)) => self.tell(OwnerEvent::Committed { entries, floor, replies }),
            None if replies.is_empty() => {}
            None => self.tell(OwnerEvent::Replied(replies)),
        }
    }

    /// Says that the log was not asked, since as many rooms are active here as may be.
    pub fn no_space(mut self) {
        self.last = Some(OwnerEvent::NoSpace);
    }

    /// Says that the owner has ended, and why.
    pub fn stopped(mut self, reason: StopReason) {
        self.last = Some(OwnerEvent::Stopped { reason });
    }

    fn tell(&self, event: OwnerEvent) {
        self.cluster.tell(NodeInput::Owner { room: self.room.clone(), life: self.life, event });
    }
}

impl Drop for OwnerLink {
    fn drop(&mut self) {
        if let Some(event) = self.last.take() {
            self.tell(event);
        }
    }
}
