//! Names and numbers of the protocol, each a type of its own with a parse constructor.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::limits;

/// Why a string is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing, or more than the limit.
    #[error("a {what} has 1 to {max} characters, not {found}")]
    Length {
        /// Which identifier was parsed.
        what: &'static str,
        /// The greatest length, in bytes.
        max: usize,
        /// The length that was found, in bytes.
        found: usize,
    },
    /// A character outside the identifier's alphabet.
    #[error(
        "a {what} starts with a letter or a digit and goes on with those and `{alphabet}`; byte {at} is none of them"
    )]
    Character {
        /// Which identifier was parsed.
        what: &'static str,
        /// The punctuation that is allowed after the first character.
        alphabet: &'static str,
        /// Where the first bad byte is, from 0.
        at: usize,
    },
}

/// Checks the one grammar that all identifiers share: ASCII letters and digits, then also `alphabet`.
///
/// ASCII keeps an identifier the same on every screen, in every log line and as a key of every store; what people read is
/// a room's title, not its identifier. None contains 0x00, `/`, `{` or `}`.
fn check(what: &'static str, alphabet: &'static str, max: usize, text: &str) -> Result<(), IdError> {
    if text.is_empty() || text.len() > max {
        return Err(IdError::Length { what, max, found: text.len() });
    }
    let bad = text
        .bytes()
        .enumerate()
        .find(|&(at, byte)| !(byte.is_ascii_alphanumeric() || at > 0 && alphabet.as_bytes().contains(&byte)));
    match bad {
        Some((at, _)) => Err(IdError::Character { what, alphabet, at }),
        None => Ok(()),
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $alphabet:literal, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses the identifier.
            ///
            /// # Errors
            /// Where the text is empty, too long, or has a character outside the alphabet.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                check($what, $alphabet, $max, text)?;
                Ok(Self(Arc::from(text)))
            }

            /// Returns the identifier's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("a ", $what))
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        $name::parse(text).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

text_id! {
    /// A room's name (in the schema: channel): 1 to 128 ASCII characters.
    RoomId, "room name", "._:-", limits::ROOM_NAME_BYTES_MAX
}
text_id! {
    /// A user's name, the `sub` of a token: 1 to 128 ASCII characters.
    UserId, "user name", "._:-@+|=~", limits::USER_NAME_BYTES_MAX
}
text_id! {
    /// One installation of a client, named by the client, unique within its user: 1 to 64 ASCII characters.
    DeviceId, "device name", "._:-", limits::DEVICE_NAME_BYTES_MAX
}

/// The prefix of device names that stand for an HTTP `Idempotency-Key`; no client may say hello with one.
pub const KEY_DEVICE_PREFIX: &str = "key:";

impl DeviceId {
    /// Tells whether this is a one-shot device made from an idempotency key, which has a table of its own in a room.
    pub fn is_idempotency_key(&self) -> bool {
        self.0.starts_with(KEY_DEVICE_PREFIX)
    }
}

/// The greatest number on the wire: 2^53 - 1, the last integer that a JavaScript number holds exactly.
pub const NUMBER_MAX: u64 = (1 << 53) - 1;

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// Before the first.
            pub const ZERO: Self = Self(0);

            /// Makes one of a number that is known to be in range.
            ///
            /// # Panics
            /// Above 2^53 - 1: our own numbers never get there, and those from the wire are parsed.
            pub const fn new(number: u64) -> Self {
                assert!(number <= NUMBER_MAX, "a number on the wire is at most 2^53 - 1");
                Self(number)
            }

            /// Returns the number.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// Returns the number after this one.
            #[must_use]
            pub const fn next(self) -> Self {
                Self::new(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserialize_number(deserializer).map(Self)
            }
        }
    };
}

/// Reads a number of the wire, 0 to 2^53 - 1.
pub(crate) fn deserialize_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(deserializer)?;
    if number > NUMBER_MAX {
        return Err(de::Error::custom("a number on the wire is at most 2^53 - 1"));
    }
    Ok(number)
}

/// Reads a number of the wire that may be absent.
pub(crate) fn deserialize_optional_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    struct Number(u64);
    impl<'de> Deserialize<'de> for Number {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserialize_number(deserializer).map(Self)
        }
    }
    Ok(Option::<Number>::deserialize(deserializer)?.map(|number| number.0))
}

number_id! {
    /// An entry's number in its room (in the schema: `message_id`), from 1 and contiguous; 0 is the place before the first.
    Seq
}
number_id! {
    /// The number of an ownership of a room; it grows with each owner.
    Epoch
}

impl Seq {
    /// The first entry of a room.
    pub const FIRST: Self = Self(1);

    /// Returns the number before this one, or 0 for 0.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// Returns the number `count` places further.
    ///
    /// # Panics
    /// Beyond 2^53 - 1.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self::new(self.0 + count)
    }

    /// Returns how many entries lie after `earlier`, up to this one; 0 if this is not after it.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_names_that_are_not() {
        let long = "r".repeat(10_000);
        for text in ["", "../etc/passwd", "a/b", ".", "..", "a\0b", "a\nb", "-a", "a{b}", "ä", "a b", &long] {
            assert!(RoomId::parse(text).is_err(), "{text:?} was accepted");
        }
        for text in ["a", "general", "team-7.ops:eu_1", "0", &"r".repeat(128)] {
            assert_eq!(RoomId::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn an_error_names_the_place_and_not_the_text() {
        let error = RoomId::parse("secret\u{1b}[31m").unwrap_err().to_string();
        assert!(error.contains("byte 6") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn numbers_stop_at_what_javascript_holds() {
        assert_eq!(serde_json::from_str::<Seq>("9007199254740991").unwrap().get(), NUMBER_MAX);
        assert!(serde_json::from_str::<Seq>("9007199254740992").is_err());
        assert!(serde_json::from_str::<Seq>("-1").is_err());
        assert!(serde_json::from_str::<Seq>("1.5").is_err());
    }
}
