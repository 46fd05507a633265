//! A room whose log is damaged: what comes before the damage is shown, and nothing is written. It becomes whole by being activated
//! anew: when everybody has left, or when somebody writes and the log is found repaired.

use std::time::Instant;

use ractor::ActorRef;
use rollcall_protocol::{Epoch, OwnerId};

use super::report::{PANICKED, report};
use super::{Phase, RoomActorState, RoomMsg};
use crate::ports::{Activate, LogError};
use crate::room::{Refusal, RoomState};
use crate::shell::activation::{Activation, ActivationError, DamagedRoom, activate};
use crate::shell::handle::moving;

/// How many of the pauses after a failed activation the log of a damaged room is left alone.
const PAUSES: u32 = 5;

/// What is left of the room.
pub(super) struct Damaged {
    room: DamagedRoom,
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
        let work = async move {
            let _hold = hold;
            activate(&*log, &name, Activate::by(OwnerId(rand::random()))).await
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
                self.shared.damage.is_over(&room);
            }
            Err(error) => {
                tracing::debug!(room = %handle.tail.room(), %error, "the log of a room is damaged still");
                (damaged.tried, damaged.is_trying) = (Instant::now(), false);
            }
        }
    }
}

/// What is told to whoever writes to a room whose log is damaged.
pub(super) fn damaged() -> Refusal {
    Refusal::Unavailable("the room's log is damaged, and takes no writes before that is repaired".to_owned())
}
