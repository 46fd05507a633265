//! The envelope of a command, `{id, <op>: {…}}`: read in one pass, without a copy of what is in it.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Command, Op, Pong, WriteOp};
use crate::ids::deserialize_number;

/// The length to which the name of an unknown operation is cut, in characters.
const UNKNOWN_NAME_CHARS_MAX: usize = 32;

impl<B: Serialize> Serialize for Command<B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + usize::from(self.id.is_some())))?;
        if let Some(id) = self.id {
            map.serialize_entry("id", &id)?;
        }
        let name = self.op.name();
        match &self.op {
            Op::Hello(params) => map.serialize_entry(name, params)?,
            Op::Join(params) => map.serialize_entry(name, params)?,
            Op::Leave(params) => map.serialize_entry(name, params)?,
            Op::Write(_, params) => map.serialize_entry(name, params)?,
            Op::Typing(params) => map.serialize_entry(name, params)?,
            Op::History(params) => map.serialize_entry(name, params)?,
            Op::Refresh(params) => map.serialize_entry(name, params)?,
            Op::Pong(params) => map.serialize_entry(name, params)?,
            Op::Unknown(_) => map.serialize_entry(name, &Pong {})?,
        }
        map.end()
    }
}

impl<'de, B: Deserialize<'de>> Deserialize<'de> for Command<B> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Envelope(PhantomData))
    }
}

struct Envelope<B>(PhantomData<B>);

impl<'de, B: Deserialize<'de>> Visitor<'de> for Envelope<B> {
    type Value = Command<B>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command, {id, <op>: {…}}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Command<B>, A::Error> {
        let mut id = None;
        let mut op = None;
        while let Some(key) = map.next_key()? {
            let parsed = match key {
                Key::Id if id.is_some() => return Err(de::Error::duplicate_field("id")),
                Key::Id => {
                    id = Some(map.next_value::<Id>()?.0);
                    continue;
                }
                Key::Hello => Op::Hello(fields(&mut map)?),
                Key::Join => Op::Join(fields(&mut map)?),
                Key::Leave => Op::Leave(fields(&mut map)?),
                Key::Write(write) => Op::Write(write, fields(&mut map)?),
                Key::Typing => Op::Typing(fields(&mut map)?),
                Key::History => Op::History(fields(&mut map)?),
                Key::Refresh => Op::Refresh(fields(&mut map)?),
                Key::Pong => Op::Pong(fields(&mut map)?),
                Key::Unknown(name) => {
                    map.next_value::<IgnoredAny>()?;
                    Op::Unknown(name)
                }
            };
            if op.replace(parsed).is_some() {
                return Err(de::Error::custom("a command has one operation, not two"));
            }
        }
        let op = op.ok_or_else(|| de::Error::custom("a command has an operation beside its id"))?;
        if id.is_none() && !matches!(op, Op::Pong(_)) {
            return Err(de::Error::missing_field("id"));
        }
        Ok(Command { id, op })
    }
}

/// A key of the envelope.
enum Key {
    Id,
    Hello,
    Join,
    Leave,
    Write(WriteOp),
    Typing,
    History,
    Refresh,
    Pong,
    /// Another name, cut to what an error may repeat.
    Unknown(String),
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Key;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Key, E> {
                Ok(match name {
                    "id" => Key::Id,
                    "hello" => Key::Hello,
                    "join" => Key::Join,
                    "leave" => Key::Leave,
                    "send" => Key::Write(WriteOp::Send),
                    "edit" => Key::Write(WriteOp::Edit),
                    "redact" => Key::Write(WriteOp::Redact),
                    "react" => Key::Write(WriteOp::React),
                    "typing" => Key::Typing,
                    "history" => Key::History,
                    "refresh" => Key::Refresh,
                    "pong" => Key::Pong,
                    _ => {
                        Key::Unknown(name.chars().filter(char::is_ascii_graphic).take(UNKNOWN_NAME_CHARS_MAX).collect())
                    }
                })
            }
        }
        deserializer.deserialize_str(Text)
    }
}

struct Id(u64);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_number(deserializer).map(Self)
    }
}

/// Reads the fields of an operation by their names. A derived `Deserialize` would take an array too, and so make the order
/// of our fields part of the protocol.
fn fields<'de, T: Deserialize<'de>, A: MapAccess<'de>>(map: &mut A) -> Result<T, A::Error> {
    struct Fields<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Fields<T> {
        type Value = T;
        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
            deserializer.deserialize_map(self)
        }
    }

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map of the operation's fields")
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    map.next_value_seed(Fields(PhantomData))
}

/// Finds the id of a command that could not be read: left in the given place even if what follows it is broken.
pub(crate) struct CommandId<'a>(pub &'a mut Option<u64>);

impl<'de> DeserializeSeed<'de> for CommandId<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for CommandId<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key()? {
            match key {
                Key::Id => {
                    let id = map.next_value::<Id>()?.0;
                    if self.0.replace(id).is_some() {
                        *self.0 = None;
                        return Err(de::Error::duplicate_field("id"));
                    }
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}
