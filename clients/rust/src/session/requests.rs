//! The commands of a connection that have no answer yet.

use std::collections::BTreeMap;

use rollcall_protocol::{Body, Command, Op, RoomId};

use super::effect::Effect;

/// How long the server may take to answer a command, in milliseconds; a connection that takes longer is given up.
pub const ANSWER_TIMEOUT_MS: u64 = 30_000;

/// What a command was sent for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    Hello,
    Refresh,
    Join(RoomId),
    Write(RoomId, u64),
    /// A page to close a hole in a room.
    Repair(RoomId),
    /// A page for the program.
    Query(u64),
    /// Its answer does not matter.
    Courtesy,
}

/// The commands of a connection that have no answer yet, by their ids.
#[derive(Debug, Default)]
pub(super) struct Requests {
    last_id: u64,
    open: BTreeMap<u64, Open>,
}

#[derive(Debug)]
struct Open {
    purpose: Purpose,
    sent_ms: u64,
}

impl Requests {
    /// Returns the id of the next command.
    pub(super) fn next_id(&self) -> u64 {
        self.last_id + 1
    }

    /// Sends a command.
    pub(super) fn send(&mut self, now_ms: u64, purpose: Purpose, op: Op<Body>, effects: &mut Vec<Effect>) {
        self.last_id += 1;
        self.open.insert(self.last_id, Open { purpose, sent_ms: now_ms });
        effects.push(Effect::Send(Command { id: Some(self.last_id), op }));
    }

    /// Takes what a command was sent for, once it is answered.
    pub(super) fn answered(&mut self, id: u64) -> Option<Purpose> {
        self.open.remove(&id).map(|open| open.purpose)
    }

    /// Forgets all, since the connection is gone. Ids go on growing, so that no late answer is taken for another's.
    pub(super) fn clear(&mut self) {
        self.open.clear();
    }

    /// Returns when the oldest command has waited too long for its answer.
    pub(super) fn deadline_ms(&self, resumed_ms: u64) -> Option<u64> {
        let (_, oldest) = self.open.first_key_value()?;
        Some(oldest.sent_ms.max(resumed_ms) + ANSWER_TIMEOUT_MS)
    }
}
