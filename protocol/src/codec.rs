//! The two formats: the same frames as JSON text or as MessagePack maps with string keys.

use serde::de::DeserializeSeed;
use serde::{Deserialize, Serialize};
use serde_path_to_error::Segment;

use crate::command::{CommandId, IncomingCommand, OutgoingCommand};
use crate::frame::{Incoming, Outgoing};
use crate::limits;

/// Nesting of a MessagePack frame: the deepest body and what lies around it. The library's own limit of 1,024 is more than
/// a thread's stack holds where an unknown field is skipped.
const MSGPACK_DEPTH_MAX: usize = limits::BODY_DEPTH_MAX + 16;

/// The length at which the reason of an error is cut, in bytes.
const REASON_BYTES_MAX: usize = 240;

/// The length of the longest name that an error repeats, in bytes.
const PLACE_NAME_BYTES_MAX: usize = 16;

/// How frames are written on a connection; fixed by its subprotocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Format {
    /// JSON in text frames.
    #[default]
    Json,
    /// MessagePack in binary frames.
    MsgPack,
}

/// Why a frame could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the frame is not a {what}: {reason}")]
pub struct DecodeError {
    what: &'static str,
    reason: String,
    /// The command's id, where it could be read.
    pub id: Option<u64>,
}

impl Format {
    /// Both formats.
    pub const ALL: [Self; 2] = [Self::Json, Self::MsgPack];

    /// Returns the name of the format's WebSocket subprotocol.
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "rollcall.v1.json",
            Self::MsgPack => "rollcall.v1.msgpack",
        }
    }

    /// Finds the format of a WebSocket subprotocol.
    pub fn of_subprotocol(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.subprotocol() == name)
    }

    /// Writes what the server sends.
    pub fn encode<T: Serialize>(self, frame: &Outgoing<'_, T>) -> Vec<u8> {
        self.write(frame)
    }

    /// Writes what a client sends.
    pub fn encode_command(self, command: &OutgoingCommand) -> Vec<u8> {
        self.write(command)
    }

    /// Reads what a client sent.
    ///
    /// # Errors
    /// Where the bytes are not a command; the error has the command's id where that could be read.
    pub fn decode_command(self, bytes: &[u8]) -> Result<IncomingCommand, DecodeError> {
        self.read(bytes).map_err(|reason| {
            let reason = self.with_place::<IncomingCommand>(bytes, reason);
            DecodeError { what: "command", reason, id: self.id_of_command(bytes) }
        })
    }

    /// Reads what the server sent.
    ///
    /// # Errors
    /// Where the bytes are not a frame of this version.
    pub fn decode(self, bytes: &[u8]) -> Result<Incoming, DecodeError> {
        self.read(bytes).map_err(|reason| {
            let reason = self.with_place::<Incoming>(bytes, reason);
            DecodeError { what: "frame of the server", reason, id: None }
        })
    }

    fn write(self, value: &impl Serialize) -> Vec<u8> {
        match self {
            Self::Json => serde_json::to_vec(value).expect("a frame can always be written as JSON"),
            Self::MsgPack => rmp_serde::to_vec_named(value).expect("a frame can always be written as MessagePack"),
        }
    }

    fn read<'a, T: Deserialize<'a>>(self, bytes: &'a [u8]) -> Result<T, String> {
        match self {
            Self::Json => serde_json::from_slice(bytes).map_err(|error| without_values(&error.to_string())),
            Self::MsgPack => {
                let mut rest = bytes;
                let value =
                    T::deserialize(&mut msgpack(&mut rest)).map_err(|error| without_values(&error.to_string()))?;
                if rest.is_empty() { Ok(value) } else { Err(format!("{} bytes follow it", rest.len())) }
            }
        }
    }

    /// Reads broken bytes once more, for the name of the field that broke them.
    fn with_place<'a, T: Deserialize<'a>>(self, mut bytes: &'a [u8], reason: String) -> String {
        let path = match self {
            Self::Json => {
                let mut json = serde_json::Deserializer::from_slice(bytes);
                serde_path_to_error::deserialize::<_, T>(&mut json).err().map(|error| place(error.path()))
            }
            Self::MsgPack => serde_path_to_error::deserialize::<_, T>(&mut msgpack(&mut bytes))
                .err()
                .map(|error| place(error.path())),
        };
        match path {
            Some(path) if !path.is_empty() => format!("{path}: {reason}"),
            _ => reason,
        }
    }

    fn id_of_command(self, mut bytes: &[u8]) -> Option<u64> {
        let mut id = None;
        let seed = CommandId(&mut id);
        // That the rest cannot be read is why we are here.
        let _broken = match self {
            Self::Json => seed.deserialize(&mut serde_json::Deserializer::from_slice(bytes)).is_err(),
            Self::MsgPack => seed.deserialize(&mut msgpack(&mut bytes)).is_err(),
        };
        id
    }
}

fn msgpack<'a, 'de>(bytes: &'a mut &'de [u8]) -> MsgPackReader<'a, 'de> {
    let mut deserializer = rmp_serde::Deserializer::new(bytes);
    deserializer.set_max_depth(MSGPACK_DEPTH_MAX);
    deserializer
}

type MsgPackReader<'a, 'de> = rmp_serde::Deserializer<rmp_serde::decode::ReadReader<&'a mut &'de [u8]>>;

/// Names an operation and its field, and nothing below: what people call the fields of their bodies is their own.
fn place(path: &serde_path_to_error::Path) -> String {
    let names = path.iter().map_while(|segment| match segment {
        Segment::Map { key } if key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') => Some(key.as_str()),
        _ => None,
    });
    names.take(2).filter(|name| name.len() <= PLACE_NAME_BYTES_MAX).collect::<Vec<_>>().join(".")
}

/// Cuts out what stands in double quotes: where a value of another type was expected, an error repeats the one that came,
/// and that may be a token, or what somebody said. A number in full may have hundreds of digits, so the rest has a limit.
fn without_values(reason: &str) -> String {
    let mut kept = String::new();
    let mut quoted = false;
    let mut escaped = false;
    for character in reason.chars() {
        if kept.len() > REASON_BYTES_MAX {
            kept.push('…');
            break;
        }
        if !quoted || (character == '"' && !escaped) {
            kept.push(character);
        }
        if character == '"' && !escaped {
            quoted = !quoted;
            if quoted {
                kept.push('…');
            }
        }
        escaped = quoted && character == '\\' && !escaped;
    }
    kept
}
