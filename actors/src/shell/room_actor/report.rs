//! Work beside the room's actor, whose outcome comes back into its mailbox, whatever happens.

use std::future::Future;

use ractor::ActorRef;

use super::RoomMsg;

/// What is told of work in which the log panicked.
pub(super) const PANICKED: &str = "the log panicked";

/// Does work for a room's actor and casts what became of it into its mailbox; `lost` if the work panics, so that the room does
/// not wait for ever.
pub(super) async fn report(actor: ActorRef<RoomMsg>, lost: RoomMsg, work: impl Future<Output = RoomMsg> + Send) {
    let mut report = Report { actor, message: Some(lost) };
    report.message.replace(work.await);
}

/// Casts its message when it is dropped.
struct Report {
    actor: ActorRef<RoomMsg>,
    message: Option<RoomMsg>,
}

impl Drop for Report {
    fn drop(&mut self) {
        if let Some(message) = self.message.take() {
            let _ = self.actor.cast(message);
        }
    }
}
