//! Work beside an actor or a node, whose outcome comes back into its mailbox, whatever happens.

use std::future::Future;

/// Where it is told what became of work.
pub(super) trait Mailbox: Send {
    /// What it takes.
    type Message;

    /// Puts a message there; whoever should take it may have gone.
    fn put(&self, message: Self::Message);
}

/// Does work and tells `mailbox` what became of it, as `tell` puts it; `lost` if the work panics, so that nobody waits for ever.
pub(super) async fn report<T: Send, M: Mailbox>(
    mailbox: M,
    work: impl Future<Output = T> + Send,
    lost: T,
    tell: impl FnOnce(T) -> M::Message + Send,
) {
    let mut report = Report { mailbox, outcome_and_tell: Some((lost, tell)) };
    let outcome = work.await;
    if let Some((lost, _)) = &mut report.outcome_and_tell {
        *lost = outcome;
    }
}

/// Tells when it is dropped.
struct Report<T, M: Mailbox, Tell: FnOnce(T) -> M::Message> {
    mailbox: M,
    outcome_and_tell: Option<(T, Tell)>,
}

impl<T, M: Mailbox, Tell: FnOnce(T) -> M::Message> Drop for Report<T, M, Tell> {
    fn drop(&mut self) {
        if let Some((outcome, tell)) = self.outcome_and_tell.take() {
            self.mailbox.put(tell(outcome));
        }
    }
}
