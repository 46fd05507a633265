//! What the server sends: replies `{id, ok | error}` and pushes, which have no id.

mod incoming;

use std::collections::BTreeMap;
use std::fmt;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::entry::{Entry, EntryFrame, EntryView};
use crate::error::ErrorFrame;
use crate::hash::Hash;
use crate::ids::{DeviceId, Epoch, RoomId, Seq, UserId};

pub use incoming::{Incoming, OkFields};

/// A reply or a push, as the server makes it. `T` is what a successful reply carries.
#[derive(Debug)]
pub enum Outgoing<'a, T> {
    /// The command with this id succeeded.
    Ok(u64, T),
    /// The command with this id failed; none where the command's id could not be read.
    Error(Option<u64>, &'a ErrorFrame),
    /// Entries of a joined room.
    Entries(Entries<'a>),
    /// Something ephemeral in a joined room.
    Signal(&'a Signal),
    /// Asks for a pong.
    Ping(&'a Ping),
    /// The server ended the connection's subscription to a room.
    Left(&'a Left),
    /// The server will close the connection soon.
    GoingAway(GoingAway),
}

/// The part of [`Outgoing`] that carries no reply's payload.
pub type OutgoingPush<'a> = Outgoing<'a, Nothing>;

/// What a reply carries that has nothing to say but that it succeeded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Nothing {}

impl<T: Serialize> Serialize for Outgoing<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = match self {
            Self::Ok(..) | Self::Error(Some(_), _) => 2,
            _ => 1,
        };
        let mut map = serializer.serialize_map(Some(fields))?;
        match self {
            Self::Ok(id, ok) => {
                map.serialize_entry("id", id)?;
                map.serialize_entry("ok", ok)?;
            }
            Self::Error(id, error) => {
                if let Some(id) = id {
                    map.serialize_entry("id", id)?;
                }
                map.serialize_entry("error", error)?;
            }
            Self::Entries(entries) => map.serialize_entry("entries", entries)?,
            Self::Signal(signal) => map.serialize_entry("signal", signal)?,
            Self::Ping(ping) => map.serialize_entry("ping", ping)?,
            Self::Left(left) => map.serialize_entry("left", left)?,
            Self::GoingAway(going_away) => map.serialize_entry("going_away", going_away)?,
        }
        map.end()
    }
}

/// Contiguous entries of one room and one epoch, on their way out. Field for field what [`EntriesFrame`] reads.
#[derive(Debug, Clone, Copy)]
pub struct Entries<'a> {
    /// Which room.
    pub room: &'a RoomId,
    /// The entries, at least one; all of one epoch.
    pub list: &'a [Entry],
}

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let last = self.list.last().expect("an entries frame has at least one entry");
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("room", self.room)?;
        map.serialize_entry("epoch", &last.epoch)?;
        map.serialize_entry("list", &EntryList { list: self.list, evidence: false })?;
        map.serialize_entry("hash", &last.hash)?;
        map.end()
    }
}

/// A list of entries on its way out.
#[derive(Debug, Clone, Copy)]
pub struct EntryList<'a> {
    /// The entries.
    pub list: &'a [Entry],
    /// Whether each goes with its epoch, owner, salt and hashes.
    pub evidence: bool,
}

impl Serialize for EntryList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let view = if self.evidence { EntryView::with_evidence } else { EntryView::new };
        serializer.collect_seq(self.list.iter().map(view))
    }
}

/// Contiguous entries of one room and one epoch, as they arrive.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct EntriesFrame {
    /// Which room.
    pub room: RoomId,
    /// The ownership under which they were numbered.
    pub epoch: Epoch,
    /// The entries, in order.
    pub list: Vec<EntryFrame>,
    /// The hash of the last of them.
    pub hash: Hash,
}

/// Something ephemeral in a room: not numbered, not stored, delivered at most once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// In which room.
    pub room: RoomId,
    /// Who it is about.
    pub user: UserId,
    /// What it is.
    pub kind: SignalKind,
}

/// What a signal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalKind {
    /// The user types; holds for some seconds.
    Typing,
}

/// Asks for a pong, and names the heads of the rooms that the connection has joined.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ping {
    /// The last committed number of each room.
    pub heads: BTreeMap<RoomId, Seq>,
}

/// The server ended the connection's subscription to a room; the error says why, and whether to join again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Left {
    /// Which room.
    pub room: RoomId,
    /// Why: `expired` for a reader that fell behind the floor, with details as for `join`; `unavailable`, `forbidden` and others as they say.
    pub error: ErrorFrame,
}

/// The server will close the connection soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoingAway {
    /// When to connect again, in milliseconds from now: spread out, so that not everybody comes at once.
    pub retry_after_ms: u64,
}

/// Answers `hello`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The server's name for this connection, as its logs have it.
    pub connection: String,
    /// Who the server takes the client for.
    pub user: UserId,
    /// Under which device name.
    pub device: DeviceId,
    /// Proves a guest's name the next time; absent where the client brought a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The server's clock, in milliseconds since 1970.
    pub server_time_ms: i64,
    /// How often the server pings, in milliseconds.
    pub ping_interval_ms: u64,
    /// The time for an answer to a ping, in milliseconds.
    pub pong_timeout_ms: u64,
    /// When the token expires, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<i64>,
}

impl fmt::Debug for Welcome {
    /// Leaves the token out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Welcome")
            .field("connection", &self.connection)
            .field("user", &self.user)
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

/// Answers `join`: from here on everything after the cursor follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Joined {
    /// Which room.
    pub room: RoomId,
    /// The room's ownership now.
    pub epoch: Epoch,
    /// The last committed number.
    pub head: Seq,
    /// The first number whose body is still kept.
    pub floor: Seq,
    /// The hash of the head.
    pub hash: Hash,
    /// This device's last accepted n in the room, 0 if it has none.
    pub last_n: u64,
}

/// Answers a write: it is committed under this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ack {
    /// The entry's number.
    pub seq: Seq,
    /// Whether an earlier copy of the write had been committed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
}

/// Answers `history`, on its way out. Field for field what [`HistoryPage`] reads.
#[derive(Debug, Clone, Copy)]
pub struct HistoryView<'a> {
    /// Which room.
    pub room: &'a RoomId,
    /// The last committed number.
    pub head: Seq,
    /// The first number whose body is still kept.
    pub floor: Seq,
    /// The entries, in order.
    pub list: EntryList<'a>,
    /// The hash of the entry before the first of the list; with evidence only.
    pub hash_before: Option<Hash>,
}

impl Serialize for HistoryView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let last = self.list.list.last();
        let fields = 4 + usize::from(last.is_some()) + usize::from(self.hash_before.is_some());
        let mut map = serializer.serialize_map(Some(fields))?;
        map.serialize_entry("room", self.room)?;
        map.serialize_entry("head", &self.head)?;
        map.serialize_entry("floor", &self.floor)?;
        map.serialize_entry("list", &self.list)?;
        if let Some(last) = last {
            map.serialize_entry("hash", &last.hash)?;
        }
        if let Some(hash) = &self.hash_before {
            map.serialize_entry("hash_before", hash)?;
        }
        map.end()
    }
}

/// Answers `history`, as it arrives.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct HistoryPage {
    /// Which room.
    pub room: RoomId,
    /// The last committed number.
    pub head: Seq,
    /// The first number whose body is still kept.
    pub floor: Seq,
    /// The entries, in order; contiguous.
    pub list: Vec<EntryFrame>,
    /// The hash of the last of them.
    pub hash: Option<Hash>,
    /// The hash of the entry before the first of them; with evidence only.
    pub hash_before: Option<Hash>,
}
