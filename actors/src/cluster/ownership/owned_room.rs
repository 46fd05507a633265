//! One room that this node owns, and the commands that make Redis say so.

use std::sync::Arc;

use rollcall_protocol::{Epoch, RoomId, Seq};

use super::command::RedisCommand;
use super::record::OwnerRecord;
use crate::cluster::NodeRef;

/// A room's keys: what they should hold, and what is known of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Room {
    /// What this node wrote or claimed last under the owner key.
    pub(super) own: Option<Arc<str>>,
    /// Its present record; none when the room was given up.
    pub(super) wanted: Option<OwnerRecord>,
    /// What is known of the owner key.
    pub(super) key: Key,
    /// An epoch that the room's counter may lie below.
    pub(super) raise_epoch: Option<Epoch>,
    /// What the hint where the log ends should be.
    pub(super) seq: Option<(Seq, Hint)>,
    pub(super) verify_at_ms: u64,
    /// What was asked and not answered.
    pub(super) in_flight: Option<Asked>,
}

/// What is known of a room's owner key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) enum Key {
    #[default]
    Unknown,
    /// It holds what it should.
    Right,
    /// It held this, which is to be replaced.
    Wrong(Option<Arc<str>>),
    /// It names another owner who may be in the right.
    Disputed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Hint {
    Raise,
    Correct,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Asked {
    Swap { expected: Option<Arc<str>>, new: Option<Arc<str>> },
    Epoch(Epoch),
    Seq(Seq, Hint),
}

impl Room {
    /// Returns what to ask next.
    pub(super) fn next(&self) -> Option<Asked> {
        let new = self.wanted.as_ref().map(OwnerRecord::text);
        match &self.key {
            Key::Unknown => return Some(Asked::Swap { expected: self.own.clone(), new }),
            Key::Wrong(held) => return Some(Asked::Swap { expected: held.clone(), new }),
            Key::Right | Key::Disputed => {}
        }
        if let Some(epoch) = self.raise_epoch {
            return Some(Asked::Epoch(epoch));
        }
        self.seq.map(|(seq, hint)| Asked::Seq(seq, hint))
    }

    /// Takes in what the key holds instead of what was expected, and returns an owner who may be in the right.
    pub(super) fn found(&mut self, me: &NodeRef, found: Option<Arc<str>>) -> Option<OwnerRecord> {
        let record = found.as_deref().and_then(OwnerRecord::parse);
        let is_mine = record.as_ref().is_some_and(|record| record.owner == *me);
        let dispute = match &self.wanted {
            // Nothing of this node's is there: nothing is to be deleted.
            None if !is_mine => {
                self.key = Key::Right;
                return None;
            }
            Some(wanted) if found.as_deref() == Some(&*wanted.text()) => {
                self.key = Key::Right;
                return None;
            }
            // A higher epoch replaces a lower one, the present record an earlier one of this node, and anything garbage.
            Some(wanted) => record.filter(|record| !is_mine && record.epoch >= wanted.epoch),
            None => None,
        };
        self.key = if dispute.is_some() { Key::Disputed } else { Key::Wrong(found) };
        dispute
    }
}

impl Asked {
    pub(super) fn command(&self, room: &RoomId) -> RedisCommand {
        let room = room.clone();
        match self {
            Self::Swap { expected, new } => {
                RedisCommand::SwapOwner { room, expected: expected.clone(), new: new.clone() }
            }
            Self::Epoch(to) => RedisCommand::RaiseEpoch { room, to: *to },
            Self::Seq(to, Hint::Raise) => RedisCommand::RaiseSeq { room, to: *to },
            Self::Seq(to, Hint::Correct) => RedisCommand::CorrectSeq { room, to: *to },
        }
    }
}
