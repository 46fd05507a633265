//! Commands: what a client asks, `{id, <op>: {…}}`.

mod envelope;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::body::{Body, NewBody};
use crate::hash::Hash;
use crate::ids::{DeviceId, RoomId, Seq, deserialize_number, deserialize_optional_number};
use crate::limits;

pub(crate) use envelope::CommandId;

/// One command of a client. `B` is the type of bodies: [`Body`] where commands are made, [`NewBody`] where they arrive.
#[derive(Debug, Clone, PartialEq)]
pub struct Command<B> {
    /// The client's number for it, which the reply repeats; only `pong` has none.
    pub id: Option<u64>,
    /// What is asked.
    pub op: Op<B>,
}

/// A command as it leaves a client.
pub type OutgoingCommand = Command<Body>;
/// A command as it reaches the server.
pub type IncomingCommand = Command<NewBody>;

/// What a client may ask.
#[derive(Debug, Clone, PartialEq)]
pub enum Op<B> {
    /// Says who the client is; the first frame of a connection.
    Hello(Hello),
    /// Subscribes to a room, from a cursor.
    Join(Join),
    /// Ends a subscription.
    Leave(Leave),
    /// Asks for an entry to be written.
    Write(WriteOp, Write<B>),
    /// Tells those who are in a room that the user types.
    Typing(Typing),
    /// Asks for a page of a room's entries.
    History(History),
    /// Gives a new token before the old one expires.
    Refresh(Refresh),
    /// Answers a ping; gets no reply.
    Pong(Pong),
    /// Something that this version does not know, by its name, shortened.
    Unknown(String),
}

/// Which entry a write makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WriteOp {
    /// A message.
    Send,
    /// A new body for a message.
    Edit,
    /// The end of a message's or an edit's body.
    Redact,
    /// A reaction to a message.
    React,
}

impl WriteOp {
    /// Returns the name of the operation on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Edit => "edit",
            Self::Redact => "redact",
            Self::React => "react",
        }
    }
}

/// Says who the client is.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Proves who the user is; without one the server may take the client as a new guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// This installation of the client; without one the server draws a name for this connection alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// Drawn at random once in the life of the client's process: 1 to 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "deserialize_session")]
    pub session: Option<String>,
    /// The session's counter of connections, from 1.
    #[serde(default, skip_serializing_if = "is_zero", deserialize_with = "deserialize_number_or_null")]
    pub attempt: u64,
}

impl fmt::Debug for Hello {
    /// Leaves the token out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hello").field("device", &self.device).field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

fn deserialize_number_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    deserialize_optional_number(deserializer).map(Option::unwrap_or_default)
}

fn deserialize_bool_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Option::<bool>::deserialize(deserializer).map(Option::unwrap_or_default)
}

fn deserialize_session<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let session = Option::<String>::deserialize(deserializer)?;
    let length = session.as_ref().map_or(1, |session| session.chars().count());
    if !(1..=limits::SESSION_CHARS_MAX).contains(&length) {
        let max = limits::SESSION_CHARS_MAX;
        return Err(de::Error::custom(format_args!("a session has 1 to {max} characters, not {length}")));
    }
    Ok(session)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Subscribes to a room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Join {
    /// Which room.
    pub room: RoomId,
    /// The last entry that the client has; everything after it follows. Absent: only what is written from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Seq>,
    /// The hash of that entry, if the client knows it: the server then checks that both mean the same history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Hash>,
}

/// Ends a subscription.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leave {
    /// Which room.
    pub room: RoomId,
}

/// Asks for an entry to be written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Write<B> {
    /// To which room.
    pub room: RoomId,
    /// The device's own counter of writes to this room, from 1. The same write tried again has the same n.
    #[serde(deserialize_with = "deserialize_number")]
    pub n: u64,
    /// The device's last accepted n; absent: n - 1.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "deserialize_optional_number")]
    pub prev: Option<u64>,
    /// A head of the room that the device saw before it first wrote there; given until its first ack in the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Seq>,
    /// The entry that the write is about: for edit, redact and react.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Seq>,
    /// What is said; a redaction may go without.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub body: Option<B>,
}

fn none<B>() -> Option<B> {
    None
}

/// Tells those who are in a room that the user types.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Typing {
    /// Which room.
    pub room: RoomId,
}

/// Asks for a page of a room's entries; at most one of `after`, `before` and `around`, else the latest page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Which room.
    pub room: RoomId,
    /// The page that begins after this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Seq>,
    /// The page that ends before this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Seq>,
    /// The page with this number in its middle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub around: Option<Seq>,
    /// Entries at most: 1 to 500, 50 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Asks for what proves each entry: salt, hashes, epoch and owner.
    #[serde(default, skip_serializing_if = "std::ops::Not::not", deserialize_with = "deserialize_bool_or_null")]
    pub evidence: bool,
}

impl History {
    /// The latest page of a room.
    pub fn latest(room: RoomId) -> Self {
        Self { room, after: None, before: None, around: None, limit: None, evidence: false }
    }
}

/// Gives a new token.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Refresh {
    /// The new token, of the same user.
    pub token: String,
}

impl fmt::Debug for Refresh {
    /// Leaves the token out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Refresh")
    }
}

/// Answers a ping.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {}

impl<B> Op<B> {
    /// Returns the operation's name on the wire.
    pub fn name(&self) -> &str {
        match self {
            Self::Hello(_) => "hello",
            Self::Join(_) => "join",
            Self::Leave(_) => "leave",
            Self::Write(op, _) => op.name(),
            Self::Typing(_) => "typing",
            Self::History(_) => "history",
            Self::Refresh(_) => "refresh",
            Self::Pong(_) => "pong",
            Self::Unknown(name) => name,
        }
    }
}
