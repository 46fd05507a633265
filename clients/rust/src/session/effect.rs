//! What a session wants done.

use rollcall_protocol::{Ack, HistoryPage, Joined, OutgoingCommand, RoomId};

use super::input::Ticket;
use crate::error::{HistoryError, JoinError, WriteError};
use crate::event::RoomEvent;
use crate::state::State;
use crate::storage::Change;

/// What a session wants done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Open a connection; answered by `Connected` or `ConnectFailed`.
    Connect,
    /// Close the connection, or stop opening it, and say nothing more of it.
    Disconnect,
    /// Open the next connections to other servers for a while, if there are others: this one sends its clients away.
    AvoidServer,
    /// Send a command. What `Remember` said before it must be stored first, if it [is urgent](Change::is_urgent).
    Send(OutgoingCommand),
    /// Get a token from the program; answered by `Token`.
    FetchToken,
    /// Tell the program what the session does now.
    State(State),
    /// Keep something that must outlive a restart; said only where the session was told that there is a storage.
    Remember(Change),
    /// Tell the program what happened in a room.
    Deliver {
        /// In which room.
        room: RoomId,
        /// What.
        event: RoomEvent,
    },
    /// Tell the program how its join ended.
    JoinEnded {
        /// Of which room.
        room: RoomId,
        /// The room as it was joined; after an error it is not.
        outcome: Result<Joined, JoinError>,
    },
    /// Tell the program how its write ended.
    WriteEnded {
        /// The caller's name for it.
        ticket: Ticket,
        /// Its number, or why it has none.
        outcome: Result<Ack, WriteError>,
    },
    /// Give the program its page of history.
    QueryEnded {
        /// The caller's name for it.
        query: u64,
        /// The page.
        outcome: Result<HistoryPage, HistoryError>,
    },
}
