//! Joining: whether the cursor lies on the room's history, and the subscription.

use std::sync::Arc;

use ractor::ActorRef;
use rollcall_protocol::{ErrorFrame, Seq};

use super::{Phase, RoomActorState, RoomMsg};
use crate::cluster::RoomFacts;
use crate::room::SenderKey;
use crate::shell::handle::{Subscribed, moving};
use crate::shell::joins::{check_in_log, may_join, own_hash, unreadable};
use crate::shell::replies::ReadReply;
use crate::shell::request::{JoinRequest, diverged};
use crate::shell::work::report;

impl RoomActorState {
    /// Joins at once where the room itself knows that the cursor lies on its history, and asks the log where it does not.
    pub(super) fn check_join(&mut self, myself: &ActorRef<RoomMsg>, join: Box<JoinRequest>, reply: ReadReply) {
        let (Some((state, _)), Some(handle)) = (self.phase.shown(), &self.handle) else { return };
        if let Err(error) = may_join(state, &join) {
            return reply.fail(error);
        }
        let Some(after) = join.after else { return self.join(&join, reply) };
        let ours = own_hash(state, after).or_else(|| handle.tail.find(after, |entry| entry.hash));
        let head = state.head;
        match (join.hash, ours) {
            (None, _) if after <= head => self.join(&join, reply),
            (Some(theirs), Some(ours)) if theirs == ours => self.join(&join, reply),
            (Some(_), Some(_)) => reply.fail(diverged(after, head)),
            // What the client has seen there may be restored.
            _ if after > head && matches!(self.phase, Phase::Damaged(_)) => reply.fail(unreadable()),
            _ => self.check_join_in_log(myself, join, reply, (head, after)),
        }
    }

    fn check_join_in_log(
        &self,
        myself: &ActorRef<RoomMsg>,
        join: Box<JoinRequest>,
        reply: ReadReply,
        (head, after): (Seq, Seq),
    ) {
        let Some(handle) = self.handle.clone() else { return };
        let (log, room, actor) = (self.shared.log(), handle.tail.room().clone(), myself.clone());
        let hash = join.hash;
        let work = async move {
            check_in_log(&*log, &room, head, (after, hash), |error| handle.look_at_error(after, error)).await
        };
        let tell = |result| RoomMsg::JoinChecked(join, reply, result);
        self.shared.spawn(report(actor, work, Err(unreadable()), tell));
    }

    /// Takes what the log said of a cursor; rights and floor may have changed meanwhile.
    pub(super) fn join_checked(&self, join: &JoinRequest, reply: ReadReply, result: Result<(), ErrorFrame>) {
        let may_still_join = self.phase.shown().map_or(Ok(()), |(state, _)| may_join(state, join));
        match may_still_join.and(result) {
            Ok(()) => self.join(join, reply),
            Err(error) => reply.fail(error),
        }
    }

    fn join(&self, join: &JoinRequest, reply: ReadReply) {
        let (Some((state, epoch)), Some(handle)) = (self.phase.shown(), self.handle.clone()) else {
            return reply.refuse(moving());
        };
        let key = SenderKey { user: join.user.clone(), device: join.device.clone() };
        let facts = RoomFacts::of(state, epoch, Some(&key));
        match reply {
            ReadReply::There(asked) => asked.tell(Ok(facts)),
            ReadReply::Here(reply) => {
                let joined = facts.joined(handle.tail.room().clone());
                let cursor = join.after.unwrap_or(facts.head);
                let inbox = Arc::clone(reply.inbox());
                reply.joined(Ok(Subscribed::new(joined, cursor, handle, inbox)));
            }
        }
    }
}
