//! Work beside the room's actor, whose outcome comes back into its mailbox, whatever happens.

use std::future::Future;

use ractor::ActorRef;

use super::RoomMsg;

/// What is told of work in which the log panicked.
pub(super) const PANICKED: &str = "the log panicked";

/// Does work for a room's actor and casts what became of it into its mailbox, as `tell` puts it; `lost` if the work panics, so
/// that the room does not wait for ever.
pub(super) async fn report<T: Send>(
    actor: ActorRef<RoomMsg>,
    work: impl Future<Output = T> + Send,
    lost: T,
    tell: impl FnOnce(T) -> RoomMsg + Send,
) {
    let mut report = Report { actor, outcome_and_tell: Some((lost, tell)) };
    let outcome = work.await;
    if let Some((lost, _)) = &mut report.outcome_and_tell {
        *lost = outcome;
    }
}

/// Casts its message when it is dropped.
struct Report<T, Tell: FnOnce(T) -> RoomMsg> {
    actor: ActorRef<RoomMsg>,
    outcome_and_tell: Option<(T, Tell)>,
}

impl<T, Tell: FnOnce(T) -> RoomMsg> Drop for Report<T, Tell> {
    fn drop(&mut self) {
        if let Some((outcome, tell)) = self.outcome_and_tell.take() {
            let _ = self.actor.cast(tell(outcome));
        }
    }
}
