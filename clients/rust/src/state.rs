//! What the client does now, for those who show it to people.

use rollcall_protocol::{DeviceId, UserId};
use tokio::sync::watch;

use crate::error::StopError;

/// What the client does now.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// It opens a connection and says hello.
    Connecting,
    /// It is connected; rooms are being joined, writes sent.
    Connected {
        /// Who the server takes the client for.
        user: UserId,
        /// The name of this installation.
        device: DeviceId,
        /// The server's name for the connection.
        connection: String,
    },
    /// It waits before it connects again.
    Reconnecting {
        /// For how long, in milliseconds.
        in_ms: u64,
        /// The code with which the connection was closed, if it was closed with one, or with which the server closes it where a token
        /// is refused.
        code: Option<u16>,
    },
    /// It has given up; nothing more happens.
    Stopped {
        /// Why.
        error: StopError,
    },
}

/// Follows a client's state. One that asks rarely sees the latest state and may miss those between.
#[derive(Debug, Clone)]
pub struct StateEvents {
    pub(crate) receiver: watch::Receiver<State>,
}

impl StateEvents {
    /// Returns the state now.
    pub fn current(&mut self) -> State {
        self.receiver.borrow_and_update().clone()
    }

    /// Waits for a state that was not seen yet; none after the client has stopped and that was seen.
    ///
    /// # Cancel safety
    /// Safe: no state is lost but those that a newer one replaced.
    pub async fn next(&mut self) -> Option<State> {
        self.receiver.changed().await.ok()?;
        Some(self.current())
    }
}
