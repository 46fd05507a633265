//! What the log does while entries expire.

use std::time::Duration;

use ractor::ActorRef;
use rollcall_protocol::Seq;

use super::PANICKED;
use super::{RoomActorState, RoomMsg, draw_salt};
use crate::ports::{LogError, StoredSnapshot};
use crate::room::{Expirable, Input, LastExpired};
use crate::shell::expiry::{Look, find_expirable_with, keep_snapshot};
use crate::shell::work::report;

/// Why nothing expires in a damaged room.
const FOUND: &str = "it was found damaged";

impl RoomActorState {
    /// Asks the log what may expire. In a cluster nothing does by its age while it is not certain that this node's clock is right: what
    /// a clock that runs ahead lets expire is gone on all nodes.
    pub(super) fn find_expirable(&self, myself: &ActorRef<RoomMsg>, mut expirable: Expirable) {
        let Some(handle) = self.handle.clone() else { return };
        if self.link.as_ref().is_some_and(|link| !link.has_right_clock(self.shared.now_ms())) {
            expirable.made_before_ms = None;
        }
        let log = self.shared.log();
        let work = async move {
            let look_at_error = |seq, error: &LogError| handle.look_at_error(seq, error);
            let look = Look { log: &*log, room: handle.tail.room(), look_at_error: &look_at_error };
            find_expirable_with(look, expirable).await
        };
        let lost = Err(LogError::Unavailable(PANICKED.to_owned()));
        self.shared.spawn(report(myself.clone(), work, lost, RoomMsg::ExpirableFound));
    }

    /// Takes what the log has said may expire. Of a room whose log was found damaged meanwhile nothing does: it numbers no entry that
    /// would say so.
    pub(super) fn expirable_found(&mut self, myself: &ActorRef<RoomMsg>, found: Result<Option<LastExpired>, LogError>) {
        let found = if self.found_damaged() { Err(LogError::Damaged(FOUND.to_owned())) } else { found };
        self.feed(myself, Input::ExpirableFound(found));
    }

    /// Takes up to where a snapshot keeps the room's state, with the same reservation.
    pub(super) fn snapshot_kept(&mut self, myself: &ActorRef<RoomMsg>, seq: Option<Seq>) {
        let seq = seq.filter(|_| !self.found_damaged());
        self.feed(myself, Input::SnapshotKept { seq, salt: draw_salt() });
    }

    /// Looks for what has come of age, with the same reservation.
    pub(super) fn retain(&mut self, myself: &ActorRef<RoomMsg>) {
        if !self.found_damaged() {
            self.feed(myself, Input::Retain);
        }
    }

    /// Has a snapshot stored and read back.
    pub(super) fn keep_snapshot(&self, myself: &ActorRef<RoomMsg>, snapshot: StoredSnapshot) {
        let Some(handle) = &self.handle else { return };
        let (log, room) = (self.shared.log(), handle.tail.room().clone());
        let work = async move { keep_snapshot(&*log, &room, snapshot).await };
        self.shared.spawn(report(myself.clone(), work, None, RoomMsg::SnapshotKept));
    }

    /// Has deleted what has expired. What stays when this node ends the next owner deletes.
    pub(super) fn drop_expired(&self, myself: &ActorRef<RoomMsg>, floor: Seq) {
        let Some(handle) = &self.handle else { return };
        let (log, room) = (self.shared.log(), handle.tail.room().clone());
        let work = async move {
            match log.expire_before(&room, floor).await {
                Ok(()) => {
                    tracing::debug!(%room, floor = floor.get(), "deleted what has expired");
                    true
                }
                Err(error) => {
                    tracing::warn!(%room, %error, "failed to delete entries that have expired; it is tried again");
                    false
                }
            }
        };
        self.shared.spawn(report(myself.clone(), work, false, move |is_done| RoomMsg::Dropped(floor, is_done)));
    }

    /// Has the room look once more after a while, unless it has ended by then.
    pub(super) fn retain_after(myself: &ActorRef<RoomMsg>, after_ms: u64) {
        myself.send_after(Duration::from_millis(after_ms), || RoomMsg::Retain);
    }
}
