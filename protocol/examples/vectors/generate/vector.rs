//! One golden frame: the same in both formats.

use rollcall_protocol::{Format, Outgoing, OutgoingCommand};
use serde::Serialize;
use serde_json::Value;

/// Who sends a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// A client: the frame is a command.
    ToServer,
    /// The server: the frame is a reply or a push.
    ToClient,
}

/// A golden frame.
#[derive(Debug)]
pub struct Vector {
    /// The name of its files, without the ending.
    pub name: &'static str,
    /// Who sends it.
    pub direction: Direction,
    /// What it shows, in one sentence.
    pub shows: &'static str,
    /// The frame as JSON, as it is on the wire.
    pub json: Vec<u8>,
    /// The frame as MessagePack, as it is on the wire.
    pub msgpack: Vec<u8>,
}

impl Vector {
    /// A command, as a client writes it.
    pub fn command(name: &'static str, shows: &'static str, command: &OutgoingCommand) -> Self {
        let [json, msgpack] = Format::ALL.map(|format| format.encode_command(command));
        Self { name, direction: Direction::ToServer, shows, json, msgpack }
    }

    /// A reply or a push, as the server writes it.
    pub fn server<T: Serialize>(name: &'static str, shows: &'static str, frame: &Outgoing<'_, T>) -> Self {
        let [json, msgpack] = Format::ALL.map(|format| format.encode(frame));
        Self { name, direction: Direction::ToClient, shows, json, msgpack }
    }

    /// A frame that this version does not write.
    pub fn newer(name: &'static str, direction: Direction, shows: &'static str, frame: &Value) -> Self {
        let json = serde_json::to_vec(frame).expect("a value is JSON");
        let msgpack = rmp_serde::to_vec_named(frame).expect("a value can be written as MessagePack");
        Self { name, direction, shows, json, msgpack }
    }
}
