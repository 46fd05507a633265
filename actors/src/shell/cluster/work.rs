//! Work beside the node, whose outcome comes back into its mailbox, whatever happens.

use std::future::Future;

use super::handle::Cluster;
use super::node::NodeMsg;

/// Does work for the node and tells it what became of it; `lost` if the work panics, so that the node does not wait for ever.
pub(super) async fn report<T: Send>(
    cluster: Cluster,
    work: impl Future<Output = T> + Send,
    lost: T,
    tell: impl FnOnce(T) -> NodeMsg + Send,
) {
    let mut report = Report { cluster, outcome_and_tell: Some((lost, tell)) };
    let outcome = work.await;
    if let Some((lost, _)) = &mut report.outcome_and_tell {
        *lost = outcome;
    }
}

/// Tells when it is dropped.
struct Report<T, Tell: FnOnce(T) -> NodeMsg> {
    cluster: Cluster,
    outcome_and_tell: Option<(T, Tell)>,
}

impl<T, Tell: FnOnce(T) -> NodeMsg> Drop for Report<T, Tell> {
    fn drop(&mut self) {
        if let Some((outcome, tell)) = self.outcome_and_tell.take() {
            self.cluster.send(tell(outcome));
        }
    }
}
