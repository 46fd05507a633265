//! Joining: whether the cursor lies on the room's history, and the subscription.

use std::sync::Arc;

use ractor::ActorRef;
use rollcall_protocol::{ErrorCode, ErrorFrame, Joined, Seq};

use super::report::report;
use super::{Active, Phase, RoomActorState, RoomMsg, forbidden, moving, only};
use crate::limits::REFUSED_RETRY_MS;
use crate::ports::LogError;
use crate::room::SenderKey;
use crate::shell::handle::Subscribed;
use crate::shell::inbox::ReplySlot;
use crate::shell::request::{JoinRequest, diverged, expired};

impl RoomActorState {
    /// Joins at once where the room itself knows that the cursor lies on its history, and asks the log where it does not.
    pub(super) fn check_join(&mut self, myself: &ActorRef<RoomMsg>, join: Box<JoinRequest>, reply: ReplySlot) {
        let (Phase::Active(active), Some(handle)) = (&self.phase, &self.handle) else { return };
        if let Err(error) = active.may_join(&join) {
            return reply.joined(Err(error));
        }
        let Some(after) = join.after else { return self.join(&join, reply) };
        let state = active.core.committed();
        let own_hash = if after == state.head {
            Some(state.hash)
        } else if after == state.floor.previous() {
            Some(state.floor_hash)
        } else {
            handle.tail.find(after, |entry| entry.hash)
        };
        let head = state.head;
        match (join.hash, own_hash) {
            (None, _) if after <= head => self.join(&join, reply),
            (Some(theirs), Some(ours)) if theirs == ours => self.join(&join, reply),
            (Some(_), Some(_)) => reply.joined(Err(diverged(after, head))),
            _ => self.check_join_in_log(myself, join, reply, after),
        }
    }

    fn check_join_in_log(&self, myself: &ActorRef<RoomMsg>, join: Box<JoinRequest>, reply: ReplySlot, after: Seq) {
        let Some(handle) = self.handle.clone() else { return };
        let (log, room, actor) = (self.shared.log(), handle.tail.room().clone(), myself.clone());
        let hash = join.hash;
        let work = async move {
            let failed = |error| match error {
                LogError::Expired { floor } => expired(after, floor),
                LogError::Unavailable(_) | LogError::Damaged(_) => unreadable(),
            };
            let last = log.tail(&room).await.map_err(failed)?.map_or(Seq::ZERO, |tail| tail.last_seq);
            if after > last {
                return Err(diverged(after, last));
            }
            let entries = log.read(&room, only(after)).await.map_err(failed)?;
            let ours = entries.first().map(|entry| entry.hash);
            if hash.is_some() && hash != ours { Err(diverged(after, last)) } else { Ok(()) }
        };
        let tell = |result| RoomMsg::JoinChecked(join, reply, result);
        self.shared.spawn(report(actor, work, Err(unreadable()), tell));
    }

    /// Takes what the log said of a cursor; rights and floor may have changed meanwhile.
    pub(super) fn join_checked(&self, join: &JoinRequest, reply: ReplySlot, result: Result<(), ErrorFrame>) {
        let may_join = match &self.phase {
            Phase::Active(active) => active.may_join(join),
            Phase::Activating(_) | Phase::Over => Ok(()),
        };
        match may_join.and(result) {
            Ok(()) => self.join(join, reply),
            Err(error) => reply.joined(Err(error)),
        }
    }

    fn join(&self, join: &JoinRequest, reply: ReplySlot) {
        let (Phase::Active(active), Some(handle)) = (&self.phase, self.handle.clone()) else {
            return reply.refuse(moving());
        };
        let state = active.core.committed();
        let key = SenderKey { user: join.user.clone(), device: join.device.clone() };
        let joined = Joined {
            room: handle.tail.room().clone(),
            epoch: active.core.fence().epoch,
            head: state.head,
            floor: state.floor,
            hash: state.hash,
            last_n: state.last_n(&key),
        };
        let cursor = join.after.unwrap_or(state.head);
        let inbox = Arc::clone(reply.inbox());
        reply.joined(Ok(Subscribed::new(joined, cursor, handle, inbox)));
    }
}

/// The error for a join whose cursor cannot be checked now.
fn unreadable() -> ErrorFrame {
    ErrorFrame::new(ErrorCode::Unavailable, "the room's log cannot be read now").retry_after_ms(REFUSED_RETRY_MS)
}

impl Active {
    /// Tells why somebody may not join, whatever the log says of the cursor.
    fn may_join(&self, join: &JoinRequest) -> Result<(), ErrorFrame> {
        let state = self.core.committed();
        if !join.rights.read || !state.admits(&join.user) {
            return Err(forbidden());
        }
        match join.after {
            Some(after) if after < state.floor.previous() => Err(expired(after, state.floor)),
            _ => Ok(()),
        }
    }
}
