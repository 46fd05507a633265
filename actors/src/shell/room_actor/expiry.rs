//! What the log does while entries expire.

use ractor::ActorRef;
use rollcall_protocol::Seq;

use super::report::{PANICKED, report};
use super::{RoomActorState, RoomMsg};
use crate::ports::{LogError, StoredSnapshot};
use crate::room::Expirable;
use crate::shell::expiry::{find_expirable, keep_snapshot};

impl RoomActorState {
    /// Asks the log what may expire.
    pub(super) fn find_expirable(&self, myself: &ActorRef<RoomMsg>, expirable: Expirable) {
        let Some(handle) = &self.handle else { return };
        let (log, room) = (self.shared.log(), handle.tail.room().clone());
        let work = async move { find_expirable(&*log, &room, expirable).await };
        let lost = Err(LogError::Unavailable(PANICKED.to_owned()));
        self.shared.spawn(report(myself.clone(), work, lost, RoomMsg::ExpirableFound));
    }

    /// Has a snapshot stored and read back.
    pub(super) fn keep_snapshot(&self, myself: &ActorRef<RoomMsg>, snapshot: StoredSnapshot) {
        let Some(handle) = &self.handle else { return };
        let (log, room) = (self.shared.log(), handle.tail.room().clone());
        let work = async move { keep_snapshot(&*log, &room, snapshot).await };
        self.shared.spawn(report(myself.clone(), work, None, RoomMsg::SnapshotKept));
    }

    /// Has deleted what has expired. What stays for now, since the log does not answer or this node ends, the next owner deletes.
    pub(super) fn drop_expired(&self, floor: Seq) {
        let Some(handle) = &self.handle else { return };
        let (log, room) = (self.shared.log(), handle.tail.room().clone());
        self.shared.spawn(async move {
            match log.expire_before(&room, floor).await {
                Ok(()) => tracing::debug!(%room, floor = floor.get(), "deleted what has expired"),
                Err(error) => {
                    tracing::warn!(%room, %error, "failed to delete entries that have expired; the next activation tries again");
                }
            }
        });
    }
}
