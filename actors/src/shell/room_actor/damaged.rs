//! A room whose log is damaged: what comes before the damage is shown, and nothing is written.
//!
//! Where that is found when the room is activated there is no owner: it becomes whole by being activated anew, when everybody has left, or
//! when somebody writes and the log is found repaired. Where it is found later, by a read further back, the room has an owner and a head,
//! and keeps both: what was taken before is finished, new writes are refused until the entry is whole again.

use std::time::Instant;

use ractor::ActorRef;
use rollcall_protocol::{Epoch, OwnerId, RoomId};

use super::PANICKED;
use super::{Phase, RoomActorState, RoomMsg};
use crate::ports::{Activate, LogError};
use crate::room::{Refusal, RoomState};
use crate::shell::activation::{Activation, ActivationError, DamagedRoom, activate_suspected, look_again};
use crate::shell::damage::DamageFound;
use crate::shell::handle::moving;
use crate::shell::work::report;

/// How many of the pauses after a failed activation the log of a damaged room is left alone.
const PAUSES: u32 = 5;

/// What is left of the room.
pub(super) struct Damaged {
    room: DamagedRoom,
    tried: Instant,
    is_trying: bool,
}

/// When the log was looked at again whose damage was found since the room was activated.
pub(super) struct FoundLater {
    tried: Instant,
    is_trying: bool,
}

impl Damaged {
    /// Returns the state that is shown, and under which ownership.
    pub fn shown(&self) -> (&RoomState, Epoch) {
        (&self.room.state, self.room.epoch)
    }
}

impl RoomActorState {
    /// Begins to show what is left.
    pub(super) fn show_damaged(&mut self, room: DamagedRoom) {
        let Some(handle) = &self.handle else { return };
        self.shared.damage.is_shown(handle.tail.room());
        handle.tail.begin(room.state.head);
        self.phase = Phase::Damaged(Box::new(Damaged { room, tried: Instant::now(), is_trying: false }));
    }

    /// Finds out whether the log was repaired, unless that was tried a moment ago.
    pub(super) fn try_again(&mut self, myself: &ActorRef<RoomMsg>) {
        let (Phase::Damaged(damaged), Some(handle)) = (&mut self.phase, &self.handle) else { return };
        let pause = self.shared.settings.activation_pause * PAUSES;
        if damaged.is_trying || damaged.tried.elapsed() < pause {
            return;
        }
        damaged.is_trying = true;
        let (log, name, hold) = (self.shared.log(), handle.tail.room().clone(), handle.admission.hold());
        let suspect = self.shared.damage.of(&name);
        self.looked_at.clone_from(&suspect);
        let work = async move {
            let _hold = hold;
            activate_suspected(&*log, &name, Activate::by(OwnerId(rand::random())), suspect).await
        };
        let lost = Err(ActivationError::Log(LogError::Unavailable(PANICKED.to_owned())));
        self.shared.spawn(report(myself.clone(), work, lost, |result| RoomMsg::Activated(Box::new(result))));
    }

    /// Takes what the log said. A room that was repaired is given up, and its readers join again: it begins anew, and whole.
    pub(super) fn activated_again(&mut self, myself: &ActorRef<RoomMsg>, result: Result<Activation, ActivationError>) {
        let (Phase::Damaged(damaged), Some(handle)) = (&mut self.phase, &self.handle) else { return };
        match result {
            Ok(Activation { fence, .. }) => {
                let room = handle.tail.room().clone();
                tracing::info!(%room, "the log of a room was repaired");
                self.shared.log().release(&room, fence);
                self.over(myself, &moving());
                self.damage_is_over(&room);
            }
            Err(error) => {
                tracing::debug!(room = %handle.tail.room(), %error, "the log of a room is damaged still");
                (damaged.tried, damaged.is_trying) = (Instant::now(), false);
            }
        }
    }

    /// Tells whether the log was found damaged since the room was activated, by whoever on this node: then nothing is numbered.
    pub(super) fn found_damaged(&mut self) -> bool {
        let (Phase::Active(active), Some(handle)) = (&mut self.phase, &self.handle) else { return false };
        let is_damaged = self.shared.damage.of(handle.tail.room()).is_some();
        if is_damaged && active.damage.is_none() {
            self.shared.damage.is_shown(handle.tail.room());
            active.damage = Some(FoundLater { tried: Instant::now(), is_trying: false });
        }
        is_damaged
    }

    /// What an activation has looked at is whole.
    pub(super) fn damage_is_over(&mut self, room: &RoomId) {
        if let Some(looked_at) = self.looked_at.take() {
            self.shared.damage.is_over(room, &looked_at);
        }
    }

    /// Finds out whether the damaged entries were restored, unless that was tried a moment ago.
    pub(super) fn look_again(&mut self, myself: &ActorRef<RoomMsg>) {
        let (Phase::Active(active), Some(handle)) = (&mut self.phase, &self.handle) else { return };
        let head = active.core.committed().head;
        let Some(found) = self.shared.damage.of(handle.tail.room()) else { return };
        let Some(damage) = &mut active.damage else { return };
        let pause = self.shared.settings.activation_pause * PAUSES;
        if damage.is_trying || damage.tried.elapsed() < pause {
            return;
        }
        damage.is_trying = true;
        let (log, name, hold) = (self.shared.log(), handle.tail.room().clone(), handle.admission.hold());
        let looked_at = found.clone();
        let work = async move {
            let _hold = hold;
            matches!(look_again(&*log, &name, &found, head).await, Ok(None))
        };
        let tell = move |is_whole| RoomMsg::LookedAgain(looked_at, is_whole);
        self.shared.spawn(report(myself.clone(), work, false, tell));
    }

    /// Takes what the log said. Where all is whole that was known to be damaged the room goes on; what was found meanwhile is looked at next.
    pub(super) fn looked_again(&mut self, myself: &ActorRef<RoomMsg>, looked_at: &DamageFound, is_whole: bool) {
        let (Phase::Active(active), Some(handle)) = (&mut self.phase, &self.handle) else { return };
        let room = handle.tail.room().clone();
        if is_whole {
            self.shared.damage.is_over(&room, looked_at);
        }
        if self.shared.damage.of(&room).is_none() {
            active.damage = None;
            tracing::info!(%room, "the log of a room was repaired");
            self.retain(myself);
        } else if let Some(damage) = &mut active.damage {
            (damage.tried, damage.is_trying) = (Instant::now(), false);
        }
    }

    /// A damaged room is not shown any more; it is remembered for a while.
    pub(super) fn hide_damage(&self) {
        if let Some(handle) = &self.handle {
            self.shared.damage.is_hidden(handle.tail.room());
        }
    }
}

/// What is told to whoever writes to a room whose log is damaged.
pub(super) fn damaged() -> Refusal {
    Refusal::Unavailable("the room's log is damaged, and takes no writes before that is repaired".to_owned())
}
