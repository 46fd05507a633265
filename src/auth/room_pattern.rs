//! Which rooms a token is about.

use std::fmt;
use std::str::FromStr;

use rollcall_protocol::RoomId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a text is not a pattern of rooms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a pattern of rooms is a room's name, or the beginning of one and `*`")]
pub struct PatternError;

/// One room by its name, or all whose names begin alike: `general`, `team-7.*`, `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomPattern {
    /// This room.
    Name(RoomId),
    /// Every room whose name begins so; an empty beginning is every room.
    Prefix(String),
}

impl RoomPattern {
    /// Tells whether a room is meant.
    pub fn matches(&self, room: &RoomId) -> bool {
        match self {
            Self::Name(name) => name == room,
            Self::Prefix(prefix) => room.as_str().starts_with(prefix),
        }
    }
}

impl FromStr for RoomPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        match text.strip_suffix('*') {
            // What is the beginning of no room's name would match nothing, and nobody would see why.
            Some("") => Ok(Self::Prefix(String::new())),
            Some(prefix) => RoomId::parse(prefix).map(|_| Self::Prefix(prefix.to_owned())).map_err(|_| PatternError),
            None => RoomId::parse(text).map(Self::Name).map_err(|_| PatternError),
        }
    }
}

impl fmt::Display for RoomPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(room) => room.fmt(f),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

impl Serialize for RoomPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RoomPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_one_room_and_a_star_all_that_begin_alike() {
        let cases = [
            ("general", "general", true),
            ("general", "general2", false),
            ("team-7.*", "team-7.ops", true),
            ("team-7.*", "team-70", false),
            ("*", "anything", true),
        ];
        for (pattern, room, expected) in cases {
            let pattern: RoomPattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(&RoomId::parse(room).unwrap()), expected, "{pattern} {room}");
        }
    }

    #[test]
    fn what_can_match_no_room_is_refused() {
        for text in ["", "a b", "**", "a*b", "-*", "a/*"] {
            assert_eq!(text.parse::<RoomPattern>(), Err(PatternError), "{text:?}");
        }
    }
}
