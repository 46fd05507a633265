//! What a session is told.

use rollcall_protocol::{Body, BodyError, History, Incoming, RoomId, Seq, WriteOp};

use crate::cursor::{Cursor, JoinFrom};
use crate::error::StopError;

/// When something happened, and a random number for what has to be drawn because of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// A clock that never goes back, in milliseconds from anywhere.
    pub now_ms: u64,
    /// Drawn afresh for each input.
    pub random: u64,
}

/// The caller's name for a write, repeated with its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Something to be written to a room; the session gives it its number.
#[derive(Debug, Clone, PartialEq)]
pub struct NewWrite {
    /// Which entry it makes.
    pub op: WriteOp,
    /// The entry that it is about: for all but messages.
    pub target: Option<Seq>,
    /// What is said; a redaction may go without.
    pub body: Option<Body>,
}

impl NewWrite {
    /// A message.
    pub const fn message(body: Body) -> Self {
        Self { op: WriteOp::Send, target: None, body: Some(body) }
    }

    /// A message of text alone.
    ///
    /// # Errors
    /// Where the text has more than 100,000 characters.
    pub fn text(text: &str) -> Result<Self, BodyError> {
        Ok(Self::message(Body::text(text)?))
    }

    /// A new body for an own message.
    pub const fn edit(target: Seq, body: Body) -> Self {
        Self { op: WriteOp::Edit, target: Some(target), body: Some(body) }
    }

    /// The end of a message's or an edit's body.
    pub const fn redact(target: Seq) -> Self {
        Self { op: WriteOp::Redact, target: Some(target), body: None }
    }

    /// A reaction to a message.
    pub const fn react(target: Seq, body: Body) -> Self {
        Self { op: WriteOp::React, target: Some(target), body: Some(body) }
    }

    /// Returns what the write counts against the bounds of a queue, in bytes.
    pub(crate) fn weight_bytes(&self) -> usize {
        self.body.as_ref().map_or(0, |body| body.as_str().len())
    }
}

/// What happens to a session. Nothing of a connection may be told after it was closed or after [`Disconnect`].
///
/// [`Disconnect`]: super::Effect::Disconnect
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The program wants to be connected; the first input.
    Start,
    /// The connection that was asked for is open.
    Connected,
    /// The connection that was asked for could not be opened.
    ConnectFailed,
    /// A frame of the server.
    Frame(Incoming),
    /// A frame that could not be read.
    Garbled,
    /// The connection is gone, with the code of a close frame if there was one.
    Closed {
        /// The code.
        code: Option<u16>,
    },
    /// The caller has stopped reading the socket, since the program does not take what was delivered.
    ReadingPaused,
    /// The caller reads the socket again.
    ReadingResumed,
    /// The token that was asked for, or why there is none.
    Token(Result<String, String>),
    /// The program wants a room's entries.
    Join {
        /// Which room.
        room: RoomId,
        /// From where.
        from: JoinFrom,
    },
    /// The program does not want a room's entries any more.
    Leave {
        /// Which room.
        room: RoomId,
    },
    /// The program wants something written to a room that it has joined.
    Submit {
        /// To which room.
        room: RoomId,
        /// The caller's name for it.
        ticket: Ticket,
        /// What.
        write: NewWrite,
    },
    /// The program wants a page of history.
    Query {
        /// The caller's name for it.
        query: u64,
        /// Which page.
        history: History,
    },
    /// The user types.
    Typing {
        /// In which room.
        room: RoomId,
    },
    /// The program is done with everything up to a cursor, which a restart may resume from.
    Processed {
        /// In which room.
        room: RoomId,
        /// Up to where.
        cursor: Cursor,
    },
    /// The program, or a failure of the storage, ends the session.
    Stop(StopError),
    /// The time of [`deadline_ms`](super::Session::deadline_ms) has come.
    Tick,
}
