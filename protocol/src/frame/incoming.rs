//! What the server sends, as a client reads it.

use std::fmt;

use serde::de::{self, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Ack, EntriesFrame, GoingAway, HistoryPage, Joined, Left, Ping, Signal, Welcome};
use crate::entry::EntryFrame;
use crate::error::ErrorFrame;
use crate::hash::Hash;
use crate::ids::{DeviceId, Epoch, RoomId, Seq, UserId};

/// What the server sends, as a client reads it.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// The command with this id succeeded.
    Ok(u64, Box<OkFields>),
    /// The command with this id failed; none where its id could not be read.
    Error(Option<u64>, ErrorFrame),
    /// Entries of a joined room.
    Entries(EntriesFrame),
    /// Something ephemeral in a joined room.
    Signal(Signal),
    /// Asks for a pong.
    Ping(Ping),
    /// The server ended the connection's subscription to a room.
    Left(Left),
    /// The server will close the connection soon.
    GoingAway(GoingAway),
    /// Something that this version does not know, to be ignored.
    Unknown,
}

macro_rules! ok_fields {
    ($( $field:ident: $type:ty, )*) => {
        /// What a successful reply carries: the union of the fields of all of them, of which each operation has its own.
        /// The caller knows what it asked for and takes that.
        #[derive(Clone, Default, PartialEq, Deserialize)]
        #[expect(missing_docs, reason = "each field is documented at the reply that has it")]
        pub struct OkFields {
            $( #[serde(default)] pub $field: Option<$type>, )*
        }

        impl fmt::Debug for OkFields {
            /// Shows the fields that are there, of the token no more than that.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut shown = f.debug_struct("OkFields");
                $(
                    match &self.$field {
                        Some(_) if stringify!($field) == "token" => {
                            shown.field("token", &format_args!("…"));
                        }
                        Some(value) => {
                            shown.field(stringify!($field), value);
                        }
                        None => {}
                    }
                )*
                shown.finish()
            }
        }
    };
}

ok_fields! {
    seq: Seq, duplicate: bool,
    room: RoomId, epoch: Epoch, head: Seq, floor: Seq, hash: Hash, last_n: u64,
    list: Vec<EntryFrame>, hash_before: Hash,
    connection: String, user: UserId, device: DeviceId, token: String, server_time_ms: i64,
    ping_interval_ms: u64, pong_timeout_ms: u64, expires_at_ms: i64,
}

impl OkFields {
    /// Takes the answer to a write; none if this is not one.
    pub fn ack(&self) -> Option<Ack> {
        Some(Ack { seq: self.seq?, duplicate: self.duplicate.unwrap_or_default() })
    }

    /// Takes the answer to a join; none if this is not one.
    pub fn joined(self) -> Option<Joined> {
        Some(Joined {
            room: self.room?,
            epoch: self.epoch?,
            head: self.head?,
            floor: self.floor?,
            hash: self.hash?,
            last_n: self.last_n?,
        })
    }

    /// Takes the answer to `history`; none if this is not one.
    pub fn history(self) -> Option<HistoryPage> {
        Some(HistoryPage {
            room: self.room?,
            head: self.head?,
            floor: self.floor?,
            list: self.list?,
            hash: self.hash,
            hash_before: self.hash_before,
        })
    }

    /// Takes the answer to `hello`; none if this is not one.
    pub fn welcome(self) -> Option<Welcome> {
        Some(Welcome {
            connection: self.connection?,
            user: self.user?,
            device: self.device?,
            token: self.token,
            server_time_ms: self.server_time_ms?,
            ping_interval_ms: self.ping_interval_ms?,
            pong_timeout_ms: self.pong_timeout_ms?,
            expires_at_ms: self.expires_at_ms,
        })
    }
}

impl<'de> Deserialize<'de> for Incoming {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Envelope;

        impl<'de> Visitor<'de> for Envelope {
            type Value = Incoming;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a reply or a push")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Incoming, A::Error> {
                let mut id = None;
                let mut frame = Incoming::Unknown;
                while let Some(key) = map.next_key::<String>()? {
                    frame = match key.as_str() {
                        "id" => {
                            id = Some(map.next_value::<u64>()?);
                            continue;
                        }
                        "ok" => Incoming::Ok(0, Box::new(map.next_value()?)),
                        "error" => Incoming::Error(None, map.next_value()?),
                        "entries" => Incoming::Entries(map.next_value()?),
                        "signal" => map.next_value::<AnySignal>()?.into(),
                        "ping" => Incoming::Ping(map.next_value()?),
                        "left" => Incoming::Left(map.next_value()?),
                        "going_away" => Incoming::GoingAway(map.next_value()?),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                }
                match frame {
                    Incoming::Ok(_, fields) => {
                        let id = id.ok_or_else(|| de::Error::missing_field("id"))?;
                        Ok(Incoming::Ok(id, fields))
                    }
                    Incoming::Error(_, error) => Ok(Incoming::Error(id, error)),
                    push => Ok(push),
                }
            }
        }

        deserializer.deserialize_map(Envelope)
    }
}

/// A signal as it arrives: of a kind that this version knows, or of a newer one that may have other fields.
#[derive(Deserialize)]
#[serde(untagged)]
enum AnySignal {
    Known(Signal),
    Newer(IgnoredAny),
}

impl From<AnySignal> for Incoming {
    fn from(signal: AnySignal) -> Self {
        match signal {
            AnySignal::Known(signal) => Self::Signal(signal),
            AnySignal::Newer(_) => Self::Unknown,
        }
    }
}
