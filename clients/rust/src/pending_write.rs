//! A write on its way.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use rollcall_protocol::Ack;
use tokio::sync::oneshot;

use crate::error::WriteError;

/// A write on its way: a future of its number.
///
/// # Cancel safety
/// To drop it does not take the write back: it goes on, and nobody is told of its end.
#[derive(Debug)]
#[must_use = "the outcome of a write is not known before it was awaited"]
pub struct PendingWrite(Outcome);

#[derive(Debug)]
enum Outcome {
    Awaited(oneshot::Receiver<Result<Ack, WriteError>>),
    /// It did not get as far as the connection's task.
    Failed(Option<WriteError>),
}

impl PendingWrite {
    pub(crate) fn awaited(answer: oneshot::Receiver<Result<Ack, WriteError>>) -> Self {
        Self(Outcome::Awaited(answer))
    }

    pub(crate) fn failed(error: WriteError) -> Self {
        Self(Outcome::Failed(Some(error)))
    }
}

impl Future for PendingWrite {
    type Output = Result<Ack, WriteError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            // The task has ended with the request in its queue: it was not sent.
            Outcome::Awaited(answer) => {
                answer.poll_unpin(context).map(|answer| answer.unwrap_or(Err(WriteError::Closed)))
            }
            Outcome::Failed(error) => Poll::Ready(Err(error.take().unwrap_or(WriteError::Closed))),
        }
    }
}
