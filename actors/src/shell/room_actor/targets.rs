//! What a write is about: looked for in the room's memory and then in the log, before the write takes its turn.

use std::collections::VecDeque;

use ractor::ActorRef;
use rollcall_protocol::{Entry, Seq};

use super::damaged::damaged;
use super::{Lookup, Phase, RoomActorState, RoomMsg, draw_salt};
use crate::ports::LogError;
use crate::room::{Input, SenderKey, Submit, Target};
use crate::shell::joins::only;
use crate::shell::replies::WriteReply;
use crate::shell::request::WriteRequest;
use crate::shell::work::report;

/// Where a write's target was found.
enum Found {
    /// Here, or the write has none.
    Known(Option<Target>),
    /// Only the log knows.
    AskLog(Seq),
}

impl RoomActorState {
    /// Passes a write to the core, once what it is about is known. Writes of one device keep their order: while one waits for the
    /// log, those after it wait behind it.
    pub(super) fn write(&mut self, myself: &ActorRef<RoomMsg>, write: Box<WriteRequest>, reply: WriteReply) {
        let Phase::Active(active) = &mut self.phase else { return };
        let key = SenderKey { user: write.user.clone(), device: write.device.clone() };
        if let Some(lookup) = active.lookups.get_mut(&key) {
            lookup.waiting.push_back((write, reply));
            return;
        }
        match self.find_target(&write) {
            Found::Known(target) => self.submit(myself, *write, target, reply),
            Found::AskLog(seq) => {
                self.look_up(myself, key.clone(), seq);
                if let Phase::Active(active) = &mut self.phase {
                    let began = active.core.committed().head;
                    active.redactions.begin_look(began);
                    active.lookups.insert(key, Lookup { began, waiting: VecDeque::from([(write, reply)]) });
                }
            }
        }
    }

    /// Looks for the target in what the room has in memory.
    fn find_target(&self, write: &WriteRequest) -> Found {
        let (Some(seq), Phase::Active(active)) = (write.target, &self.phase) else { return Found::Known(None) };
        let state = active.core.committed();
        if seq == Seq::ZERO || seq > state.head {
            return Found::Known(Some(Target::Absent(seq)));
        }
        if seq < state.floor {
            return Found::Known(Some(Target::Expired(seq)));
        }
        let recent = self.handle.as_ref().and_then(|handle| handle.tail.find(seq, target_of));
        recent.map_or(Found::AskLog(seq), |target| Found::Known(Some(target)))
    }

    /// Asks the log for the target.
    fn look_up(&self, myself: &ActorRef<RoomMsg>, key: SenderKey, seq: Seq) {
        let Some(handle) = self.handle.clone() else { return };
        let (log, room, actor) = (self.shared.log(), handle.tail.room().clone(), myself.clone());
        let work = async move {
            match log.read(&room, only(seq)).await.inspect_err(|error| handle.look_at_error(seq, error)) {
                Ok(entries) => entries.first().map_or(Target::Absent(seq), target_of),
                Err(LogError::Expired { .. }) => Target::Expired(seq),
                Err(LogError::Unavailable(_) | LogError::Damaged(_)) => Target::Unreadable(seq),
            }
        };
        let tell = |target| RoomMsg::TargetFound(key, target);
        self.shared.spawn(report(actor, work, Target::Unreadable(seq), tell));
    }

    /// Lets the write whose target the log told have its turn, and those behind it.
    pub(super) fn target_found(&mut self, myself: &ActorRef<RoomMsg>, key: &SenderKey, target: Target) {
        let Phase::Active(active) = &mut self.phase else { return };
        let Some(Lookup { began, mut waiting }) = active.lookups.remove(key) else { return };
        let is_recent = active.redactions.end_look(began, active.core.committed().head);
        let Some((first, reply)) = waiting.pop_front() else { return };
        // What the log said may be older than the redactions that were committed meanwhile.
        let target = match target {
            Target::Found { seq, .. } if !is_recent => Target::Unreadable(seq),
            Target::Found { seq, kind, sender, redacted } => {
                Target::Found { seq, kind, sender, redacted: redacted || active.redactions.hold(seq) }
            }
            elsewhere => elsewhere,
        };
        self.submit(myself, *first, Some(target), reply);
        // Those that waited take their turn; should another of them have to ask the log, the rest waits behind it again.
        waiting.into_iter().for_each(|(write, reply)| self.write(myself, write, reply));
    }

    fn submit(&mut self, myself: &ActorRef<RoomMsg>, write: WriteRequest, target: Option<Target>, reply: WriteReply) {
        // It may have waited for the very look that has found the damage.
        if self.found_damaged() {
            return reply.refuse(damaged());
        }
        let submit = Submit {
            reply,
            sender: write.user,
            device: write.device,
            n: write.n,
            prev: write.prev,
            since: write.since,
            op: write.op,
            target,
            body: write.body,
            salt: draw_salt(),
            rights: write.rights,
        };
        self.feed(myself, Input::Submit(submit));
    }
}

fn target_of(entry: &Entry) -> Target {
    Target::Found { seq: entry.seq, kind: entry.kind, sender: entry.sender.clone(), redacted: entry.is_redacted() }
}
