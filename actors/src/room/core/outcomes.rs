//! What becomes of an append that was not committed, or of which nobody knows.

use super::RoomCore;
use crate::ports::NotCommitted;
use crate::room::io::{Answer, Effect, StopReason};
use crate::room::refusal::Refusal;

/// What clients are told where the log stores nothing, whatever its reason is: that one is for whoever runs the node.
const NO_WRITES: &str = "the room's log takes no writes now";

impl<T> RoomCore<T> {
    /// Nothing of the append was stored: whoever waits is told to try again, and numbering goes on from what is committed.
    pub(super) fn roll_back(&mut self, reason: &NotCommitted, effects: &mut Vec<Effect<T>>) {
        let (refusal, stop) = match reason {
            NotCommitted::Refused(_) => (Refusal::Unavailable(NO_WRITES.to_owned()), None),
            NotCommitted::Damaged(_) => (Refusal::Unavailable(NO_WRITES.to_owned()), Some(StopReason::Damaged)),
            NotCommitted::Fenced => {
                (Refusal::Unavailable("another node owns the room now".to_owned()), Some(StopReason::Fenced))
            }
        };
        let batch = self.in_flight.take().expect("an outcome is reported while an append is in flight");
        for reply in batch.rest.into_iter().filter_map(|(_, reply)| reply) {
            effects.push(Effect::Reply(reply, Err(refusal.clone())));
        }
        if let Some(tentative) = &mut self.tentative {
            let undone = batch.entries.iter().chain(self.queue.iter().map(|numbered| &numbered.entry));
            tentative.take_back(&self.committed, undone);
        }
        self.answer_waiting(&refusal, effects);
        match stop {
            Some(reason) => self.stop(reason, effects),
            None => self.finish_drain(effects),
        }
    }

    /// Nobody knows what became of the append: its numbers must not be used again, so this ownership ends.
    pub(super) fn lose(&mut self, effects: &mut Vec<Effect<T>>) {
        let batch = self.in_flight.take().expect("an outcome is reported while an append is in flight");
        let last = batch.entries.last().expect("a batch has at least one entry").seq;
        let mut lost: Vec<T> = batch.rest.into_iter().filter_map(|(_, reply)| reply).collect();
        // Who asked for one of these writes again shares its fate.
        let is_lost = |answer: &Answer| answer.as_ref().is_ok_and(|ack| ack.seq <= last);
        for answers in self.held.values_mut() {
            lost.extend(answers.extract_if(.., |(_, answer)| is_lost(answer)).map(|(reply, _)| reply));
        }
        effects.extend(lost.into_iter().map(|reply| Effect::Reply(reply, Err(Refusal::OutcomeUnknown))));
        self.answer_waiting(&Refusal::Unavailable("the room is being recovered".to_owned()), effects);
        self.stop(StopReason::OutcomeUnknown, effects);
    }

    /// Answers the queue and everything held.
    fn answer_waiting(&mut self, refusal: &Refusal, effects: &mut Vec<Effect<T>>) {
        let queued = self.queue.drain(..).filter_map(|numbered| numbered.reply);
        let held = std::mem::take(&mut self.held).into_values().flatten().map(|(reply, _)| reply);
        effects.extend(queued.chain(held).map(|reply| Effect::Reply(reply, Err(refusal.clone()))));
        self.unanswered.clear();
    }
}
