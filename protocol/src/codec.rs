//! The two formats: the same frames as JSON text or as MessagePack maps with string keys.

use serde::{Deserialize, Serialize};

use crate::command::{IncomingCommand, OutgoingCommand};
use crate::frame::{Incoming, Outgoing};

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
        /// The least that a command has.
        #[derive(Deserialize)]
        struct IdOnly {
            id: u64,
        }
        self.read(bytes).map_err(|reason| DecodeError {
            what: "command",
            reason,
            id: self.read::<IdOnly>(bytes).ok().map(|command| command.id),
        })
    }

    /// Reads what the server sent.
    ///
    /// # Errors
    /// Where the bytes are not a frame of this version.
    pub fn decode(self, bytes: &[u8]) -> Result<Incoming, DecodeError> {
        self.read(bytes).map_err(|reason| DecodeError { what: "frame of the server", reason, id: None })
    }

    fn write(self, value: &impl Serialize) -> Vec<u8> {
        match self {
            Self::Json => serde_json::to_vec(value).expect("a frame can always be written as JSON"),
            Self::MsgPack => rmp_serde::to_vec_named(value).expect("a frame can always be written as MessagePack"),
        }
    }

    fn read<'a, T: Deserialize<'a>>(self, bytes: &'a [u8]) -> Result<T, String> {
        match self {
            Self::Json => serde_json::from_slice(bytes).map_err(|error| error.to_string()),
            Self::MsgPack => {
                let mut rest = bytes;
                let value =
                    T::deserialize(&mut rmp_serde::Deserializer::new(&mut rest)).map_err(|error| error.to_string())?;
                if rest.is_empty() { Ok(value) } else { Err(format!("{} bytes follow it", rest.len())) }
            }
        }
    }
}
